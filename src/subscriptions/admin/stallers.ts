import type { Database } from '../../database/database.ts'
import { statements } from '../../database/statements.ts'

/** A blocking transaction: an open append. It may still commit its positions, so the horizon of its category stays below them. */
export interface Staller {
  /** The id of its server process; null: it is a prepared transaction, which has none. */
  pid: number | null
  /** Its `application_name`. */
  application: string | null
  database: string
  /** When the transaction began, or was prepared; null: this role may not see it (`grant pg_read_all_stats`). */
  since: Date | null
  /** The last query that it sent. */
  query: string | null
  /**
   * The category that it holds back; readers of the whole store are always held back. A transaction is listed once for each
   * category. Null: every category (see `everyCategory`), or a category without a known name, because none of its events is
   * committed yet or the lock belongs to another program.
   */
  category: string | null
  /** Whether it holds back every category, as plain INSERTs and appends to many categories do. */
  everyCategory: boolean
}

/** Describes what a blocking transaction holds back. `name` formats the name of a category for printing. */
export function heldBackBy(
  { category, everyCategory }: Pick<Staller, 'category' | 'everyCategory'>,
  name = (category: string) => category,
): string {
  if (everyCategory) return 'every category'
  if (category !== null) return `category "${name(category)}"`
  return 'the store as a whole, and none of the categories that have events'
}

/** Lists blocking transactions. */
export class StallerList {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async read(): Promise<Staller[]> {
    const rows = await this.#db.query(statements.stallers, {})
    return rows.map(([pid, application, database, sinceMs, query, category, every]) => ({
      pid: pid === null ? null : Number(pid),
      application,
      database,
      since: sinceMs === null ? null : new Date(Number(sinceMs)),
      query,
      category,
      everyCategory: every === 't',
    }))
  }
}
