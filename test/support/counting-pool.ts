import pg from 'pg'
import { databaseUrl } from './store.ts'

/**
 * A pool to lend to a store, that keeps the text of every query sent through it, and how many rows came back for each. But not
 * the check, once a second while somebody appends, whether to become the publisher (src/notify/coalescing).
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
      const [config, ...more] = args
      const text: string = typeof config === 'string' ? config : config.text
      if (/\.publisher\b|publishing|\.publish\(/.test(text)) return query(...args)
      queries.push(text)
      const count = (result?: pg.QueryResult) => {
        if (result) answers.push({ text, rows: result.rows?.length ?? 0 })
      }
      if (typeof config.callback === 'function') {
        const callback = (error: unknown, result?: pg.QueryResult) => {
          count(result)
          config.callback(error, result)
        }
        return query({ ...config, callback }, ...more)
      }
      const result = query(...args)
      result?.then?.(count, () => {})
      return result
    }) as typeof client.query
  })
  return { pool, queries, answers }
}
