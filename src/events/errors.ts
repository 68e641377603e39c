import { explain, MeowError } from '../core/errors.ts'
import { redact } from '../core/secrets.ts'
import type { NewEvent, RecordedEvent, StreamRef } from './event.ts'
import type { EventQuery } from './query.ts'

/** The stream is not at the expected version. Nothing was written: load the stream again, decide again and retry. */
export class VersionConflictError extends MeowError {
  declare readonly stream: StreamRef
  declare readonly expected: number | string
  /** The version of the stream's last event; -1 if the stream does not exist. */
  declare readonly actual: number

  constructor(stream: StreamRef, expected: number | string, actual: number) {
    super(
      'ERR_VERSION_CONFLICT',
      `stream ${label(stream)} is at version ${actual}${actual < 0 ? ' (it has no events)' : ''}, expected ${expected}`,
      undefined,
      { stream, expected, actual },
    )
  }
}

/** The event that made a condition fail: the first one that was not seen. */
export type UnseenEvent = Pick<RecordedEvent, 'id' | 'position' | 'type'> & { readonly stream: StreamRef }

/**
 * There is an event that matches the condition of an append and that the append had not seen. Nothing was written: query again,
 * decide again and retry.
 */
export class ConditionFailedError extends MeowError {
  /** The query of the condition. */
  declare readonly query: EventQuery
  /** The first event that matches and was not seen. */
  declare readonly event: UnseenEvent

  constructor(query: EventQuery, event: UnseenEvent) {
    super(
      'ERR_CONDITION_FAILED',
      `the condition does not hold: event ${event.id}, "${redact(event.type)}" of stream ${label(event.stream)} at position ${event.position}, matches its query and was not seen; query again, decide again and retry`,
      undefined,
      { query, event },
    )
  }
}

/** An event id is already recorded with a different stream, type or data, or as part of another call. Nothing was written. */
export class DuplicateEventError extends MeowError {
  declare readonly id: string
  /** The stream that this call tried to append to. */
  declare readonly stream: StreamRef

  constructor(id: string, stream: StreamRef) {
    super(
      'ERR_DUPLICATE_EVENT',
      `event id ${id}, appended to stream ${label(stream)}, is already recorded with a different stream, type or data, or as part of another call: append the same events together, or use a new id`,
      undefined,
      { id, stream },
    )
  }
}

/**
 * A handler waits for something that waits for the handler to end: `worker.stop()` or `meow.close()`. The stop continues. Call
 * it without awaiting it, or from outside of the handler.
 *
 * `ERR_DEADLOCK`
 */
export class DeadlockError extends MeowError {
  /** The name of the subscription; undefined if the handler is an inline projection. */
  declare readonly subscription: string | undefined
  /** The position of the event that the handler is called for. */
  declare readonly position: number

  constructor(what: string, subscription: string | undefined, position: number) {
    const who =
      subscription === undefined ? 'an inline projection' : `a handler of subscription "${subscription}"`
    super(
      'ERR_DEADLOCK',
      `${what} was called by ${who}, which still runs for position ${position}: each would wait for the other. ${what} continues; call it without awaiting it (void ${what}), from outside of the handler, or with a timeoutMs`,
      undefined,
      { subscription, position },
    )
  }
}

/** The part of the call that was for one stream, with event ids. */
export interface UnknownWrite {
  readonly stream: StreamRef
  /** The events with the ids that were sent, which make it safe to append them again. */
  readonly events: NewEvent[]
  readonly expectedVersion: number | 'any' | 'no-stream' | 'stream-exists'
}

/** A stored event does not fit its category's upcasters or schema. The `cause` says why. */
export class UpcastError extends MeowError {
  declare readonly stream: StreamRef
  /** The version of the event in its stream. */
  declare readonly version: number
  declare readonly type: string
  /** The version of the schema that the event was stored with. */
  declare readonly schemaVersion: number

  constructor(
    event: UpcastError['stream'] & { version: number; type: string },
    from: number,
    cause: unknown,
  ) {
    super(
      'ERR_UPCAST',
      `event ${event.type}, version ${event.version} of stream ${label(event)}, schema version ${from}, can not be read: ${explain(cause)}`,
      cause,
      {
        stream: { category: event.category, streamId: event.streamId },
        version: event.version,
        type: event.type,
        schemaVersion: from,
      },
    )
  }
}

/**
 * The events were sent, but the answer was lost and could not be recovered. Append the same events again, with the same ids:
 * they are written once.
 */
export class OutcomeUnknownError extends MeowError {
  /** The stream; for `appendAll` the first one. */
  declare readonly stream: StreamRef
  /** The events of all streams. */
  declare readonly events: NewEvent[]
  /** The writes of the call, one per stream. Pass them to `appendAll`. */
  declare readonly writes: readonly UnknownWrite[]
  /** The condition of the call; undefined if it had none. Pass it along. */
  declare readonly failIf: { query: EventQuery; after?: string } | undefined

  constructor(writes: readonly UnknownWrite[], cause?: unknown, failIf?: OutcomeUnknownError['failIf']) {
    const { stream } = writes[0]!
    const events = writes.flatMap((write) => write.events)
    const others = new Set(writes.map((write) => label(write.stream))).size - 1
    super(
      'ERR_OUTCOME_UNKNOWN',
      `whether ${events.length} event(s) were appended to stream ${label(stream)}${others > 0 ? ` and ${others} more` : ''} is unknown: the answer was lost and could not be recovered in time; ${
        failIf
          ? 'call appendAll(error.writes, { failIf: error.failIf })'
          : writes.length > 1
            ? 'call appendAll(error.writes)'
            : 'append error.events'
      } again (same ids), which is safe`,
      cause,
      { stream, events, writes, failIf },
    )
  }
}

const label = ({ category, streamId }: StreamRef) => `"${redact(category)}/${redact(streamId)}"`
