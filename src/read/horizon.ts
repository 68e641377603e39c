import type { Database, Row, Statement } from '../database.ts'

/** All horizons of the store at one moment; sql/003_horizon.sql says how they come about. */
export class Horizons {
  /** The last position handed out. */
  readonly head: number
  readonly #free: number
  readonly #held: ReadonlyMap<number, number>

  constructor(rows: readonly Row[]) {
    const held = new Map<number, number>()
    let free = 0
    for (const [key, horizon] of rows as (string | null)[][]) {
      if (key === null) free = Number(horizon)
      else held.set(Number(key), Number(horizon))
    }
    this.head = Number(rows[0]?.[2] ?? 0)
    this.#free = free
    this.#held = held
  }

  /** The horizon of whoever heeds these lock keys: its categories', or the store's. */
  of(keys: readonly number[]): number {
    return [EVERY, ...keys].reduce((least, key) => Math.min(least, this.#held.get(key) ?? least), this.#free)
  }

  /** The head, where nothing below it can still appear and all of it is committed; else null: look again. */
  get settledHead(): number | null {
    return this.#held.size === 0 && this.#free === this.head ? this.head : null
  }
}

/** The key that announces every category. */
const EVERY = -1

/** Reads the horizons; asked by many at once it asks the server once. */
export class HorizonReader {
  readonly #db: Database
  readonly #statement: Statement
  #last: Horizons | undefined
  #running: Promise<Horizons> | undefined
  #next: Promise<Horizons> | undefined

  constructor(db: Database) {
    this.#db = db
    this.#statement = db.file('horizons')
  }

  /** The horizons as of a moment after this call. A look under way may have begun before it: then the next one. */
  look(): Promise<Horizons> {
    if (!this.#running) {
      this.#running = this.#read().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.look()
      })
    return this.#next
  }

  async #read(): Promise<Horizons> {
    const rows = await this.#db.query(this.#statement, [this.#last?.settledHead ?? null])
    if (rows.length > 0) this.#last = new Horizons(rows)
    return this.#last!
  }
}
