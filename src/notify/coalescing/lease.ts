import type { Queries, Row } from '../../database/database.ts'

/** What a publisher has notified, as of its last look; sql/functions/publish.sql says what the fields are. */
export interface Rung {
  readonly keys: string
  readonly bounds: string
  readonly free: string
  readonly head: number
  readonly settled: number
  /** Whether an open append holds the store back. */
  readonly held: boolean
  /** Transactions that appended what was notified by this look. */
  readonly commits: number
}

/** How the lease stands: nothing left to notify; somebody's for a while; or nobody's, though something may be left. */
export type Standing = { closed: true; waiting: number } | { closed: false; leftMs: number }

const FILES = {
  look: 'publisher',
  claim: 'claim_publishing',
  renew: 'renew_publishing',
  ring: 'publish',
  close: 'end_publishing',
}

/** The lease of the publisher: sql/functions/publish.sql. */
export class QuietLease {
  readonly #query: (name: string, values?: unknown[]) => Promise<Row[]>

  constructor(db: Queries) {
    const statements = new Map(Object.entries(FILES).map(([name, file]) => [name, db.file(file)]))
    this.#query = (name, values) => db.query(statements.get(name)!, values)
  }

  /** `waiting` is asked for, or 0. */
  async look(waiting: boolean): Promise<Standing> {
    const [row] = await this.#query('look', [waiting])
    const [closed, leftMs, count] = row!
    return closed === 't'
      ? { closed: true, waiting: Number(count) }
      : { closed: false, leftMs: Number(leftMs) }
  }

  /** From where to ring, or null: another has it. */
  async claim(owner: string): Promise<Rung | null> {
    const [row] = await this.#query('claim', [owner])
    const [from] = row as (string | null)[]
    if (from === null || from === undefined) return null
    const position = Number(from)
    return { keys: '{}', bounds: '{}', free: from, head: 0, settled: position, held: true, commits: 0 }
  }

  /** Whether it is still ours. */
  async renew(owner: string, { settled }: Rung, quiet: boolean): Promise<boolean> {
    return isTrue(await this.#query('renew', [owner, settled, quiet]))
  }

  /** Notify what became settled since. */
  async ring({ keys, bounds, free, head }: Rung): Promise<Rung> {
    const [row] = await this.#query('ring', [keys, bounds, free, head])
    return {
      keys: row![0]!,
      bounds: row![1]!,
      free: row![2]!,
      head: Number(row![3]),
      settled: Number(row![4]),
      held: row![5] === 't',
      commits: Number(row![6]),
    }
  }

  async close(owner: string): Promise<boolean> {
    return isTrue(await this.#query('close', [owner]))
  }
}

const isTrue = (rows: Row[]): boolean => rows[0]![0] === 't'
