import type { Row } from '../../src/database/bounded-rows.ts'

/** An event as the simulated database has it. */
export interface Stored {
  readonly position: number
  readonly category: string
  readonly streamId: string
  readonly version: number
}

/** A transaction that appends: announced, it takes positions, and ends. */
export interface Transaction {
  readonly category: string
  readonly streamId: string
  /** All its positions are above this. */
  readonly announced: number
  readonly rows: Stored[]
  /** Of these the trigger has decided whether to notify … */
  decided: number
  /** … up to this position. */
  notifiesUpTo: number
}

/** The publisher's lease. */
export interface Lease {
  owner: string | null
  until: number
  published: number
  closed: boolean
}

export interface Checkpoint {
  position: number
  epoch: number
  owner: string | null
  leaseUntil: number
}

interface Parked {
  readonly category: string
  readonly streamId: string
  position: number
  attempts: number
  replaying: boolean
  discarded: boolean
}

/** What checks and the network hear of. */
export interface DatabaseEvents {
  notify(channel: string, payload: string): void
  committed(rows: readonly Stored[]): void
  /** A checkpoint was written, by whom holds `epoch`. */
  checkpoint(partition: number, epoch: number, before: number): void
  /** A partition was given to an executor. */
  granted(partition: number, epoch: number): void
  /** A write with a stale epoch was refused. */
  refused(): void
  /** A stream was set aside. */
  parked(streamId: string, position: number, replaying: boolean): void
}

/** For mutants of what is SQL in reality. */
export interface Flaws {
  /** A stale epoch is accepted. */
  unfenced?: boolean
  /** A publisher begins at the horizon that it reads after it has taken the lease. */
  late?: boolean
  /** A process that claims an expired lease forgets from where to publish. */
  forgetful?: boolean
  /** Every category is notified by the store's horizon. */
  together?: boolean
  /** A process that has lost the lease can still turn coalescing on. */
  usurped?: boolean
  /** Appends leave notifications out before the lease can be seen. */
  hasty?: boolean
}

export const COALESCING_MS = 500

const KEYS: Record<string, number> = { a: 1, b: 2 }
const STORE_KEY = 100
const hash = (streamId: string) => [...streamId].reduce((sum, char) => sum * 31 + char.charCodeAt(0), 7)
type HorizonRow = [key: string | null, horizon: string, head: string]

export const WAKE_UP = '#wake-up'

/**
 * What of PostgreSQL and of sql/ the subscribing engine can see, in memory: each statement happens at one moment, as under
 * READ COMMITTED. test/simulation-model.test.ts compares it with the real one.
 */
export class SimulatedDatabase {
  readonly events: Stored[] = [] // committed, in the order of positions
  readonly open: Transaction[] = []
  readonly checkpoints: Checkpoint[]
  readonly parked = new Map<string, Parked>()
  readonly #executors = new Map<string, { joined: number; aliveUntil: number }>()
  readonly #versions = new Map<string, number>()
  readonly #on: DatabaseEvents
  readonly #flaws: Flaws
  readonly #now: () => number
  #head = 0
  #joins = 0
  readonly lease: Lease = { owner: null, until: 0, published: 0, closed: true }
  #coalescingUntil = 0
  /** Appends that wait for each other, as a coalescer sees it. */
  waiting = 0

  constructor(partitions: number, now: () => number, on: DatabaseEvents, flaws: Flaws = {}) {
    const free = () => ({ position: 0, epoch: 0, owner: null, leaseUntil: 0 })
    this.checkpoints = Array.from({ length: partitions }, free)
    this.#now = now
    this.#on = on
    this.#flaws = flaws
  }

  /** A statement of what does not subscribe. */
  other(name: string, _values: any): Row[] {
    throw new Error(`the simulated database does not know the statement ${name}`)
  }

  /** The last position that was handed out. */
  get head(): number {
    return this.#head
  }

  partitionOf(streamId: string): number {
    return hash(streamId) % this.checkpoints.length
  }

  // ------------------------------------------------------------------------------------------------- appending

