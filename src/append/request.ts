import { ValidationError } from '../core/errors.ts'
import { nameSchema, versionSchema } from '../core/fields.ts'
import { encodeJson, plainObject } from '../core/json.ts'
import { parse } from '../core/validate.ts'
import type { EventModel, NewEvent, RecordedEvent, Storable, StreamRef } from '../events/event.ts'
import { isReserved, modelOf, streamKey } from '../events/event.ts'
import { inheritedMetadata, mergeMetadata } from '../events/event-context.ts'
import { checkTags, NO_TAGS, refuseTagsKey } from '../events/tags.ts'
import type { Condition } from './condition.ts'
import { uuidv7 } from './uuid.ts'

/**
 * The state that the stream must have: the version of its last event (-1: the stream does not exist), `'no-stream'`,
 * `'stream-exists'`, or `'any'`.
 */
export type ExpectedVersion = 'any' | 'no-stream' | 'stream-exists' | number

/** The result of an append. If the stream has a zod category, `E` is its typed events. */
export interface AppendResult<E = RecordedEvent> {
  /** The events as they are recorded, in the order of the call. */
  events: E[]
  /** Of the last event; if there was nothing to append, of the stream's last one: -1 if it has none. */
  version: number
  /** Of the same event; 0 if there is none. */
  position: number
  /** If true, these ids were recorded before, and this is what was recorded then. */
  deduplicated: boolean
}

export interface EncodedEvent {
  id: string
  type: string
  data: string
  metadata: string
  tags: readonly string[]
  /** See `Storable`. */
  seen: Storable['seen']
}

/** One append, checked and encoded. */
export interface Request {
  stream: StreamRef
  /** The stream as a key of a Map. */
  key: string
  expected: ExpectedVersion
  events: EncodedEvent[]
  /** Whether the caller gave ids, which may be known to the store. */
  lookup: boolean
  /** All tags of its events. */
  tags: readonly string[]
  /** The condition of the call. Of an `appendAll`, the first request has it. */
  condition?: Condition
  /** Size of the events, in characters. */
  size: number
}

/** The maximum number of characters of JSON in one append. */
const MAX_SIZE = 128 * 1024 * 1024
const EVENT_KEYS = new Set(['id', 'type', 'data', 'metadata', 'tags'])
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Check everything about an append before anything is sent. `path` is that of the arguments: '' or 'writes[2].'.
 * `isStored`: these events are in a store already, so their types may be reserved ones.
 */
export function encodeRequest(
  stream: StreamRef,
  events: NewEvent | readonly NewEvent[],
  expected: ExpectedVersion | undefined,
  path = '',
  expectedPath = `${path}expectedVersion`,
  isStored?: (i: number) => boolean,
): Request {
  const { category, streamId } = checkStream(stream, `${path}stream`)
  const model = modelOf(stream)
  const around = inheritedMetadata()
  const list = Array.isArray(events) ? events : [events]
  const at = (i: number) => (Array.isArray(events) ? `${path}events[${i}]` : `${path}events`)
  const encoded: EncodedEvent[] = []
  let size = 0
  let lookup = false
  let tags: Set<string> | undefined
  for (let i = 0; i < list.length; i++) {
    const one = encodeEvent(list[i], at(i), model, around)
    if (isReserved(one.type) && !isStored?.(i))
      throw new ValidationError(`${at(i)}.type`, "must not begin with '$': such types are reserved", one.type)
    encoded.push(one)
    lookup ||= list[i].id !== undefined
    if (one.tags.length > 0) {
      tags ??= new Set()
      for (const tag of one.tags) tags.add(tag)
    }
    size += one.data.length + one.metadata.length + 150
  }
  if (lookup) checkDistinct(encoded, at)
  if (size > MAX_SIZE)
    throw new ValidationError(
      `${path}events`,
      `must not exceed ${MAX_SIZE} characters of JSON in one call`,
      size,
    )
  return {
    stream: { category, streamId },
    key: streamKey({ category, streamId }),
    expected: checkExpected(expected, expectedPath),
    events: encoded,
    lookup,
    tags: tags ? [...tags] : NO_TAGS,
    size,
  }
}

