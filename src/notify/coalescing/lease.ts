import type { Queries } from '../../database/database.ts'
import { statements } from '../../database/statements.ts'

/** What a publisher has notified, as of its last look; sql/functions/publish.sql says what the fields are. */
export interface Rung {
  readonly keys: string
  readonly bounds: string
  readonly free: number
  readonly head: number
  readonly settled: number
  /** Whether an open append holds the store back. */
  readonly held: boolean
  /** Transactions that appended what was notified by this look. */
  readonly commits: number
}

/** How the lease stands: nothing left to notify; somebody's for a while; or nobody's, though something may be left. */
export type Standing = { closed: true; waiting: number } | { closed: false; leftMs: number }

/** The lease of the publisher: sql/functions/publish.sql. */
export class QuietLease {
  readonly #db: Queries

  constructor(db: Queries) {
    this.#db = db
  }

  /** `waiting` is asked for, or 0. */
  async look(waiting: boolean): Promise<Standing> {
    const [row] = await this.#db.query(statements.publisher, { countsWaiting: waiting })
    const [closed, leftMs, count] = row!
    return closed === 't'
      ? { closed: true, waiting: Number(count) }
      : { closed: false, leftMs: Number(leftMs) }
  }

  /** From where to ring, or null: another has it. */
  async claim(owner: string): Promise<Rung | null> {
    const [row] = await this.#db.query(statements.claimPublishing, { owner })
    const [from] = row!
    if (from === null) return null
    const position = Number(from)
    return { keys: '{}', bounds: '{}', free: position, head: 0, settled: position, held: true, commits: 0 }
  }

  /** Whether it is still ours. */
  async renew(owner: string, { settled }: Rung, quiet: boolean): Promise<boolean> {
    const values = { owner, published: settled, coalescing: quiet }
    return isTrue(await this.#db.query(statements.renewPublishing, values))
  }

  /** Notify what became settled since. */
  async ring({ keys, bounds, free, head }: Rung): Promise<Rung> {
    const [row] = await this.#db.query(statements.publish, { keys, bounds, free, head })
    const [nextKeys, nextBounds, nextFree, nextHead, settled, held, commits] = row!
    return {
      keys: nextKeys,
      bounds: nextBounds,
      free: Number(nextFree),
      head: Number(nextHead),
      settled: Number(settled),
      held: held === 't',
      commits: Number(commits),
    }
  }

  async close(owner: string): Promise<boolean> {
    return isTrue(await this.#db.query(statements.endPublishing, { owner }))
  }
}

const isTrue = ([row]: readonly (readonly [string])[]): boolean => row![0] === 't'
