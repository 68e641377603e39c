import { attempt, messageOf } from './describe.ts'
import type { NewEvent, StreamRef } from './event.ts'
import { isError } from './kinds.ts'
import { redact, redactNamed, redactText } from './secrets.ts'

/** `VersionConflictError` of `ERR_VERSION_CONFLICT`: the name of the class itself would not survive a minifier. */
function nameOf(code: string): string {
  const words = code.toLowerCase().split('_').slice(1)
  return `${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')}Error`
}

/**
 * What every error of this library is: a stable `code`, typed fields, the offending values in the message, a `cause`. It
 * prints nothing that may be a credential: a field that holds one (a stream's name, an event) is there, and not enumerable.
 */
export class MeowError extends Error {
  /** Stable across versions; compare this rather than the message. */
  readonly code: string

  constructor(code: string, message: string, cause?: unknown, fields: object = {}) {
    super(redactText(message), cause === undefined ? undefined : { cause: redact(cause) })
    this.code = code
    this.name = nameOf(code)
    for (const [name, value] of Object.entries(fields))
      Object.defineProperty(this, name, { value, enumerable: redact(value) === value })
  }
}

/** An argument or option that can't be right. Nothing was sent to the database. */
export class ValidationError extends MeowError {
  /** Where the value stands, e.g. `events[2].data.price`. */
  declare readonly path: string
  /** What was given; without what may be a credential. */
  declare readonly value: unknown

  constructor(path: string, problem: string, given: unknown, cause?: unknown) {
    const value = redactNamed(path, given)
    super('ERR_VALIDATION', `${path} ${problem}, got ${show(value)}`, cause, {
      path: redactText(path),
      value,
    })
  }
}

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
      `event id ${id}, appended to stream ${label(stream)}, is already recorded with another stream, type, data or company`,
      undefined,
      { id, stream },
    )
  }
}

/** Another executor owns the partition now; it handles again whatever was not acked in time. */
export class LeaseLostError extends MeowError {
  declare readonly subscription: string
  declare readonly partition: number

  constructor(subscription: string, partition: number, cause?: unknown) {
    super(
      'ERR_LEASE_LOST',
      `the lease of partition ${partition} of subscription "${subscription}" is lost: its unacked events are delivered again, by whoever owns it now`,
      cause,
      { subscription, partition },
    )
  }
}

/** A subscription of this name exists with another selector. */
export class SubscriptionMismatchError extends MeowError {
  declare readonly subscription: string

  constructor(subscription: string, message: string) {
    super('ERR_SUBSCRIPTION_MISMATCH', message, undefined, { subscription })
  }
}

/** No subscription has this name. */
export class SubscriptionNotFoundError extends MeowError {
  declare readonly subscription: string

  constructor(subscription: string) {
    super('ERR_SUBSCRIPTION_NOT_FOUND', `there is no subscription "${subscription}"`, undefined, {
      subscription,
    })
  }
}

/** The schema is not migrated, newer than this library, or in a state in which events could be lost. */
export class SchemaError extends MeowError {
  declare readonly schema: string

  constructor(schema: string, message: string, cause?: unknown) {
    super('ERR_SCHEMA', message, cause, { schema })
  }
}

/** No server, no entry, no rights, or the connection broke: the message says what to do. */
export class ConnectionError extends MeowError {
  constructor(message: string, cause?: unknown) {
    super('ERR_CONNECTION', message, cause)
  }
}

/**
 * The store has gone back: another server took over that had not got all of its events (asynchronous replication, a
 * restore), or a position comes from another store. Positions above `lastPosition` are handed out again, so nobody can go on
 * from the old ones: whoever keeps what he was delivered outside of the store has to compare event ids.
 */
export class HistoryLostError extends MeowError {
  /** What was seen, or asked for, and is not there. */
  declare readonly position: number
  /** The last one that the store has handed out. */
  declare readonly lastPosition: number
  /** Of the event that was seen at `position`; undefined where only the position is known. */
  declare readonly eventId: string | undefined

  constructor(position: number, lastPosition: number, eventId?: string) {
    super(
      'ERR_HISTORY_LOST',
      eventId === undefined
        ? `position ${position} is ahead of the store, whose last position is ${lastPosition}: events up to it are still to come, and would be passed over; begin at a position of this store`
        : `the store has gone back: event ${eventId} was at position ${position} and is there no longer, the last position is ${lastPosition}; its server was replaced by one that had not got all events, and positions above what that had are handed out again: compare event ids, and begin anew`,
      undefined,
      { position, lastPosition, eventId },
    )
  }
}

/**
 * A number of the store has come to its end: positions end at 2^53 - 1, the versions of a stream at 2^31 - 1. Nothing was
 * written.
 *
 * `ERR_LIMIT`
 */
export class LimitError extends MeowError {
  constructor(message: string, cause?: unknown) {
    super('ERR_LIMIT', message, cause)
  }
}

/** Not done in the time given. */
export class TimeoutError extends MeowError {
  declare readonly timeoutMs: number

  constructor(what: string, timeoutMs: number, cause?: unknown) {
    super('ERR_TIMEOUT', `${what} took longer than ${timeoutMs} ms`, cause, { timeoutMs })
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

/** The store was closed before or during the call. */
export class ClosedError extends MeowError {
  constructor(what = 'the store') {
    super('ERR_CLOSED', `${what} is closed`)
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

/** What an error says, or, of what is no error, what it is. */
export const explain = (error: unknown): string => (isError(error) ? messageOf(error) : show(error))

/** A value as an error message prints it: short, without what may be a credential, and never throwing. */
export function show(given: unknown): string {
  const value = redact(given)
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function')
    return `function ${attempt(() => (value.name ? String(value.name) : undefined)) ?? '(anonymous)'}`
  if (typeof value !== 'object' || value === null) return String(value)
  const json = attempt(() => JSON.stringify(value))
  if (json === undefined) return attempt(() => Object.prototype.toString.call(value)) ?? '[object]'
  return json.length > 80 ? `${json.slice(0, 80)}…` : json
}