function checkDistinct(events: readonly EncodedEvent[], at: (i: number) => string): void {
  const ids = new Set<string>()
  events.forEach(({ id }, i) => {
    if (ids.has(id)) throw new ValidationError(`${at(i)}.id`, 'must not occur twice in one call', id)
    ids.add(id)
  })
}

export function checkStream(stream: StreamRef, path = 'stream'): StreamRef {
  if (typeof stream !== 'object' || stream === null) {
    throw new ValidationError(path, 'must be { category, streamId }', stream)
  }
  const { category, streamId } = stream
  checkName(category, path, 'category')
  checkName(streamId, path, 'streamId')
  return { category, streamId }
}

/** The same check as `nameSchema`, but cheap if the name is valid: this is the hot path. */
function checkName(value: unknown, path: string, property: string): void {
  const fine = typeof value === 'string' && value !== '' && value.length <= 255
  if (!fine || value.includes('\u0000') || !value.isWellFormed())
    parse(nameSchema, value, `${path}.${property}`)
}

/**
 * `ofStream`: the model of the stream's category; if there is none, the event may have its own. `around`: metadata that is added
 * to the event's own.
 */
function encodeEvent(event: NewEvent, path: string, ofStream?: EventModel, around?: object): EncodedEvent {
  if (typeof event !== 'object' || event === null)
    throw new ValidationError(path, 'must be { type, data }', event)
  const { id, type, metadata } = event
  checkName(type, path, 'type')
  if (id !== undefined && !(typeof id === 'string' && UUID.test(id)))
    throw new ValidationError(`${path}.id`, 'must be a UUID', id)
  if (
    metadata !== undefined &&
    (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
  ) {
    throw new ValidationError(`${path}.metadata`, 'must be an object', metadata)
  }
  // A misspelt id would make a retry unsafe, and a misspelt metadata would be lost.
  for (const key in event) {
    if (!EVENT_KEYS.has(key))
      throw new ValidationError(`${path}.${key}`, 'is no part of an event', (event as any)[key])
  }
  const model = ofStream ?? modelOf(event)
  const own = metadata && plainObject(metadata, `${path}.metadata`)
  const whole =
    around || own !== metadata
      ? { ...event, metadata: mergeMetadata(around, own, `${path}.metadata`) }
      : event
  const stored: Storable = model ? model.toStore(whole, path) : whole
  const encoded = stored.metadata === undefined ? '{}' : encodeJson(stored.metadata, `${path}.metadata`)
  if (stored.metadata !== undefined) refuseTagsKey(stored.metadata, `${path}.metadata`)
  return {
    id: id?.toLowerCase() ?? uuidv7(),
    type,
    data: encodeJson(stored.data, `${path}.data`),
    metadata: encoded,
    tags: 'tags' in stored ? checkTags(stored.tags, `${path}.tags`) : NO_TAGS,
    seen: stored.seen,
  }
}

/** Whether a stream whose last version is `last` (-1 if it does not exist) is as expected. */
export function meets(expected: ExpectedVersion, last: number): boolean {
  if (expected === 'any') return true
  if (expected === 'stream-exists') return last >= 0
  return last === (expected === 'no-stream' ? -1 : expected)
}

export function checkExpected(expected: ExpectedVersion | undefined, path: string): ExpectedVersion {
  if (expected === 'any' || expected === 'no-stream' || expected === 'stream-exists' || expected === -1)
    return expected
  if (expected === undefined)
    throw new ValidationError(
      path,
      "must have a value or be left out (undefined would mean 'any', whatever was appended meanwhile; a stream without events is 'no-stream')",
      expected,
    )
  if (typeof expected !== 'number') {
    throw new ValidationError(path, `must be 'any', 'no-stream', 'stream-exists' or a version`, expected)
  }
  return parse(versionSchema, expected, path)
}
