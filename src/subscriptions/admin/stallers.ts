import type { Database, Statement } from '../../database/database.ts'

/** An open transaction that has begun to append: no horizon of its category can pass what it may still commit. */
export interface Staller {
  /** Of its server process; null: a prepared transaction, which has none. */
  pid: number | null
  /** Its `application_name`. */
  application: string | null
  database: string
  /** When its transaction began, or was prepared; null: this role may not see it (`grant pg_read_all_stats`). */
  since: Date | null
  /** What it sent last. */
  query: string | null
  /**
   * Whom it holds back, beside all who read the whole store; a transaction comes once for each. Null: every category (see
   * `everyCategory`), or one that can't be named, for nothing of it is committed yet, or the lock is somebody else's.
   */
  category: string | null
  /** Whether it holds back every category, as raw INSERTs and appends to many categories do. */
  everyCategory: boolean
}

/** Whom it holds back, in words. `name` makes a category fit to be printed. */
export function heldBackBy(
  { category, everyCategory }: Pick<Staller, 'category' | 'everyCategory'>,
  name = (category: string) => category,
): string {
  if (everyCategory) return 'every category'
  if (category !== null) return `category "${name(category)}"`
  return 'the store as a whole, and none of the categories that have events'
}

/** Tells who holds horizons back. */
export class StallerList {
  readonly #db: Database
  readonly #statement: Statement

  constructor(db: Database) {
    this.#db = db
    this.#statement = db.file('stallers')
  }

  async read(): Promise<Staller[]> {
    const rows = await this.#db.query(this.#statement)
    return (rows as readonly (readonly (string | null)[])[]).map(
      ([pid, application, database, since, query, category, every]) => ({
        pid: pid == null ? null : Number(pid),
        application: application!,
        database: database!,
        since: since == null ? null : new Date(Number(since)),
        query: query!,
        category: category!,
        everyCategory: every === 't',
      }),
    )
  }
}
