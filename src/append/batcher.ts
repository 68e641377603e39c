import { now, soon } from '../core/clock.ts'
import { ClosedError } from '../core/errors.ts'
import { Semaphore } from '../core/semaphore.ts'
import type { Database } from '../database/database.ts'
import { isLost, isReadOnly } from '../database/failures.ts'
import type { Batch, Outcome } from './batch.ts'
import { Busy } from './batch.ts'
import type { Request } from './request.ts'
import type { LockedTags } from './tag-locks.ts'
import { TagLocks } from './tag-locks.ts'
import type { Answer } from './write.ts'
import { outcomesOf, outcomeUnknown, Unanswered, write } from './write.ts'

/** Requests that must be sent together: one append, or all writes of an appendAll. */
interface Item {
  requests: readonly Request[]
  atomic: boolean
  /** The keys that no other running batch may have: the streams, and ids that may be known. */
  keys: readonly string[]
  /** The tags that it locks; undefined: it has neither tags nor a condition. */
  locks: LockedTags | undefined
  size: number
  resolve(outcomes: Outcome[]): void
  reject(error: unknown): void
}

/** Batches under way at once, each on a connection of its own. One of them is never a large one. */
const SLOTS = 2
/**
 * The same for appends that lock tags. They have connections of their own, because they may wait for another transaction's locks, and
 * other appends must not wait for that.
 */
const LOCKING_SLOTS = 4
/** Appends that wait for a lock on a tag at once, each on a connection of its own. */
const MAX_WAITERS = 4
const LARGE = 256 * 1024
const MAX_ITEMS = 1_000
/** Tags of one batch: more would be locked by the one lock that stands for all (sql/functions/lock_tags.sql). */
const MAX_TAGS = 256
/** 32 callers append 1.5 times as much in two batches of 16 as in one of 32, because the server and this process work in parallel. */
const MIN_SHARE = 16
/** How long batches append in the order of stream names after a lost race. In ms. */
const CONTENDED_MS = 60_000

/**
 * Sends concurrent appends together, because NOTIFY makes commits wait for each other: push is affordable if many appends share
 * one transaction. There is no timer: the next batch fills while the one before it is under way.
 *
 * Appends to one stream keep their order: they are never in two batches at once.
 */
export class Batcher {
  readonly #db: Database
  readonly #batch: Pick<Batch, 'run'>
  #queue: Item[] = []
  readonly #busy = new Set<string>() // streams, and ids of callers, of the batches under way
  readonly #locked = new TagLocks() // by the batches under way
  #underWay = 0
  #lockingUnderWay = 0
  #waiting = 0
  readonly #waiters: Semaphore
  #largeUnderWay = 0
  #scheduled = false
  #closed = false
  #drained?: () => void
  #contendedUntil = 0

