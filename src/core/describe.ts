import { isError } from './kinds.ts'

// Describes what was thrown. That may be anything: an error whose getters throw, a revoked proxy, a symbol, undefined. These
// functions run while a failure is handled, so none of them throws.

/** The message of an error. If it has none: the first line of its stack, its name, or the value as text. */
export function messageOf(error: unknown): string {
  const known = textOf(error, 'message') ?? textOf(error, 'stack')?.split('\n', 1)[0] ?? textOf(error, 'name')
  return known ?? plainText(error)
}

/** The stack of an error, which contains its message. If it has none: its message, or the value as text. */
export const describe = (error: unknown): string => textOf(error, 'stack') ?? messageOf(error)

/**
 * The value itself if it can be read like an error (class, message, stack, code and cause); otherwise an error that describes
 * it.
 */
export function readable(error: unknown): unknown {
  const look = () => {
    if ((typeof error !== 'object' && typeof error !== 'function') || error === null) return true
    const { name, message, stack, code, cause } = error as Record<string, unknown>
    // The name or message may be a symbol, or an object that can't be converted to text; then it can't be printed.
    return !isError(error) || [`${name}`, `${message}`, stack, code, cause].length > 0
  }
  if (attempt(look)) return error
  const stack = describe(error)
  return Object.defineProperty(new Error(messageOf(error)), 'stack', {
    value: stack,
    configurable: true,
    writable: true,
  })
}

/** A property, if it is a non-empty string. */
function textOf(value: unknown, property: 'message' | 'name' | 'stack'): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const text = attempt(() => (value as Record<string, unknown>)[property])
  return typeof text === 'string' && text !== '' ? text : undefined
}

function plainText(value: unknown): string {
  const ways = [
    () => (typeof value === 'function' ? `function ${value.name || '(anonymous)'}` : String(value)),
    () => JSON.stringify(value),
  ]
  for (const way of ways) {
    const text = attempt(way)
    if (typeof text === 'string') return text
  }
  return '(what was thrown can not be described: reading it throws)'
}

/** What the function returns, or undefined if it throws. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
