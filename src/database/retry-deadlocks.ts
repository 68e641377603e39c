import { isRolledBack } from './failures.ts'

const ATTEMPTS = 5

/**
 * Runs a transaction again if the server rolled it back because of other transactions, five times at most. Such a transaction has changed
 * nothing.
 */
export async function retryDeadlocks<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (!isRolledBack(error) || attempt === ATTEMPTS) throw error
    }
  }
}
