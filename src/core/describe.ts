import { isError } from './kinds.ts'

// What was thrown, in words. It may be anything: an error whose getters throw, a proxy that was revoked, a symbol, nothing at
// all. These functions are called while a failure is dealt with, so none of them throws.

/** The message of an error; else its name, or the first line of its stack; else what it is as text. */
export function messageOf(error: unknown): string {
  const known = textOf(error, 'message') ?? textOf(error, 'stack')?.split('\n', 1)[0] ?? textOf(error, 'name')
  return known ?? plainText(error)
}

/** The stack of an error, which holds its message; else that, or what it is as text. */
export const describe = (error: unknown): string => textOf(error, 'stack') ?? messageOf(error)

/**
 * What was thrown, if it can be looked at as errors are: by class, message, stack, code and cause. Else an error that says what
 * can be said of it.
 */
export function readable(error: unknown): unknown {
  const look = () => {
    if ((typeof error !== 'object' && typeof error !== 'function') || error === null) return true
    const { name, message, stack, code, cause } = error as Record<string, unknown>
    // Of a symbol, or an object that can't be a text, neither message nor name can be printed.
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

/** A property that is a text and not empty. */
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

/** What a function returns; undefined if it throws. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
