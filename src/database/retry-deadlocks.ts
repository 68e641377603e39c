import { backoff } from '../core/backoff.ts'
import { systemClock } from '../core/clock.ts'
import { isRolledBack } from './failures.ts'

const ATTEMPTS = 5
const PAUSE = { firstMs: 20, maxMs: 200 }

/**
 * Runs a transaction again if the server rolled it back because of other transactions, five times at most. Such a transaction has
 * changed nothing. It pauses first, so that those it was in the way of get the locks that they wait for.
 */
export async function retryDeadlocks<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (!isRolledBack(error) || attempt === ATTEMPTS) throw error
      await systemClock.sleep(backoff(attempt, systemClock, PAUSE))
    }
  }
}
