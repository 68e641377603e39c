// What was thrown, in words. It may be anything: an error whose getters throw, a proxy that was revoked, a symbol, nothing at
// all. Whoever describes one is about to deal with a failure, so nothing here throws.

/** Whether it is an error, of this realm or of another one, such as a test runner's sandbox. */
export function isError(value: unknown): value is Error {
  return (
    attempt(() => value instanceof Error || tagOf(value) === 'Error' || tagOf(value) === 'DOMException') ===
    true
  )
}

/** The message of an error, or its name; else what it is as text. */
export function messageOf(error: unknown): string {
  return textOf(error, 'message') ?? textOf(error, 'name') ?? plainText(error)
}

/** The stack of an error, which holds its message; else its name and message, or what it is as text. */
export function describe(error: unknown): string {
  const stack = textOf(error, 'stack')
  if (stack !== undefined) return stack
  const [name, message] = [textOf(error, 'name'), textOf(error, 'message')]
  return message === undefined ? plainText(error) : `${name ?? 'Error'}: ${message}`
}

/** A property that is a text and not empty. Only objects have any of their own. */
function textOf(value: unknown, property: 'message' | 'name' | 'stack'): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const text = attempt(() => (value as Record<string, unknown>)[property])
  return typeof text === 'string' && text !== '' ? text : undefined
}

function plainText(value: unknown): string {
  const text = attempt(() => (typeof value === 'function' ? `function ${value.name}` : String(value)))
  return typeof text === 'string' ? text : '(what was thrown can not be described: reading it throws)'
}

const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1)

/** What a function returns; undefined if it throws. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