  constructor(db: Database, batch: Pick<Batch, 'run'>) {
    this.#db = db
    this.#batch = batch
    const { pool, maxConnections } = db.settings
    this.#waiters = new Semaphore(
      Math.max(1, Math.min((pool?.options.max ?? maxConnections) - SLOTS - 1, MAX_WAITERS)),
    )
  }

  /** The outcome of each request. Rejects if none of them has one. */
  append(requests: readonly Request[], atomic: boolean): Promise<Outcome[]> {
    if (this.#closed) return Promise.reject(new ClosedError())
    return new Promise((resolve, reject) => {
      const size = requests.reduce((sum, request) => sum + request.size, 0)
      this.#queue.push({
        requests,
        atomic,
        keys: keysOf(requests),
        locks: locksOf(requests),
        size,
        resolve,
        reject,
      })
      this.#schedule()
    })
  }

  /** Refuses new appends, and waits for those in progress. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#isIdle) return
    await new Promise<void>((resolve) => {
      this.#drained = resolve
    })
  }

  // One tick later, after the promises that settle now, so that the callers which they wake append into the same batch.
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    soon(() => {
      this.#scheduled = false
      while (this.#underWay < SLOTS) {
        const items = this.#take(false, SLOTS - this.#underWay)
        if (items.length === 0) break
        this.#send(items)
      }
      while (this.#hasLocking && this.#lockingUnderWay < LOCKING_SLOTS) {
        const items = this.#take(true, LOCKING_SLOTS - this.#lockingUnderWay)
        if (items.length === 0) break
        this.#send(items)
      }
      if (this.#isIdle) this.#drained?.()
    })
  }

  get #isIdle(): boolean {
    return (
      this.#underWay === 0 && this.#lockingUnderWay === 0 && this.#waiting === 0 && this.#queue.length === 0
    )
  }

  get #hasLocking(): boolean {
    return this.#queue.some(({ locks }) => locks !== undefined)
  }

  /**
   * The next batch, in order of arrival: of appends that lock tags, or of others. Items that must wait for a batch under way are
   * left out; a group is sent alone. Two that lock the same tag, one of them exclusively, are in different batches, one after the other.
   */
  #take(locking: boolean, slots: number): Item[] {
    const items: Item[] = []
    const rest: Item[] = []
    const blocked = new Set<string>()
    const ahead = locking ? new TagLocks() : undefined // of this batch, and of items that wait
    let size = 0
    let tags = 0
    // Many appends that wait are spread over the free slots: the server works on one batch while we prepare the other.
    const share = Math.max(MIN_SHARE, Math.ceil(this.#queue.length / slots))
    for (const item of this.#queue) {
      const { keys, locks } = item
      const fits =
        (locks !== undefined) === locking &&
        !(locks && (this.#locked.overlap(locks) || ahead!.overlap(locks))) &&
        (items.length === 0
          ? item.size < LARGE || this.#largeUnderWay < SLOTS - 1
          : !item.atomic &&
            !items[0]!.atomic &&
            items.length < Math.min(share, MAX_ITEMS) &&
            tags + tagsOf(item) <= MAX_TAGS &&
            size + item.size < LARGE)
      if (fits && !keys.some((key) => this.#busy.has(key) || blocked.has(key))) {
        items.push(item)
        size += item.size
        tags += tagsOf(item)
        for (const { events, lookup } of item.requests)
          if (lookup) for (const { id } of events) blocked.add(id)
      } else {
        for (const key of keys) blocked.add(key)
        rest.push(item)
      }
      if (locks) ahead?.add(locks)
    }
    this.#queue = rest
    return items
  }

  async #send(items: Item[]): Promise<void> {
    const large = items.some(({ size }) => size >= LARGE)
    const isLocking = items[0]!.locks !== undefined
    if (isLocking) this.#lockingUnderWay++
    else this.#underWay++
    for (const { locks } of items) if (locks) this.#locked.add(locks)
    if (large) this.#largeUnderWay++
    for (const { keys } of items) for (const key of keys) this.#busy.add(key)
    const waiting = await this.#settle(items, !isLocking)
    if (large) this.#largeUnderWay--
    if (isLocking) this.#lockingUnderWay--
    else this.#underWay--
    for (const item of items) {
      if (waiting.includes(item)) this.#wait(item)
      else this.#release(item)
    }
    this.#schedule()
  }

  #release({ keys, locks }: Item): void {
    for (const key of keys) this.#busy.delete(key)
    if (locks) this.#locked.delete(locks)
  }

  /** Others have locked a tag of this item, or of one that travelled with it: it goes on alone, and takes no slot from the rest. */
  async #wait(item: Item): Promise<void> {
    this.#waiting++
    const isBusy = (await this.#settle([item], false)).length > 0
    if (isBusy) await this.#waiters.use(() => this.#settle([item], true))
    this.#waiting--
    this.#release(item)
    this.#schedule()
  }

  #onRace = () => {
    this.#contendedUntil = now() + CONTENDED_MS
  }

  /** Runs a batch and settles every item in it. Never rejects. Without `wait` it returns those that are still to be sent. */
  async #settle(items: Item[], wait: boolean): Promise<readonly Item[]> {
    const { atomic } = items[0]!
    const requests = items.flatMap((item) => item.requests)
    // In the order of the calls. If other processes append to the same streams at the same time, all of them use one order of
    // streams for a while, so that no two batches wait for each other. The sort is stable, so each stream keeps its order.
    const contended = !atomic && now() < this.#contendedUntil
    const sent = contended
      ? requests.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
      : requests
    try {
      const answers = await write(this.#db, this.#batch, sent, { atomic, wait, onRace: this.#onRace })
      if (answers[0] instanceof Busy) return items
      const of = new Map(sent.map((request, i) => [request, answers[i]!]))
      for (const item of items) settle(item, of)
    } catch (error) {
      if (error instanceof Unanswered) {
        for (const { requests, reject } of items) reject(outcomeUnknown(requests, error.cause))
      } else if (items.length === 1 || isLost(error) || isReadOnly(error)) {
        for (const { reject } of items) reject(error)
      } else {
        // One item that the server refuses must not fail the others.
        for (const item of items) await this.#settle([item], true)
      }
    }
    return []
  }
}

const tagsOf = ({ locks }: Item) => (locks ? locks.exclusive.length + locks.shared.length : 0)

function keysOf(requests: readonly Request[]): string[] {
  const keys: string[] = []
  for (const { key, lookup, events } of requests) {
    keys.push(key)
    if (lookup) for (const { id } of events) keys.push(id)
  }
  return keys
}

function locksOf(requests: readonly Request[]): LockedTags | undefined {
  if (!requests.some(({ tags, condition }) => tags.length > 0 || condition)) return undefined
  return {
    exclusive: requests.flatMap(({ condition }) => condition?.locked ?? []),
    shared: requests.flatMap(({ tags }) => tags),
  }
}

function settle(item: Item, answers: ReadonlyMap<Request, Answer>): void {
  const { requests, resolve, reject } = item
  try {
    resolve(
      outcomesOf(
        requests,
        requests.map((request) => answers.get(request)!),
      ),
    )
  } catch (error) {
    reject(error)
  }
}
