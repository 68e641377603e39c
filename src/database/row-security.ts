import { ConnectionError } from '../core/errors.ts'
import type { Database } from './database.ts'
import { statements } from './statements.ts'

/** A table with row security for this role. It may look empty without any error. */
export interface GuardedTable {
  readonly table: string
  readonly role: string
  /** Whether a policy lets this role read rows, perhaps not all of them. */
  readonly isReadable: boolean
}

export async function guardedTables(db: Database): Promise<GuardedTable[]> {
  const rows = await db.query(statements.rowSecurity, { schema: db.schema })
  return rows.map(([table, role, isReadable]) => ({ table, role, isReadable: isReadable === 't' }))
}

/** What is wrong if the role can't read the table, and what to do. */
export function whyHidden(db: Database, { table, role }: GuardedTable): { problem: string; mend: string } {
  const at = `${db.quotedSchema}.${table}`
  return {
    problem: `row security is on for table ${at}, and no policy lets role "${role}" read it, so that it looks empty`,
    mend: `create policy … on ${at} to "${role}" using (true), or alter table ${at} disable row level security`,
  }
}

/** Refuses a store whose events or migrations would look empty. */
export async function refuseHidden(db: Database): Promise<void> {
  const guarded = await guardedTables(db)
  const hidden = guarded.find(
    (one) => !one.isReadable && ['events', 'migrations', 'functions'].includes(one.table),
  )
  if (!hidden) return
  const { problem, mend } = whyHidden(db, hidden)
  throw new ConnectionError(`${problem}. To mend it, as its owner: ${mend}`)
}
