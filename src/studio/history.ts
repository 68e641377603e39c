// The history of a stream: an event, its changes, and the state.
import { isDeepStrictEqual } from 'node:util'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import type { Meow } from '../meow.ts'
import type { Shown } from './show.ts'
import { show } from './show.ts'

/** How many events the state is made of at most; for a longer stream, the last ones before the version. */
const MOST_FOLDED = 10_000
/** Events that one query reads. */
const PAGE = 100
/** How many events before and after the version are listed. */
const AROUND = 25
/** Limits in characters: of the whole event or state, and of one changed property. */
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
  /** -1 if there is no such stream. */
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
  /** The first version that the state contains. */
  readonly foldedFrom: number
  /** How many events are not in the state, because their data is not an object. */
  readonly leftOut: number
  readonly around: readonly { version: number; type: string; recordedAt: number }[]
}

/** It has no prototype, so `__proto__` is an ordinary property. */
type State = Record<string, unknown>

/**
 * A stream as of a version (default: the last). The studio does not know your reducers. Its state is the data of all events
 * merged into one object: properties of later events replace those of earlier ones.
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
  for await (const { data } of range(meow, stream, foldedFrom, version, signal))
    if (!merge(state, data)) leftOut++
  if (version >= 0) [event = null] = await meow.load(stream, { fromVersion: version, limit: 1 })
  const changes = event ? changesBy(state, event.data) : []
  if (event && !merge(state, event.data)) leftOut++
  const around: History['around'][number][] = []
  const first = Math.max(0, version - AROUND)
  for await (const { version, type, recordedAt } of range(
    meow,
    stream,
    first,
    first + 2 * AROUND + 1,
    signal,
  ))
    around.push({ version, type, recordedAt: recordedAt.getTime() })
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
    around,
  }
}

/** Reads page by page, so that few events are in memory. */
async function* range(meow: Meow, stream: StreamRef, from: number, to: number, signal: AbortSignal) {
  while (from < to) {
    signal.throwIfAborted()
    const { events } = await meow.loadPage(stream, { fromVersion: from, toVersion: to, limit: PAGE })
    yield* events
    const last = events.at(-1)
    if (!last) return
    from = last.version + 1
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
    return false // too deep to compare
  }
}
