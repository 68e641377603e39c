import { isDeepStrictEqual } from 'node:util'
import type { RecordedEvent, StreamRef } from '../event.ts'
import type { Meow } from '../meow.ts'
import type { Shown } from './show.ts'
import { show } from './show.ts'

/** Events that a state is made of at most; of a longer stream the last ones before the version. */
const MOST_FOLDED = 10_000
/** Of one query: they are held in memory. */
const PAGE = 100
/** Events around the version that are listed. */
const AROUND = 25
/** Characters of the whole event, of the state, and of one changed property. */
const MOST_SHOWN = 65_536
const MOST_CHANGE = 500
const MOST_CHANGES = 200

export interface Change {
  readonly key: string
  readonly kind: 'added' | 'changed' | 'same'
  readonly before: string | null
  readonly after: string
}

export interface History {
  /** -1: there is no such stream. */
  readonly lastVersion: number
  readonly version: number
  readonly event:
    | (Omit<RecordedEvent, 'data' | 'metadata' | 'recordedAt'> & {
        recordedAt: number
        data: Shown
        metadata: Shown
      })
    | null
  readonly state: Shown
  readonly changes: readonly Change[]
  /** The first version that is in the state. */
  readonly foldedFrom: number
  /** Events whose data is no object, which can't be merged. */
  readonly leftOut: number
  readonly around: readonly { version: number; type: string; recordedAt: number }[]
}

/** Null prototype: a property `__proto__` is one as any other. */
type State = Record<string, unknown>

/**
 * A stream as of a version (default: the last). The studio knows no reducer, so the state is what nearly every stream gives
 * without one: the data of its events laid over each other, a later event's properties over those of an earlier one.
 */
export async function historyOf(
  meow: Meow,
  stream: StreamRef,
  wanted: number | undefined,
  signal: AbortSignal,
): Promise<History> {
  const [last] = await meow.load(stream, { direction: 'backward', limit: 1 })
  const lastVersion = last?.version ?? -1
  const version = Math.min(wanted ?? lastVersion, lastVersion)
  const foldedFrom = Math.max(0, version + 1 - MOST_FOLDED)
  const state: State = Object.create(null)
  let leftOut = 0
  let event: RecordedEvent | null = null
  for (let from = foldedFrom; from < version; from += PAGE) {
    signal.throwIfAborted()
    const events = await meow.load(stream, { fromVersion: from, toVersion: Math.min(from + PAGE, version) })
    for (const { data } of events) if (!merge(state, data)) leftOut++
  }
  if (version >= 0) [event = null] = await meow.load(stream, { fromVersion: version, limit: 1 })
  const changes = event ? changesBy(state, event.data) : []
  if (event && !merge(state, event.data)) leftOut++
  const near = await meow.load(stream, { fromVersion: Math.max(0, version - AROUND), limit: 2 * AROUND + 1 })
  return {
    lastVersion,
    version,
    event: event && {
      ...event,
      recordedAt: event.recordedAt.getTime(),
      data: show(event.data, MOST_SHOWN, 2),
      metadata: show(event.metadata, MOST_SHOWN, 2),
    },
    state: show(state, MOST_SHOWN, 2),
    changes,
    foldedFrom,
    leftOut,
    around: near.map(({ version, type, recordedAt }) => ({
      version,
      type,
      recordedAt: recordedAt.getTime(),
    })),
  }
}

const isObject = (data: unknown): data is Record<string, unknown> =>
  typeof data === 'object' && data !== null && !Array.isArray(data)

function merge(state: State, data: unknown): boolean {
  if (!isObject(data)) return false
  for (const key of Object.keys(data)) state[key] = data[key]
  return true
}

function changesBy(state: State, data: unknown): Change[] {
  if (!isObject(data)) return []
  return Object.keys(data)
    .slice(0, MOST_CHANGES)
    .map((key) => {
      const after = show(data[key], MOST_CHANGE).text
      if (!(key in state)) return { key, kind: 'added', before: null, after }
      const before = show(state[key], MOST_CHANGE).text
      return { key, kind: isSame(state[key], data[key]) ? 'same' : 'changed', before, after }
    })
}

function isSame(before: unknown, after: unknown): boolean {
  try {
    return isDeepStrictEqual(before, after)
  } catch {
    return false // too deep to be compared
  }
}
