import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'
import { isTransient } from './failures.ts'
import type { Retries, RetryReporting } from './retry-reporter.ts'
import { RetryReporter } from './retry-reporter.ts'

/** For how long, by which clock, and who hears of it. */
export interface RetryPolicy extends RetryReporting {
  readonly signal: AbortSignal
}

/** What knows that of a store. */
export interface RetryContext {
  readonly clock: Clock
  readonly settings: { readonly logger: Logger }
  readonly retries?: Retries | undefined
}

/** `scope`: whose status tells of what is tried again; the store's does in any case. */
export const retryPolicy = (
  { clock, settings, retries }: RetryContext,
  signal: AbortSignal,
  scope?: unknown,
): RetryPolicy => ({ signal, clock, logger: settings.logger, retries, scope })

/**
 * Do it until it is done, over lost connections and whatever the server refuses for a while; rejects with an error that is not
 * `transient` (by default what surely needs a person), or once the signal aborts. Nothing but the database may fail in `action`.
 */
export async function retryForever<T>(
  action: () => Promise<T>,
  patience: RetryPolicy,
  transient: (error: unknown) => boolean = isTransient,
): Promise<T> {
  const { signal, clock } = patience
  let trouble: RetryReporter | undefined
  try {
    for (;;) {
      signal.throwIfAborted()
      try {
        const result = await action()
        trouble?.succeeded()
        return result
      } catch (error) {
        if (signal.aborted || !transient(error)) throw error
        trouble ??= new RetryReporter(patience)
        await clock.sleep(trouble.failed(error), signal)
      }
    }
  } finally {
    trouble?.end()
  }
}
