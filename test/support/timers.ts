import { until } from './until.ts'

/** Timers that this process has running. */
export const timers = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

/** The same without those that come and go: a query's timeout, say, of a check that the listener makes now and then. */
export async function lastingTimers(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  let looks = 0
  await until(
    () => {
      least = Math.min(least, timers())
      return ++looks > 10
    },
    { what: 'ten looks' },
  )
  return least
}
