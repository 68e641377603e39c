import type { Queries } from '../../database/database.ts'
import { statements } from '../../database/statements.ts'

/** Up to where a publisher has notified. sql/functions/publish.sql says what the fields are. */
export interface Published {
  readonly keys: string
  readonly bounds: string
  readonly free: number
  readonly head: number
  readonly settled: number
  /** Whether an open append holds the store's horizon back. */
  readonly held: boolean
  /** How many transactions appended what this call notified. */
  readonly commits: number
}

/**
 * The state of the lease. Closed: nothing is left to notify, and `waiting` appends wait for each other. Otherwise a process
 * holds it for `leftMs` more; if that is not above 0, the process has died, and something may be left to notify.
 */
export type LeaseState = { closed: true; waiting: number } | { closed: false; leftMs: number }

/** The lease of the publisher, the one process that notifies for all. sql/functions/publish.sql explains it. */
export class PublisherLease {
  readonly #db: Queries

  constructor(db: Queries) {
    this.#db = db
  }

  /** Without `countsWaiting`, `waiting` is 0. */
  async state(countsWaiting: boolean): Promise<LeaseState> {
    const [row] = await this.#db.query(statements.publisher, { countsWaiting })
    const [closed, leftMs, waiting] = row!
    return closed === 't'
      ? { closed: true, waiting: Number(waiting) }
      : { closed: false, leftMs: Number(leftMs) }
  }

  /** Takes the lease. Returns the position from which to notify, or null if another process has the lease. */
  async claim(owner: string): Promise<Published | null> {
    const [row] = await this.#db.query(statements.claimPublishing, { owner })
    const [from] = row!
    if (from === null) return null
    const position = Number(from)
    return { keys: '{}', bounds: '{}', free: position, head: 0, settled: position, held: true, commits: 0 }
  }

  /** Says whether appends are to leave their notifications out. False if this process has lost the lease. */
  async renew(owner: string, { settled }: Published, coalescing: boolean): Promise<boolean> {
    const values = { owner, published: settled, coalescing }
    return isTrue(await this.#db.query(statements.renewPublishing, values))
  }

  /** Notifies what has become settled since the last call. */
  async publish({ keys, bounds, free, head }: Published): Promise<Published> {
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

  /** Everything is notified. False if this process has lost the lease. */
  async close(owner: string): Promise<boolean> {
    return isTrue(await this.#db.query(statements.endPublishing, { owner }))
  }
}

const isTrue = ([row]: readonly (readonly [string])[]): boolean => row![0] === 't'
