// What a timer is, how one is checked, and how it is stored.
import { z } from 'zod'
import type { StreamWrite } from '../append/append.ts'
import { derivedId } from '../append/idempotency.ts'
import type { ExpectedVersion, Request } from '../append/request.ts'
import { encodeRequest } from '../append/request.ts'
import { ValidationError } from '../core/errors.ts'
import { isDate } from '../core/kinds.ts'
import { check } from '../core/validate.ts'
import type { NewEvent, StreamRef } from '../events/event.ts'

/** When a timer is due: at a moment, or this many ms from now by the database's clock (minimum 0, at most 100 years). */
export type Due = Date | { inMs: number }

/** A timer that waits, or that could not append. */
export interface ScheduledTimer {
  readonly key: string
  /** When it is due. */
  readonly due: Date
  /** The stream to which it will append. */
  readonly stream: StreamRef
  /** What it will append. */
  readonly events: NewEvent[]
  /** The version that the stream must have then; absent if any version is accepted. */
  readonly expectedVersion?: ExpectedVersion
  /** Present if it was due and the append failed. */
  readonly failure?: TimerFailure
}

/** Why a timer has not appended yet. */
export interface TimerFailure {
  /** How often it was tried. */
  readonly attempts: number
  /** The last error, with its stack. */
  readonly error: string
  /** When it is tried again; null: never by itself. Schedule it again, run it (`runTimer`), or unschedule it. */
  readonly retryAt: Date | null
}

/** A hundred years. */
const MAX_IN_MS = 100 * 366 * 24 * 60 * 60 * 1_000
const FIRST = new Date('0001-01-01T00:00:00Z').getTime()
const LAST = new Date('9999-12-31T23:59:59.999Z').getTime()

export const inMsSchema = z.number().min(0).max(MAX_IN_MS)
const relativeSchema = z.strictObject({ inMs: inMsSchema })
const WRITE_KEYS = ['stream', 'events', 'expectedVersion']

/** Checks when something is due. Whole ms, rounded up, so that nothing is early. */
export function checkDue(due: unknown, path: string): { at: Date } | { inMs: number } {
  if (isDate(due)) {
    const time = due.getTime()
    if (!(time >= FIRST && time <= LAST))
      throw new ValidationError(path, 'must be a valid Date in the years 1 to 9999', due)
    return { at: new Date(time) } // a copy: the caller may change its own
  }
  if (typeof due !== 'object' || due === null)
    throw new ValidationError(path, 'must be a Date or { inMs }', due)
  const { inMs } = check(relativeSchema, due, path, 'is not an option')
  return { inMs: Math.ceil(inMs) }
}

/** Checks what a timer is to append, completely, and encodes it for the store. */
export function encodeWrite(write: StreamWrite, path = 'write'): { stream: StreamRef; json: string } {
  if (typeof write !== 'object' || write === null)
    throw new ValidationError(path, 'must be { stream, events }', write)
  const stranger = Object.keys(write).find((key) => !WRITE_KEYS.includes(key))
  if (stranger) throw new ValidationError(`${path}.${stranger}`, 'is not an option', (write as any)[stranger])
  const expected = 'expectedVersion' in write ? write.expectedVersion : 'any'
  const request = encodeRequest(write.stream, write.events, expected, `${path}.`)
  if (request.events.length === 0) throw new ValidationError(`${path}.events`, 'must not be empty', [])
  const given = [write.events].flat()
  const events = request.events.map(({ id, type, data, metadata, tags }, i) => {
    const own = given[i]!.id === undefined ? '' : `"id":"${id}",`
    const tagged = tags.length === 0 ? '' : `,"tags":${JSON.stringify(tags)}`
    return `{${own}"type":${JSON.stringify(type)},"data":${data},"metadata":${metadata}${tagged}}`
  })
  const { stream } = request
  return { stream, json: `{"expected":${JSON.stringify(request.expected)},"events":[${events.join(',')}]}` }
}

/** The stored form of what a timer appends. */
interface StoredWrite {
  readonly expected: ExpectedVersion
  readonly events: {
    id?: string
    type: string
    data: unknown
    metadata: Record<string, unknown>
    tags?: string[]
  }[]
}

/**
 * The append of a timer. The ids of its events are made of its key, its due time and what it appends, so the same timer can't
 * append twice.
 */
export function toRequest(key: string, due: string, stream: StreamRef, write: string): Request {
  const { expected, events } = JSON.parse(write) as StoredWrite
  const ofTimer = JSON.stringify([key, due, write])
  const withIds = events.map((event, i) => ({ id: derivedId(stream, ofTimer, i), ...event }))
  // They were checked when the timer was made. The types of a zod category have been encoded by it.
  return encodeRequest(stream, withIds, expected, '', 'expectedVersion', () => true)
}

/** The public form of a stored write. */
export function fromStored(write: string): Pick<ScheduledTimer, 'events' | 'expectedVersion'> {
  const { expected, events } = JSON.parse(write) as StoredWrite
  return {
    events: events.map(({ metadata, ...event }) =>
      Object.keys(metadata).length === 0 ? event : { ...event, metadata },
    ),
    ...(expected === 'any' ? {} : { expectedVersion: expected }),
  }
}
