import { attempt, messageOf } from './describe.ts'
import { isError } from './kinds.ts'
import { redact, redactNamed, redactText } from './secrets.ts'

/** Makes `VersionConflictError` of `ERR_VERSION_CONFLICT`. A minifier would change the name of the class itself. */
function nameOf(code: string): string {
  const words = code.toLowerCase().split('_').slice(1)
  return `${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')}Error`
}

/**
 * The base of every error of this library: a stable `code`, typed fields, a message with the offending values, a `cause`.
 * Nothing that may be a credential is printed: a field that contains one (a stream's name, an event) exists, but is not
 * enumerable.
 */
export class MeowError extends Error {
  /** Stable across versions. Compare this instead of the message. */
  readonly code: string

  constructor(code: string, message: string, cause?: unknown, fields: object = {}) {
    super(redactText(message), cause === undefined ? undefined : { cause: redact(cause) })
    this.code = code
    this.name = nameOf(code)
    for (const [name, value] of Object.entries(fields))
      Object.defineProperty(this, name, { value, enumerable: redact(value) === value })
  }
}

/** An argument or option is invalid. Nothing was sent to the database. */
export class ValidationError extends MeowError {
  /** The path to the value, e.g. `events[2].data.price`. */
  declare readonly path: string
  /** The value that was given, without anything that may be a credential. */
  declare readonly value: unknown

  constructor(path: string, problem: string, given: unknown, cause?: unknown) {
    const value = redactNamed(path, given)
    super('ERR_VALIDATION', `${path} ${problem}, got ${show(value)}`, cause, {
      path: redactText(path),
      value,
    })
  }
}

/** The schema is not migrated, is newer than this library, or is in a state in which events could be lost. */
export class SchemaError extends MeowError {
  declare readonly schema: string

  constructor(schema: string, message: string, cause?: unknown) {
    super('ERR_SCHEMA', message, cause, { schema })
  }
}

/**
 * The server cannot be reached, the login failed, privileges are missing, or the connection broke. The message says what to do.
 */
export class ConnectionError extends MeowError {
  constructor(message: string, cause?: unknown) {
    super('ERR_CONNECTION', message, cause)
  }
}

/**
 * The store has gone back: a server that did not have all of its events took over (asynchronous replication, a restore), or a
 * position comes from another store. Positions above `lastPosition` are given to new events, so do not resume from them. If you
 * keep events outside of the store, compare their ids.
 */
export class HistoryLostError extends MeowError {
  /** The position that was seen or asked for, and that the store does not have. */
  declare readonly position: number
  /** The last position that the store has assigned. */
  declare readonly lastPosition: number
  /** The id of the event that was seen at `position`; undefined if only the position is known. */
  declare readonly eventId: string | undefined

  constructor(position: number, lastPosition: number, eventId?: string) {
    super(
      'ERR_HISTORY_LOST',
      eventId === undefined
        ? `position ${position} is ahead of the store, whose last position is ${lastPosition}: reading from there would skip the events that are still to come; start from a position of this store`
        : `the store has gone back: event ${eventId} was at position ${position} and is no longer there, the last position is ${lastPosition}; its server was replaced by one that did not have all events, which assigns the missing positions to new events: compare event ids, and start again from a position of this store`,
      undefined,
      { position, lastPosition, eventId },
    )
  }
}

/**
 * A number of the store has reached its limit: 2^53 - 1 for positions, 2^31 - 1 for the versions of a stream. Nothing was
 * written.
 *
 * `ERR_LIMIT`
 */
export class LimitError extends MeowError {
  constructor(message: string, cause?: unknown) {
    super('ERR_LIMIT', message, cause)
  }
}

/** The operation was not done in the given time. */
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

/** The message of an error, or a description of any other value. */
export const explain = (error: unknown): string => (isError(error) ? messageOf(error) : show(error))

/** A value as an error message prints it: short, without anything that may be a credential. It never throws. */
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
