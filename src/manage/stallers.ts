import type { Database, Statement } from '../database.ts'

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
   * Whom it holds back; a transaction comes once for each. Null: every category and the whole store, or one that can't be
   * named: nothing of it is committed yet, or the lock is somebody else's.
   */
  category: string | null
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
      ([pid, application, database, since, query, category]) => ({
        pid: pid == null ? null : Number(pid),
        application: application!,
        database: database!,
        since: since == null ? null : new Date(Number(since)),
        query: query!,
        category: category!,
      }),
    )
  }
}
