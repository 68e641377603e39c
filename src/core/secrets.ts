/**
 * Keeps credentials out of everything that is printed: error messages and fields, log lines, spans and the terminal. `redact`
 * is for values and errors of any kind, and `redactText` for text. `conceal` is for connection settings, in which any text may
 * be a password. Harmless values are returned unchanged.
 */
import { messageOf } from './describe.ts'
import { isDate, isError, isMap, isPlain, isRegExp, isSet } from './kinds.ts'

const HIDDEN = '***'
/** Parts of secret names, ignoring case and separators between words; and whole names. */
const PARTS =
  /passw|passphrase|pwd|secret|token|credential|apikey|accesskey|privatekey|sslkey|authoriz|nkey|jwt/
const WHOLE = ['pass', 'pw', 'key', 'auth', 'seed', 'creds', 'cookie']

/** The maximum number of objects that are searched in one value. */
const MOST = 10_000
/** The maximum number of characters of a text that are searched and kept. */
const MOST_TEXT = 100_000
/** A text of at most this length is a mistake, such as '5' for 5, and not a credential. */
const SLIP = 4

const URL_LOGIN = /([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s"'`<>]{0,2000}@/gi
/**
 * The same without the scheme. This pattern and the next ones start at the start of a word, so that long words are searched
 * quickly.
 */
const LOGIN = /(?<![^\s:@/"'`<>=&?,;(])[^\s:@/"'`<>=&?,;(]{1,200}:(?!\/\/)[^\s@"'`<>]{1,200}@(?=[\w[])/g
/** `password=…` as in an address, a DSN or the environment. The name may be percent-encoded. */
const PAIR = /(?<![\w.%-])([\w.%-]{1,100})(\s{0,3}=\s{0,3})("[^"]*"|'[^']*'|[^\s&"'<>]+)/g
/** `"password": "…"` as in JSON, in Node's output of an object, or in a header. */
const PROPERTY =
  /(?<![\w.%-])([\w.%-]{1,100})(\\?["']?\s{0,3}:\s{0,3})(\\"(?:(?!\\").)*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s&,;"'}\])]+)/gi

/** A private key as in a PEM file. */
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END|$)/g

/** Whether a value with this name may be a credential. */
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
      const secret = /["']/.test(sign) ? isSecretName(name) : PARTS.test(wordOf(name)) // "seed: 7" is not a property
      return secret ? `${name}${sign}${HIDDEN}` : all
    })
}

/** The value itself if it is harmless; otherwise a copy without anything that may be a credential. Errors keep their class. */
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
  /** Calls `make`, and tells whether a credential was found meanwhile. */
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
      found = true // one of its properties can't be read, or it is too deep
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
    return nameOf(value) // one of its properties can't be read, or it is too deep
  }
}

/** The value, or three stars if its name says that it is a secret. */
export function redactNamed(path: string, value: unknown): unknown {
  const secret = path.split(/[.[\]]+/).some((name) => name !== '' && isSecretName(name))
  return secret && isHideable(value) ? HIDDEN : redact(value)
}

/** Connection settings without any text, except the host part of an address. */
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
  // Without an @, a login may stand in the place of the port. With an @ in the query, the parts can't be told apart.
  const unclear = at < 0 ? /^[^/?#]*:(?!\d+(?:[,/?#]|$))/.test(place) : more && more.index < at
  if (unclear) return `${scheme}${HIDDEN}`
  return `${scheme}${at < 0 ? '' : `${HIDDEN}@`}${place.replace(/[?#][\s\S]*$/, `?${HIDDEN}`)}`
}

/** Hides everything up to the last @ of an address, because a password may not be encoded as it should be. */
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
    // it is not percent-encoded
  }
  return decoded.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** A boolean or an empty value reveals nothing, and a hidden value stays hidden. */
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
