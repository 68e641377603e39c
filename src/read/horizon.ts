import type pg from 'pg'
import type { Queries } from '../database/database.ts'
import { runTogether } from '../database/run-query.ts'
import type { RowOf } from '../database/statement.ts'
import { statements } from '../database/statements.ts'
import { toPosition } from '../events/event.ts'

/** The horizon of a lock key; without a key, of all keys that no append holds back. */
type HorizonRow = RowOf<typeof statements.horizons.columns>

/** All horizons of the store at one moment; sql/functions/horizons.sql explains how they are computed. */
export class Horizons {
  /** The last position that was assigned. */
  readonly head: number
  readonly #free: number
  readonly #limits: ReadonlyMap<number, number>

  constructor(rows: readonly HorizonRow[]) {
    const held = new Map<number, number>()
    let free = 0
    for (const [key, horizon] of rows) {
      if (key === null) free = toPosition(horizon)
      else held.set(Number(key), toPosition(horizon))
    }
    this.head = toPosition(rows[0]?.[2] ?? '0')
    this.#free = free
    this.#limits = held
  }

  /** The horizons, if it is known from elsewhere that everything up to here is settled. What lies above is unknown. */
  static settled(position: number): Horizons {
    const at = String(position)
    return new Horizons([
      [null, at, at],
      [String(EVERY), at, at],
    ])
  }

  /** The highest position that was committed at that moment, even if it is above a horizon. */
  get committed(): number {
    return this.#free
  }

  /** The horizon for these lock keys, which stand for categories or the store. */
  of(keys: readonly number[]): number {
    const limits = this.#limits
    return [EVERY, ...keys].reduce((least, key) => Math.min(least, limits.get(key) ?? least), this.#free)
  }

  /** The horizon of the whole store: the least of all. */
  get ofStore(): number {
    return Math.min(this.#free, ...this.#limits.values())
  }

  /** Whether an open append holds back the horizon of these keys. */
  isHeldBack(keys: readonly number[]): boolean {
    return [EVERY, ...keys].some((key) => this.#limits.has(key))
  }

  /** The head, if nothing below it can still appear and everything up to it is committed; otherwise null: fetch again. */
  get settledHead(): number | null {
    return this.#limits.size === 0 && this.#free === this.head ? this.head : null
  }
}

/** The key that announces every category. */
const EVERY = -1

/** A query that is sent right after the horizons' on the same connection. It runs in a later snapshot, as a read must. */
export type FastPathRead<T> = (client: pg.ClientBase) => Promise<T>

/** Fetches the horizons. Concurrent calls share one query. */
export class HorizonReader {
  readonly #db: Queries
  #last: Horizons | undefined
  #running: Promise<Horizons> | undefined
  #next: Promise<Horizons> | undefined

  constructor(db: Queries) {
    this.#db = db
  }

  /**
   * The horizons at a moment after this call. A fetch that is running may have begun before the call; then the next one is
   * used.
   *
   * If no fetch is running, the result of `read` comes in the same round trip.
   */
  async fetch<T = undefined>(read?: FastPathRead<T>): Promise<[Horizons, T | undefined]> {
    if (this.#running) return [await this.#fetchNext(), undefined]
    const both = this.#db.withClient((client) =>
      read ? this.#fetchWithRead(client, read) : this.#fetchAlone<T>(client),
    )
    this.#running = both
      .then(([horizons]) => horizons)
      .finally(() => {
        this.#running = undefined
      })
    await this.#running
    return both
  }

  /** Checks the timeline last: the newest event that it finds is then not below the horizon. */
  async #fetchWithRead<T>(client: pg.ClientBase, read: FastPathRead<T>): Promise<[Horizons, T]> {
    const { timeline } = this.#db
    const horizon = () => this.#read(client)
    const page = () => read(client)
    const check = () => timeline.check(client)
    const [horizons, more] = await runTogether(client, [horizon, page, check])
    return [horizons, more]
  }

  /** One query, as long as nothing is appended. */
  async #fetchAlone<T>(client: pg.ClientBase): Promise<[Horizons, T | undefined]> {
    const before = this.#last
    const horizons = await this.#read(client)
    if (horizons !== before) await this.#db.timeline.check(client)
    return [horizons, undefined]
  }

  #fetchNext(): Promise<Horizons> {
    this.#next ??= this.#running!.catch(() => {}).then(async () => {
      this.#next = undefined
      const [horizons] = await this.fetch()
      return horizons
    })
    return this.#next
  }

  async #read(client: pg.ClientBase): Promise<Horizons> {
    const known = this.#last?.settledHead ?? null
    const rows = await this.#db.query(statements.horizons, { known }, client)
    if (rows.length > 0) this.#last = new Horizons(rows)
    return this.#last!
  }
}
