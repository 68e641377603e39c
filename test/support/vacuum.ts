import type pg from 'pg'
import { until } from './until.ts'

/**
 * Makes statistics and a complete visibility map, so that plans are those of an idle store. A vacuum leaves
 * out what an open transaction of another test may still have to see: then once more.
 */
export async function vacuum(client: pg.Client, table: string): Promise<void> {
  const swept = async () => {
    await client.query(`vacuum analyze ${table}`)
    const { rows } = await client.query(
      'select relallvisible = relpages as swept from pg_class where oid = $1::regclass',
      [table],
    )
    return rows[0].swept as boolean
  }
  await until(swept, { what: `every page of ${table} to be all-visible`, timeoutMs: 60_000 })
}
