import { now, sleep, soon } from '../core/clock.ts'
import { ClosedError, TimeoutError } from '../core/errors.ts'
import type { Database } from '../database/database.ts'
import { isLost, isQueueFull, isReadOnly, isTransient } from '../database/failures.ts'
import { OutcomeUnknownError, VersionConflictError } from '../events/errors.ts'
import type { Batch, Outcome, Trip } from './batch.ts'
import { Aborted } from './batch.ts'
import { bare } from './projections.ts'
import type { Request } from './request.ts'

/** What travels together or not at all: one append, or the group of an appendAll. */
interface Item {
  requests: readonly Request[]
  atomic: boolean
  /** What no other batch may carry meanwhile: its streams, and ids that may be known. */
  keys: readonly string[]
  size: number
  resolve(outcomes: Outcome[]): void
  reject(error: unknown): void
}

/** Batches under way at once, each on a connection of its own. One lane is kept from large ones, where there are several. */
const LANES = 2
const LARGE = 256 * 1024
const MAX_ITEMS = 1_000
/** With 32 callers in two batches of 16 they get through half as much again as in one of 32: server and client take turns no more. */
const MIN_SHARE = 16
/** Races that a batch of several loses before each of its requests goes alone. */
const MAX_RACES = 5
/** Tries of a batch that meets a full queue, each after it was mended. */
const MAX_FULL = 5
/** How long after a race that was lost batches go in one order of streams. */
const CONTENDED_MS = 60_000

/**
 * Appends that run concurrently travel together, because NOTIFY serializes commits: one transaction for many is what
 * makes push affordable. No timer: while one batch is under way the next one fills.
 *
 * Requests for one stream keep their order: they are never in two batches at once.
 */
export class Batcher {
  readonly #db: Database
  readonly #batch: Pick<Batch, 'run'>
  readonly #maxLanes: number
  #queue: Item[] = []
  readonly #busy = new Set<string>() // streams, and ids of callers, of the batches under way
  #lanes = 0
  #largeLanes = 0
  #scheduled = false
  #closed = false
  #drained?: () => void
  #contendedUntil = 0

  constructor(db: Database, batch: Pick<Batch, 'run'>, lanes = LANES) {
    this.#db = db
    this.#batch = batch
    this.#maxLanes = lanes
  }

