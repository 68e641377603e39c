import * as assert from 'uvu/assert'

/** The error that a promise rejects with; fails where it resolves, or where the error is of another class. */
export async function rejects<T extends Error>(
  promise: Promise<unknown>,
  type: abstract new (...args: any[]) => T,
): Promise<T> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('value' in outcome) throw new Error(`resolved with ${JSON.stringify(outcome.value)}`)
  if (!(outcome.error instanceof type)) throw outcome.error
  assert.instance(outcome.error, type)
  return outcome.error
}
