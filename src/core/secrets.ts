/**
 * What may be a credential is printed nowhere: not in a message or a field of an error, not in a log line, a span or on the
 * terminal. `redact` is for values and errors of any kind, `redactText` for text that is put together already, `conceal` for
 * what was given as a way to connect, of which any text may be a password. What is harmless comes back as it is.
 */
import { messageOf } from './describe.ts'
import { isDate, isError, isMap, isPlain, isRegExp, isSet } from './kinds.ts'

const HIDDEN = '***'
/** Parts of names, without regard to case and to what stands between words, and whole names. */
const PARTS =
  /passw|passphrase|pwd|secret|token|credential|apikey|accesskey|privatekey|sslkey|authoriz|nkey|jwt/
const WHOLE = ['pass', 'pw', 'key', 'auth', 'seed', 'creds', 'cookie']

/** Objects that are looked through at most, of one value. */
const MOST = 10_000
/** Characters of a text that are looked through, and kept. */
const MOST_TEXT = 100_000
/** A text that is not longer is a slip, such as '5' for 5, and no credential. */
const SLIP = 4

const URL_LOGIN = /([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s"'`<>]{0,2000}@/gi
/** The same where the scheme was left out. This and what follows begins at the beginning of a word, to be quick in long ones. */
const LOGIN = /(?<![^\s:@/"'`<>=&?,;(])[^\s:@/"'`<>=&?,;(]{1,200}:(?!\/\/)[^\s@"'`<>]{1,200}@(?=[\w[])/g
/** `password=…` as in an address, a DSN or the environment; its name may be percent-encoded. */
const PAIR = /(?<![\w.%-])([\w.%-]{1,100})(\s{0,3}=\s{0,3})("[^"]*"|'[^']*'|[^\s&"'<>]+)/g
/** `"password": "…"` as in JSON, or as in what Node prints of an object, or in a header. */
const PROPERTY =
  /(?<![\w.%-])([\w.%-]{1,100})(\\?["']?\s{0,3}:\s{0,3})(\\"(?:(?!\\").)*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s&,;"'}\])]+)/gi

/** As in a file of PEM. */
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END|$)/g

/** Whether what has this name is nobody's business. */
export function isSecretName(name: string): boolean {
  const word = wordOf(name)
  return PARTS.test(word) || WHOLE.includes(word)
}

export function redactText(whole: string): string {
  const text = whole.length > MOST_TEXT ? `${whole.slice(0, MOST_TEXT)}…` : whole
  if (!/[@=:]|-----/.test(text)) return text
  return text
    .replace(PRIVATE_KEY, HIDDEN)
    .replace(URL_LOGIN, `$1${HIDDEN}@`)
    .replace(LOGIN, `${HIDDEN}@`)
    .replace(PAIR, (all, name, sign) => (isSecretName(name) ? `${name}${sign}${HIDDEN}` : all))
    .replace(PROPERTY, (all, name, sign) => {
      const secret = /["']/.test(sign) ? isSecretName(name) : PARTS.test(wordOf(name)) // "seed: 7" is no property
      return secret ? `${name}${sign}${HIDDEN}` : all
    })
}

/** The value itself where it is harmless; else a copy without what may be a credential. Errors keep their class. */
export function redact(value: unknown): unknown {
  const seen = new Set<object>()
  let left = MOST
  let found = false
  const text = (value: string): string => {
    const safe = redactValue(value)
    found ||= safe !== value
    return safe
  }
  const property = (name: PropertyKey, value: unknown): unknown => {
    if (typeof name !== 'string' || !isSecretName(name) || !isHideable(value)) return copy(value)
    found = true
    return HIDDEN
  }
  /** `make` of something, and whether anything was found in that. */
  const within = (make: () => unknown): { made: unknown; dirty: boolean } => {
    const before = found
    found = false
    const made = make()
    const dirty = found
    found ||= before
    return { made, dirty }
  }
  const copy = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (typeof value !== 'object' || value === null) return value
    if (seen.has(value) || left-- <= 0) return '[…]'
    seen.add(value)
    try {
      return copyObject(value)
    } catch {
      found = true // a property of it can't be read, or it is too deep
      return isError(value) ? new Error(text(messageOf(value))) : nameOf(value)
    }
  }
  const copyObject = (value: object): unknown => {
    if (Array.isArray(value)) return value.map(copy)
    if (isMap(value))
      return new Map(
        [...(value as Map<unknown, unknown>)].map(([key, item]) => [
          copy(key),
          property(key as PropertyKey, item),
        ]),
      )
    if (isSet(value)) return new Set([...(value as Set<unknown>)].map(copy))
    if (isDate(value) || isRegExp(value) || ArrayBuffer.isView(value)) return value
    if (isError(value)) {
      const { made, dirty } = within(() => copyOf(value, property, text))
      return dirty ? made : value
    }
    const entries = () => Object.keys(value).map((key) => [text(key), property(key, (value as any)[key])])
    if (isPlain(value)) return Object.fromEntries(entries())
    return within(entries).dirty ? nameOf(value) : value
  }
  try {
    const safe = copy(value)
    return found ? safe : value
  } catch {
    return nameOf(value) // a property of it can't be read, or it is too deep
  }
}

/** The value, or three stars, where its name says that it is a secret. */
export function redactNamed(path: string, value: unknown): unknown {
  const secret = path.split(/[.[\]]+/).some((name) => name !== '' && isSecretName(name))
  return secret && isHideable(value) ? HIDDEN : redact(value)
}

/** Of a way to connect: no text at all but for what an address says of its host. */
export function conceal(value: unknown): unknown {
  if (typeof value === 'string') return concealText(value)
  if (typeof value === 'number' || typeof value === 'bigint')
    return String(value).length > SLIP ? HIDDEN : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.slice(0, 10).map(conceal)
  if (!isPlain(value)) return nameOf(value)
  const entries = Object.entries(value).slice(0, 20)
  return Object.fromEntries(
    entries.map(([key, item]) => [
      redactText(key),
      isSecretName(key) && isHideable(item)
        ? HIDDEN
        : typeof item === 'object' && item !== null
          ? nameOf(item)
          : conceal(item),
    ]),
  )
}

function concealText(text: string): string {
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*:\/\/)([\s\S]*)$/i.exec(text) ?? []
  if (!scheme) return text.length > SLIP ? HIDDEN : text
  const at = rest.lastIndexOf('@')
  const [place, more] = [rest.slice(at + 1), /[?#]/.exec(rest)]
  // Without an @ it may stand where a port should. With one in the query nobody knows what is what.
  const unclear = at < 0 ? /^[^/?#]*:(?!\d+(?:[,/?#]|$))/.test(place) : more && more.index < at
  if (unclear) return `${scheme}${HIDDEN}`
  return `${scheme}${at < 0 ? '' : `${HIDDEN}@`}${place.replace(/[?#][\s\S]*$/, `?${HIDDEN}`)}`
}

/** Of a text that is an address all up to the last @: a password need not be encoded as it should. */
function redactValue(text: string): string {
  return redactText(text.replace(/^(\s*[a-z][a-z0-9+.-]{0,30}:\/\/)[\s\S]*@/i, `$1${HIDDEN}@`))
}

function copyOf(
  error: Error,
  property: (name: PropertyKey, value: unknown) => unknown,
  text: (text: string) => string,
): Error {
  const message = text(String(error.message))
  const made: Error = Object.setPrototypeOf(new Error(message), Object.getPrototypeOf(error))
  const stack = text(String(error.stack).replaceAll(error.message || message, message))
  Object.defineProperty(made, 'stack', { value: stack, writable: true, configurable: true })
  for (const key of Reflect.ownKeys(error)) {
    if (key === 'message' || key === 'stack') continue
    const { enumerable = false } = Object.getOwnPropertyDescriptor(error, key)!
    const isPrinted = enumerable || key === 'cause' || key === 'errors'
    const value = isPrinted ? property(key, (error as any)[key]) : (error as any)[key]
    Object.defineProperty(made, key, { value, enumerable, writable: true, configurable: true })
  }
  return made
}

function wordOf(name: string): string {
  let decoded = name
  try {
    decoded = decodeURIComponent(name)
  } catch {
    // it is not encoded
  }
  return decoded.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** A flag or nothing tells nobody anything; what is hidden already stays as it is. */
function isHideable(value: unknown): boolean {
  if (typeof value === 'string') return value !== '' && !value.startsWith(HIDDEN)
  if (typeof value === 'number') return Number.isFinite(value)
  return typeof value === 'bigint' || (typeof value === 'object' && value !== null)
}

function nameOf(value: unknown): string {
  try {
    return `[${(value as object).constructor?.name ?? 'object'}]`
  } catch {
    return '[object]'
  }
}
