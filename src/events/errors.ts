import { explain, MeowError } from '../core/errors.ts'
import { redact } from '../core/secrets.ts'
import type { NewEvent, StreamRef } from './event.ts'

/** The stream is not at the expected version. Nothing was written: load it again and decide anew. */
export class VersionConflictError extends MeowError {
  declare readonly stream: StreamRef
  declare readonly expected: number | string
  /** Version of the stream's last event; -1 where there is no such stream. */
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

/** An event id is known already with another stream, type or data, or only some ids of the call are known. Nothing was written. */
export class DuplicateEventError extends MeowError {
  declare readonly id: string
  /** The stream that this call was to append to. */
  declare readonly stream: StreamRef

  constructor(id: string, stream: StreamRef) {
    super(
      'ERR_DUPLICATE_EVENT',
      `event id ${id}, appended to stream ${label(stream)}, is already recorded with a different stream, type or data, or as part of another call`,
      undefined,
      { id, stream },
    )
  }
}

/**
 * A handler waits for what waits for that handler to end: `worker.stop()` or `meow.close()`. What it began goes on: begin it
 * without waiting for it, or from outside of the handler.
 *
 * `ERR_DEADLOCK`
 */
export class DeadlockError extends MeowError {
  /** Undefined: the handler is an inline projection. */
  declare readonly subscription: string | undefined
  /** Of the event that the handler is called for. */
  declare readonly position: number

  constructor(what: string, subscription: string | undefined, position: number) {
    const who =
      subscription === undefined ? 'an inline projection' : `a handler of subscription "${subscription}"`
    super(
      'ERR_DEADLOCK',
      `${what} was called by ${who}, which is still at work on position ${position}: each would wait for the other; it goes on: call it without waiting for it (void ${what}), or from outside of the handler, or with a timeoutMs`,
      undefined,
      { subscription, position },
    )
  }
}

/** One stream's part of what was sent, ids included. */
export interface UnknownWrite {
  readonly stream: StreamRef
  /** With the ids that they were sent with: that is what makes it safe to append them again. */
  readonly events: NewEvent[]
  readonly expectedVersion: number | 'any' | 'no-stream' | 'stream-exists'
}

/** An event is stored as its category's upcasters, or its schema, can't take it. The `cause` says why. */
export class UpcastError extends MeowError {
  declare readonly stream: StreamRef
  /** Of the event in its stream. */
  declare readonly version: number
  declare readonly type: string
  /** The version of the schema that it was stored by. */
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

/** Sent, but the answer was lost and could not be looked up. Append the same again, ids and all: it is written once. */
export class OutcomeUnknownError extends MeowError {
  /** The stream; of `appendAll` the first one. */
  declare readonly stream: StreamRef
  /** The events, of all streams. */
  declare readonly events: NewEvent[]
  /** The call's writes, one a stream: what `appendAll` takes. */
  declare readonly writes: readonly UnknownWrite[]

  constructor(writes: readonly UnknownWrite[], cause?: unknown) {
    const { stream } = writes[0]!
    const events = writes.flatMap((write) => write.events)
    const others = new Set(writes.map((write) => label(write.stream))).size - 1
    super(
      'ERR_OUTCOME_UNKNOWN',
      `whether ${events.length} event(s) were appended to stream ${label(stream)}${others > 0 ? ` and ${others} more` : ''} is unknown: the answer was lost and could not be looked up in time; ${
        writes.length > 1 ? 'call appendAll(error.writes)' : 'append error.events'
      } again (same ids), which is safe`,
      cause,
      { stream, events, writes },
    )
  }
}

const label = ({ category, streamId }: StreamRef) => `"${redact(category)}/${redact(streamId)}"`
