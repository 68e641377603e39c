import { setTimeout as delay } from 'node:timers/promises'
import { isTransient } from '../database.ts'
import type { Logger } from '../options.ts'

/** Wait, or reject as soon as the signal aborts. */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal })
}

/** Pause before try n (1, 2, …) of something that failed: 50 ms doubling to 2 s, with equal jitter. */
export function backoff(attempt: number): number {
  const ceiling = Math.min(2_000, 25 * 2 ** attempt)
  return ceiling / 2 + (Math.random() * ceiling) / 2
}

/** Do it until it is done, over lost connections; rejects with any other error, or once the signal aborts. */
export async function persist<T>(
  action: () => Promise<T>,
  { signal, logger }: { signal: AbortSignal; logger: Logger },
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    try {
      return await action()
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error
      logger.warn({ err: error, attempt }, 'the database did not answer; trying again')
      await wait(backoff(attempt), signal)
    }
  }
}
