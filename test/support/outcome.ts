import { until } from './until.ts'

/** Waits until a promise settles, and returns what it rejected with; fails if it does not settle. */
export async function outcome(promise: Promise<unknown>): Promise<{ reason?: unknown }> {
  let settled: { reason?: unknown } | undefined
  promise.then(
    () => {
      settled = {}
    },
    (reason) => {
      settled = { reason }
    },
  )
  return (await until(() => settled, { what: 'the promise to settle' }))!
}