  /** Where another transaction appends to the stream this one would wait for it: undefined. */
  begin(category: string, streamId: string): Transaction | undefined {
    if (this.open.some((other) => other.streamId === streamId)) return undefined
    const transaction = { category, streamId, announced: this.#head, rows: [], decided: 0, notifiesUpTo: 0 }
    this.open.push(transaction)
    return transaction
  }

  append({ category, streamId, rows }: Transaction): void {
    const version = (this.#versions.get(streamId) ?? 0) + rows.length
    rows.push({ position: ++this.#head, category, streamId, version })
  }

  /** The statement ends, and the trigger decides. */
  decide(transaction: Transaction): void {
    const { rows } = transaction
    if (transaction.decided === rows.length) return
    transaction.decided = rows.length
    if (!this.#coalesces) transaction.notifiesUpTo = rows.at(-1)!.position
  }

  end(transaction: Transaction, how: 'commit' | 'rollback'): void {
    this.decide(transaction)
    this.open.splice(this.open.indexOf(transaction), 1)
    const { rows, streamId, category } = transaction
    if (how === 'rollback' || rows.length === 0) return
    this.#versions.set(streamId, (this.#versions.get(streamId) ?? 0) + rows.length)
    this.events.push(...rows)
    this.events.sort((one, other) => one.position - other.position)
    this.#on.committed(rows)
    if (transaction.notifiesUpTo > 0)
      for (const channel of [category, '*']) this.#on.notify(channel, String(transaction.notifiesUpTo))
  }

  // ---------------------------------------------------------------------------------------------- notification coalescing

  get #coalesces(): boolean {
    const left = this.#coalescingUntil - this.#now()
    return left >= 1 && left <= COALESCING_MS
  }

  publisher(waiting: boolean): Row[] {
    const { closed, until } = this.lease
    const left = closed ? null : String(until - this.#now())
    return [[closed ? 't' : 'f', left, String(closed && waiting ? this.waiting : 0)]]
  }

  claimPublishing(owner: string): Row[] {
    const { lease } = this
    const left = lease.until - this.#now()
    if (!lease.closed && left >= 1 && left <= COALESCING_MS) return [[null]]
    const horizon = this.#horizonOf([STORE_KEY])
    const published = lease.closed || this.#flaws.forgetful ? horizon : Math.min(lease.published, horizon)
    if (this.#flaws.hasty) this.#coalescingUntil = this.#now() + COALESCING_MS
    Object.assign(lease, {
      owner,
      until: this.#now() + COALESCING_MS,
      published,
      closed: this.#flaws.hasty === true && lease.closed,
    })
    return [[String(published)]]
  }

  renewPublishing(owner: string, published: number, coalescing: boolean): Row[] {
    const { lease } = this
    const until = this.#now() + COALESCING_MS
    const ours = lease.owner === owner && (!lease.closed || this.#flaws.hasty === true)
    if (!ours && !this.#flaws.usurped) return [['f']]
    if (ours) Object.assign(lease, { until, published: Math.max(lease.published, published), closed: false })
    this.#coalescingUntil = coalescing ? until : 0
    return [[ours ? 't' : 'f']]
  }

  publish(keys: string, bounds: string, free: number, head: number): Row[] {
    if (keys === '{}' && free === head && head === this.#head)
      return [[keys, bounds, String(free), String(head), String(free), 'f', '0']]
    const [heldBy, heldAt] = [keys, bounds].map((array) =>
      array.slice(1, -1).split(',').filter(Boolean).map(Number),
    )
    const before = new Map(heldBy!.map((key, i) => [key, heldAt![i]!]))
    const from = this.#flaws.late && head === 0 ? this.#horizonOf([STORE_KEY]) : free
    const was = (key: number) => Math.min(from, before.get(key) ?? from)
    const rows = this.horizons(null)
    let commits = 0
    for (const category of Object.keys(KEYS)) {
      const key = KEYS[category]!
      const now = this.#horizonOf([key, ...(this.#flaws.together ? [STORE_KEY] : [])])
      const settled = this.events.filter(
        (event) => event.category === category && event.position > was(key) && event.position <= now,
      )
      commits += settled.length
      if (settled.length > 0) this.#on.notify(category, String(settled.at(-1)!.position))
    }
    const store = this.#horizonOf([STORE_KEY])
    if (store > was(STORE_KEY)) this.#on.notify('*', String(store))
    const held = rows.filter(([key]) => key !== null)
    const array = (column: 0 | 1) => `{${held.map((row) => row[column])}}`
    return [
      [array(0), array(1), rows.at(-1)![1], this.#head, store, held.length > 0 ? 't' : 'f', commits].map(
        String,
      ),
    ]
  }

  endPublishing(owner: string): Row[] {
    const ours = this.lease.owner === owner && !this.lease.closed
    if (ours) this.lease.closed = true
    return [[ours ? 't' : 'f']]
  }

  #horizonOf(keys: readonly number[]): number {
    const rows = this.horizons(null)
    return Math.min(
      ...rows
        .filter(([key]) => key === null || keys.includes(Number(key)))
        .map(([, horizon]) => Number(horizon)),
    )
  }

  // ------------------------------------------------------------------------------------------------- reading

  scope(categories: readonly string[]): Row[] {
    if (categories.length === 0) return [['*', String(STORE_KEY)]]
    return categories.map((category) => [category, String(KEYS[category])])
  }

  horizons(known: number | null): HorizonRow[] {
    const head = this.#head
    if (head === known) return []
    const bounds = new Map<number, number>()
    for (const { category, announced } of this.open)
      for (const key of [KEYS[category]!, STORE_KEY])
        bounds.set(key, Math.min(announced, bounds.get(key) ?? announced))
    const at = (bound: number) => this.events.findLast(({ position }) => position <= bound)?.position ?? 0
    const row = (key: number | null, bound: number): HorizonRow => [
      key === null ? null : String(key),
      String(at(bound)),
      String(head),
    ]
    return [...[...bounds].map(([key, bound]) => row(key, bound)), row(null, head)]
  }

  page(after: number, until: number, limit: number, category: string | undefined): Row[] {
    return this.events
      .filter(({ position }) => position > after && position <= until)
      .filter((event) => category === undefined || event.category === category)
      .slice(0, limit)
      .map((event) => [...toRow(event), String(hash(event.streamId))])
  }

  replayed(streamId: string, from: number, until: number, limit: number): Row[] {
    return this.events
      .filter((event) => event.streamId === streamId && event.position >= from && event.position <= until)
      .slice(0, limit)
      .map(toRow)
  }

  // ---------------------------------------------------------------------------------------------- subscribing

  /** Whether an administrator has paused the subscription. */
  paused = false

  pause(paused: boolean): void {
    this.paused = paused
    this.#on.notify(WAKE_UP, '')
  }

  claim(owner: string, leaseMs: number, partitions: readonly number[], epochs: readonly number[]): Row[] {
    const now = this.#now()
    const until = now + leaseMs
    const known = this.#executors.get(owner)
    this.#executors.set(owner, { joined: known?.joined ?? ++this.#joins, aliveUntil: until })
    if (!known) this.#on.notify(WAKE_UP, '')
    for (const [other, { aliveUntil }] of this.#executors)
      if (aliveUntil <= now) this.#executors.delete(other)
    const held = partitions.filter((partition, i) => {
      const checkpoint = this.checkpoints[partition]!
      const ours = checkpoint.epoch === epochs[i] && checkpoint.owner === owner
      if (ours) checkpoint.leaseUntil = until
      return ours
    })
    const alive = [...this.#executors.values()]
    const { joined } = this.#executors.get(owner)!
    const before = alive.filter((other) => other.joined < joined).length
    const count = this.checkpoints.length
    const fair = Math.floor(count / alive.length) + (before < count % alive.length ? 1 : 0)
    const share = this.paused ? 0 : fair
    const taken: number[] = []
    this.checkpoints.forEach((checkpoint, partition) => {
      if (held.length + taken.length >= share || held.includes(partition)) return
      if (checkpoint.owner !== null && checkpoint.owner !== owner && checkpoint.leaseUntil > now) return
      Object.assign(checkpoint, { epoch: checkpoint.epoch + 1, owner, leaseUntil: until })
      taken.push(partition)
      this.#on.granted(partition, checkpoint.epoch)
    })
    const ends = [
      ...this.checkpoints
        .filter((other) => other.owner !== null && other.owner !== owner && other.leaseUntil > now)
        .map(({ leaseUntil }) => leaseUntil),
      ...[...this.#executors].filter(([other]) => other !== owner).map(([, { aliveUntil }]) => aliveUntil),
    ]
    const waitMs = ends.length > 0 ? String(Math.ceil(Math.min(...ends) - now)) : null
    const rows = [...held, ...taken].map((partition) => {
      const { epoch, position } = this.checkpoints[partition]!
      return [partition, epoch, position].map(String).concat(taken.includes(partition) ? 't' : 'f')
    })
    return (rows.length > 0 ? rows : [[null, null, null, 'f']]).map((row) => [
      ...row,
      String(share),
      waitMs,
      this.paused ? 't' : 'f',
    ])
  }

  advance(
    leaseMs: number,
    partitions: readonly number[],
    epochs: readonly number[],
    positions: readonly number[],
  ): Row[] {
    const ours = partitions.filter((partition, i) => {
      if (!this.#holds(partition, epochs[i]!)) return false
      this.#move(partition, epochs[i]!, positions[i]!)
      this.checkpoints[partition]!.leaseUntil = this.#now() + leaseMs
      return true
    })
    return [[`{${ours}}`]]
  }

  release(
    owner: string,
    partitions: readonly number[],
    epochs: readonly number[],
    positions: readonly number[],
    leaving: boolean,
  ): Row[] {
    const ours = partitions.filter((partition, i) => {
      if (!this.#holds(partition, epochs[i]!)) return false
      this.#move(partition, epochs[i]!, positions[i]!)
      this.checkpoints[partition]!.owner = null
      return true
    })
    if (leaving) {
      for (const checkpoint of this.checkpoints) if (checkpoint.owner === owner) checkpoint.owner = null
      this.#executors.delete(owner)
    }
    this.#on.notify(WAKE_UP, '')
    return [[`{${ours}}`]]
  }

  park(
    partition: number,
    epoch: number,
    category: string,
    streamId: string,
    position: number,
    attempts: number,
    replaying: boolean,
  ): Row[] {
    if (!this.#holds(partition, epoch)) return [['f']]
    this.#on.parked(streamId, position, replaying)
    const before = this.parked.get(streamId)
    if (!(before?.discarded && before.position === position))
      this.parked.set(streamId, { category, streamId, position, attempts, replaying, discarded: false })
    return [['t']]
  }

  parkedStreams(partitions: readonly number[]): Row[] {
    return [...this.parked.values()]
      .filter(({ streamId }) => partitions.includes(this.partitionOf(streamId)))
      .map(({ category, streamId, position, attempts, replaying, discarded }) => [
        String(this.partitionOf(streamId)),
        category,
        streamId,
        String(position),
        String(attempts),
        replaying ? 't' : 'f',
        discarded ? 't' : 'f',
      ])
  }

  moveAside(partition: number, epoch: number, streamId: string, position: number | null): Row[] {
    if (!this.#holds(partition, epoch)) return [['f']]
    const parked = this.parked.get(streamId)
    if (position === null) this.parked.delete(streamId)
    else if (parked) Object.assign(parked, { position, attempts: 0, discarded: false })
    return [['t']]
  }

  /** An administrator discards the event for which a stream is parked; returns its position. */
  discard(streamId: string): number {
    const parked = this.parked.get(streamId)!
    Object.assign(parked, { replaying: true, attempts: 0, discarded: true })
    this.#on.notify(WAKE_UP, '')
    return parked.position
  }

  /** What an administrator does. */
  replayParked(): void {
    for (const parked of this.parked.values())
      if (!parked.replaying) Object.assign(parked, { replaying: true, attempts: 0 })
    this.#on.notify(WAKE_UP, '')
  }

  #holds(partition: number, epoch: number): boolean {
    const checkpoint = this.checkpoints[partition]!
    if (checkpoint.owner !== null && (checkpoint.epoch === epoch || this.#flaws.unfenced)) return true
    this.#on.refused()
    return false
  }

  #move(partition: number, epoch: number, position: number): void {
    const checkpoint = this.checkpoints[partition]!
    const before = checkpoint.position
    checkpoint.position = Math.max(before, position)
    this.#on.checkpoint(partition, epoch, before)
  }
}

function toRow({ position, category, streamId, version }: Stored): Row {
  return [String(position), '0', `${position}`, String(version), category, streamId, 'T', 'null', '{}']
}
