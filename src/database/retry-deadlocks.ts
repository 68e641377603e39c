import { isRolledBack } from './failures.ts'

/**
 * Runs a transaction again if the server rolled it back because of others, five times at most. Such a transaction has changed
 * nothing.
 */
export async function retryDeadlocks<T>(run: () => Promise<T>, { attempts = 5 } = {}): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (!isRolledBack(error) || attempt === attempts) throw error
    }
  }
}
