import pg from 'pg'
import { databaseUrl } from './store.ts'

/**
 * A pool to lend to a store, that keeps the text of every query sent through it, and how many rows came back for each. But not
 * the look, once a second while somebody appends, whether there is a duty to notify for all (src/quiet).
 */
export function countingPool(config: pg.PoolConfig = {}): {
  pool: pg.Pool
  queries: string[]
  answers: { text: string; rows: number }[]
} {
  const queries: string[] = []
  const answers: { text: string; rows: number }[] = []
  const pool = new pg.Pool({
    ...('connectionString' in config ? {} : { connectionString: databaseUrl() }),
    pipeline: true,
    ...config,
  } as pg.PoolConfig)
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: any[]) => any
    client.query = ((...args: any[]) => {
      const text: string = typeof args[0] === 'string' ? args[0] : args[0].text
      const result = query(...args)
      if (/\.(conductor|quiet_)/.test(text)) return result
      queries.push(text)
      const count = ({ rows }: pg.QueryResult) => {
        answers.push({ text, rows: rows?.length ?? 0 })
      }
      result?.then?.(count, () => {})
      return result
    }) as typeof client.query
  })
  return { pool, queries, answers }
}
