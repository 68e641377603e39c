import { messageOf } from '../core/describe.ts'
import { MeowError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { RecordedEvent } from '../events/event.ts'

/** What to do about the errors that end an executor. Of any other: mend what it says, and start again. */
const REMEDIES: Readonly<Record<string, string>> = {
  ERR_SUBSCRIPTION_MISMATCH:
    'start it with the selector and the partitions that the store has, or change those with alterSubscription() while nobody owns it',
  ERR_SUBSCRIPTION_NOT_FOUND:
    'it was deleted: start it again to make a new one of this name, or remove this worker',
  ERR_SCHEMA: 'mend the schema, then start it again',
}

/** Log that an executor ends by an error: of which subscription, why, and what to do. Nobody may look at its `done`. */
export function logEnd(logger: Logger, subscription: string, error: unknown): void {
  const remedy =
    (error instanceof MeowError && REMEDIES[error.code]) ||
    'mend the cause, then start it again; it goes on at its checkpoint'
  logger.error(
    { err: error, subscription },
    `subscription "${subscription}" ends in this process: ${messageOf(error)}; ${remedy}`,
  )
}

/** Log that a worker ends by `onExhausted: 'stop'`. */
export function logExhausted(
  logger: Logger,
  subscription: string,
  { position, category, streamId, type }: RecordedEvent,
  attempt: number,
  error: unknown,
): void {
  logger.error(
    { err: error, subscription, position, category, streamId, type, attempt },
    `subscription "${subscription}" ends in this process, as its onExhausted is 'stop': its handler failed for the last time, attempt ${attempt} at position ${position} (${type} of stream "${category}/${streamId}"): ${messageOf(error)}; mend the cause, then start it again; it goes on at this event`,
  )
}
