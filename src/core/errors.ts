import { attempt, messageOf } from './describe.ts'
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

/** The store was closed before or during the call. */
export class ClosedError extends MeowError {
  constructor(what = 'the store') {
    super('ERR_CLOSED', `${what} is closed`)
  }
}

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
