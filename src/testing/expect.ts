// Assertions of the testing kit, on top of those of node:assert.
import { AssertionError, deepStrictEqual, throws } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import { isError, isRegExp } from '../core/kinds.ts'

/** An expected error: an Error (same name, message and fields), a class of errors, or a RegExp that its text must match. */
export type ExpectedError = Error | RegExp | (abstract new (...args: any[]) => Error)

export function isExpectedError(value: unknown): value is ExpectedError | undefined {
  return value === undefined || isError(value) || isRegExp(value) || typeof value === 'function'
}

/**
 * Throws an AssertionError unless two values are deeply and strictly equal. The difference is in the message, and in `actual` and `expected`,
 * which test runners display. The stack of the error begins at the caller of the function `caller`.
 */
export function assertSame(actual: unknown, expected: unknown, what: string, caller: object): void {
  if (isDeepStrictEqual(actual, expected)) return
  fail(() => deepStrictEqual(actual, expected), what, caller)
}

/** Throws an AssertionError unless an error is as expected. */
export function assertError(
  error: unknown,
  expected: ExpectedError | undefined,
  what: string,
  caller: object,
): void {
  if (expected === undefined) return
  const thrower = () => {
    throw error
  }
  fail(() => throws(thrower, expected as Error), what, caller)
}

/** Runs an assertion of node:assert. If it fails, puts `what` in front of its message. */
function fail(assertion: () => void, what: string, caller: object): void {
  try {
    assertion()
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error
    const { message, actual, expected, operator } = error
    throw failure(`${what}\n${message}`, caller, { actual, expected, operator })
  }
}

/** Makes an AssertionError whose stack begins at the caller of `caller`. */
export function failure(
  message: string,
  caller: object,
  details: { actual?: unknown; expected?: unknown; operator?: string; cause?: unknown } = {},
): AssertionError {
  const { cause, ...rest } = details
  const error = new AssertionError({ message, ...rest, stackStartFn: caller as () => void })
  return cause === undefined
    ? error
    : Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
}