  /** The outcome of each request. Rejects where none of them has one. */
  append(requests: readonly Request[], atomic: boolean): Promise<Outcome[]> {
    if (this.#closed) return Promise.reject(new ClosedError())
    return new Promise((resolve, reject) => {
      const size = requests.reduce((sum, request) => sum + request.size, 0)
      this.#queue.push({ requests, atomic, keys: claims(requests), size, resolve, reject })
      this.#schedule()
    })
  }

  /** Refuse new appends, and wait for those under way. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#queue.length === 0 && this.#lanes === 0) return
    await new Promise<void>((resolve) => {
      this.#drained = resolve
    })
  }

  // A tick later, after the promises that settle now: whoever they wake appends into the same batch.
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    soon(() => {
      this.#scheduled = false
      while (this.#lanes < this.#maxLanes) {
        const items = this.#take()
        if (items.length === 0) break
        this.#travel(items)
      }
      if (this.#lanes === 0 && this.#queue.length === 0) this.#drained?.()
    })
  }

  /** The next batch: in order of arrival, without what has to wait for a batch under way. A group travels alone. */
  #take(): Item[] {
    const items: Item[] = []
    const rest: Item[] = []
    const blocked = new Set<string>()
    let size = 0
    // Many that wait are spread over the free lanes: the server works on one batch while we prepare the other.
    const share = Math.max(MIN_SHARE, Math.ceil(this.#queue.length / (this.#maxLanes - this.#lanes)))
    for (const item of this.#queue) {
      const { keys } = item
      const fits =
        items.length === 0
          ? item.size < LARGE || this.#largeLanes < Math.max(1, this.#maxLanes - 1)
          : !item.atomic &&
            !items[0]!.atomic &&
            items.length < Math.min(share, MAX_ITEMS) &&
            size + item.size < LARGE
      if (fits && !keys.some((key) => this.#busy.has(key) || blocked.has(key))) {
        items.push(item)
        size += item.size
        for (const { events, lookup } of item.requests)
          if (lookup) for (const { id } of events) blocked.add(id)
      } else {
        for (const key of keys) blocked.add(key)
        rest.push(item)
      }
    }
    this.#queue = rest
    return items
  }

  async #travel(items: Item[]): Promise<void> {
    const keys = items.flatMap((item) => item.keys)
    const large = items.some(({ size }) => size >= LARGE)
    this.#lanes++
    if (large) this.#largeLanes++
    for (const key of keys) this.#busy.add(key)
    await this.#settle(items)
    for (const key of keys) this.#busy.delete(key)
    if (large) this.#largeLanes--
    this.#lanes--
    this.#schedule()
  }

  /** Run a batch and answer everyone in it; never rejects. */
  async #settle(items: Item[]): Promise<void> {
    const { atomic } = items[0]!
    const requests = items.flatMap((item) => item.requests)
    // In the order of the calls. Where other processes are seen to append to the same streams at the same time, all in
    // one order of streams for a while, so that no two batches wait for each other. Within a stream the sort is stable.
    const contended = !atomic && now() < this.#contendedUntil
    const sent = contended
      ? requests.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
      : requests
    try {
      const outcomes = await this.#run(sent, atomic)
      const of = new Map(sent.map((request, i) => [request, outcomes[i]!]))
      for (const item of items) answer(item, of)
    } catch (error) {
      if (items.length === 1 || isLost(error) || isReadOnly(error) || error instanceof Unknown) {
        for (const item of items) item.reject(error instanceof Unknown ? unknown(item, error.cause) : error)
      } else {
        // Something the server refuses in one of them must not fail the others.
        for (const item of items) await this.#settle([item])
      }
    }
  }

  async #run(requests: readonly Request[], atomic: boolean): Promise<(Outcome | Unknown)[]> {
    const { queryTimeoutMs } = this.#db.settings
    const began = now()
    let lostAt: number | undefined // since when an answer is missing
    let lookup = false
    let full = 0 // how often NOTIFY's queue was
    for (let attempt = 1; ; attempt++) {
      const trip: Trip = { sent: false }
      try {
        const outcomes = await this.#batch.run(requests, { atomic, lookup, trip })
        return outcomes.map((outcome, i) => {
          if (lostAt !== undefined && !lasts(outcome)) return new Unknown(outcome)
          return lookup ? ours(outcome, requests[i]!) : outcome
        })
      } catch (error) {
        if (isLost(error) && trip.sent && lostAt === undefined) {
          lostAt = now()
          this.#db.settings.logger.warn({ err: error }, 'the answer to an append was lost; looking it up')
        }
        if (lostAt !== undefined) {
          // The same ids again are the way to look, for they are written once. Whatever else is said meanwhile, by a
          // server that refuses this try, says nothing of the one whose answer was lost.
          if (!(isTransient(error) || isRace(error)) || now() - lostAt >= queryTimeoutMs)
            throw new Unknown(error)
          await sleep(Math.min(50 * attempt, 500))
        } else if (isReadOnly(error) || (trip.begun && isLost(error))) {
          // A standby, which may be about to be promoted; or the primary is another by now.
          if (now() - began >= queryTimeoutMs) throw error
          await sleep(Math.min(50 * attempt, 500))
        } else if (isQueueFull(error) && full++ < MAX_FULL && (await this.#db.mendNotifications())) {
          this.#db.settings.logger.warn({ err: error }, "NOTIFY's queue was full; trying again")
        } else if (isRace(error)) {
          // Whoever loses for long travels in smaller company, which has fewer races to win.
          if (attempt >= MAX_RACES && requests.length > 1 && !atomic) throw error
          if (now() - began >= queryTimeoutMs) {
            throw new TimeoutError(
              'an append that others to its streams keep ahead of',
              queryTimeoutMs,
              error,
            )
          }
          this.#contendedUntil = now() + CONTENDED_MS
          if (attempt > 1) await sleep(Math.random() * Math.min(2 ** attempt, 50))
        } else {
          throw error
        }
        lookup = true
      }
    }
  }
}

/** Sent, and no answer to be had. */
class Unknown {
  readonly cause: unknown

  constructor(cause: unknown) {
    this.cause = cause
  }
}

/**
 * Whether a later try can come to nothing else: a try whose answer was lost may still be run, by a backend that was frozen.
 * A stream only grows, so it is refused as well, unless it expects more events than there are yet.
 */
function lasts(outcome: Outcome): boolean {
  if (!(outcome instanceof VersionConflictError)) return true
  const { expected, actual } = outcome
  return expected === 'no-stream' || (typeof expected === 'number' && expected < actual)
}

/** A refusal of one that lasts is an answer to all of a group. */
function answer(item: Item, of: ReadonlyMap<Request, Outcome | Unknown>): void {
  const outcomes = item.requests.map((request) => of.get(request)!)
  const open = outcomes.find((outcome) => outcome instanceof Unknown)
  const refused = outcomes.some((outcome) => outcome instanceof Error && !(outcome instanceof Aborted))
  if (open && !refused) item.reject(unknown(item, open.cause))
  else item.resolve(outcomes as Outcome[])
}

function claims(requests: readonly Request[]): string[] {
  const keys: string[] = []
  for (const { key, lookup, events } of requests) {
    keys.push(key)
    if (lookup) for (const { id } of events) keys.push(id)
  }
  return keys
}

/** A lost race for a version or an id, a serialization failure, a deadlock: run again, and the winner is visible. */
function isRace(error: unknown): boolean {
  const { code, constraint } = (bare(error) ?? {}) as { code?: string; constraint?: string }
  if (code === '23505') return constraint === 'events_version' || constraint === 'events_id'
  return code === '40001' || code === '40P01'
}

/** Ids that we made were new to the caller: where an earlier try has written them, it was this call that did. */
function ours(outcome: Outcome, { lookup }: Request): Outcome {
  return outcome instanceof Error || lookup ? outcome : { ...outcome, deduplicated: false }
}

function unknown({ requests }: Item, cause: unknown): OutcomeUnknownError {
  const writes = requests.map(({ stream, expected, events }) => ({
    stream,
    events: events.map(({ id, type, data, metadata }) => ({
      id,
      type,
      data: JSON.parse(data),
      metadata: JSON.parse(metadata),
    })),
    expectedVersion: expected,
  }))
  return new OutcomeUnknownError(writes, cause)
}
