// What the tests of the guards share: statements by plain SQL that have to be refused.
import type pg from 'pg'
import * as assert from 'uvu/assert'
import { rejects } from './rejects.ts'

/** The columns of a raw INSERT into the table of events. */
export const rawColumns = '(version, category, stream_id, type, data)'

export function refusing(sql: pg.Client, schema: string) {
  /** Fails unless the last statement is refused with this SQLSTATE; the others precede it in its transaction. */
  const refused = async (code: string, ...statements: string[]): Promise<Error> => {
    await sql.query('begin')
    try {
      for (const statement of statements.slice(0, -1)) await sql.query(statement)
      const error = await rejects(sql.query(statements.at(-1)!), Error)
      assert.is((error as pg.DatabaseError).code, code, error.message)
      return error
    } finally {
      await sql.query('rollback')
    }
  }

  /** The last position that the sequence has assigned. */
  const head = async (): Promise<number> => {
    const { rows } = await sql.query(
      `select last_value - (not is_called)::int as head from ${schema}.events_position_seq`,
    )
    return Number(rows[0].head)
  }

  return { refused, head }
}
