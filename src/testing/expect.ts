import { AssertionError, deepStrictEqual, throws } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import { isError, isRegExp } from '../core/kinds.ts'

/** What an error may be expected to be: one with the same name, message and fields, one of a class, or one whose text matches. */
export type ExpectedError = Error | RegExp | (abstract new (...args: any[]) => Error)

export function isExpectedError(value: unknown): value is ExpectedError | undefined {
  return value === undefined || isError(value) || isRegExp(value) || typeof value === 'function'
}

/**
 * Fail unless two values are deeply and strictly equal. The difference is in the message, and in `actual` and `expected`, which
 * every test runner shows in its own way. `caller`: the function whose caller the stack begins with.
 */
export function same(actual: unknown, expected: unknown, what: string, caller: object): void {
  if (isDeepStrictEqual(actual, expected)) return
  fail(() => deepStrictEqual(actual, expected), what, caller)
}

/** Fail unless an error is as expected. */
export function sameError(
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

/** Run an assertion of Node's; where it fails, say what it was about before what differs. */
function fail(assertion: () => void, what: string, caller: object): void {
  try {
    assertion()
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error
    const { message, actual, expected, operator } = error
    throw failure(`${what}\n${message}`, caller, { actual, expected, operator })
  }
}

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
