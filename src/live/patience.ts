import type { Clock } from '../clock.ts'
import { isTransient } from '../failures.ts'
import type { Logger } from '../options.ts'

/** For how long, by which clock, and who hears of it. */
export interface Patience {
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly logger: Logger
}

/** What knows that of a store. */
export interface Patient {
  readonly clock: Clock
  readonly settings: { readonly logger: Logger }
}

export const patience = ({ clock, settings }: Patient, signal: AbortSignal): Patience => ({
  signal,
  clock,
  logger: settings.logger,
})

/**
 * Pause before try n (1, 2, …) of something that failed: 50 ms doubling to 1 s, with equal jitter. Not longer, so that all
 * goes on within 2 s after a server is back.
 */
export function backoff(attempt: number, clock: Clock, maxMs = 1_000): number {
  const ceiling = Math.min(maxMs, 25 * 2 ** attempt)
  return ceiling / 2 + (clock.random() * ceiling) / 2
}

/** Do it until it is done, over lost connections; rejects with any other error, or once the signal aborts. */
export async function persist<T>(action: () => Promise<T>, { signal, clock, logger }: Patience): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    try {
      return await action()
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error
      logger.warn({ err: error, attempt }, 'the database did not answer; trying again')
      await clock.sleep(backoff(attempt, clock), signal)
    }
  }
}
