import { messageOf } from '../core/describe.ts'
import { MeowError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { RecordedEvent } from '../events/event.ts'

/** What to do about an error that ends an executor, by the code of the error. */
const REMEDIES: Readonly<Record<string, string>> = {
  ERR_SUBSCRIPTION_MISMATCH:
    'start it with the selector and the number of partitions that the store has, or change those with alterSubscription() while no executor runs',
  ERR_SUBSCRIPTION_NOT_FOUND:
    'it was deleted: start it again to make a new one of this name, or remove this worker',
  ERR_SCHEMA: 'repair the schema, then start it again',
}

/** Log which subscription ended, why, and what to do. An application may never look at `done`, so the log must say it. */
export function logEnd(logger: Logger, subscription: string, error: unknown): void {
  const remedy =
    (error instanceof MeowError && REMEDIES[error.code]) ||
    'remove the cause, then start it again; it continues at its checkpoint'
  logger.error(
    { err: error, subscription },
    `subscription "${subscription}" ends in this process: ${messageOf(error)}; ${remedy}`,
  )
}

/** Log that a worker ended because of `onExhausted: 'stop'`. */
export function logExhausted(
  logger: Logger,
  subscription: string,
  { position, category, streamId, type }: RecordedEvent,
  attempt: number,
  error: unknown,
): void {
  logger.error(
    { err: error, subscription, position, category, streamId, type, attempt },
    `subscription "${subscription}" ends in this process, because onExhausted is 'stop': its handler failed for the last time, attempt ${attempt} at position ${position} (${type} of stream "${category}/${streamId}"): ${messageOf(error)}; remove the cause, then start it again; it continues at this event`,
  )
}
