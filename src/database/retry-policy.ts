import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'
import { isTransient } from './failures.ts'
import type { Retries, RetryReporting } from './retry-reporter.ts'
import { RetryReporter } from './retry-reporter.ts'

/** What a retry loop needs: an abort signal, a clock and a logger. */
export interface RetryPolicy extends RetryReporting {
  readonly signal: AbortSignal
}

/** The parts of a store that a retry policy is made of. */
export interface RetryContext {
  readonly clock: Clock
  readonly settings: { readonly logger: Logger }
  readonly retries?: Retries | undefined
}

/** `scope` is the part whose status reports the retries. The store's status reports them in any case. */
export const retryPolicy = (
  { clock, settings, retries }: RetryContext,
  signal: AbortSignal,
  scope?: unknown,
): RetryPolicy => ({ signal, clock, logger: settings.logger, retries, scope })

/**
 * Repeats an action until it succeeds, over lost connections and temporary refusals of the server. Rejects with an error that
 * is not `transient` (by default: one that needs a person), or when the signal aborts. Only the database may fail in `action`.
 */
export async function retryForever<T>(
  action: () => Promise<T>,
  policy: RetryPolicy,
  transient: (error: unknown) => boolean = isTransient,
): Promise<T> {
  const { signal, clock } = policy
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
        trouble ??= new RetryReporter(policy)
        await clock.sleep(trouble.failed(error), signal)
      }
    }
  } finally {
    trouble?.end()
  }
}
