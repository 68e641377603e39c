import { drizzle } from 'drizzle-orm/node-postgres'
import { pgSchema, text } from 'drizzle-orm/pg-core'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import pg from 'pg'
import postgres from 'postgres'
import { fromDrizzle } from '../../src/adapters/index.ts'
import type { Library, Place } from './library.ts'
import { CONNECTIONS } from './library.ts'

const tableIn = (schema: string) => pgSchema(schema).table('notes', { name: text().primaryKey() })

export function drizzleOverPg({ url, schema }: Place): Library {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS })
  const db = drizzle(pool)
  const notes = tableIn(schema)
  return {
    name: 'Drizzle over pg',
    transaction: (body) =>
      db.transaction((tx) =>
        body({
          own: tx,
          client: fromDrizzle(tx),
          again: () => fromDrizzle(tx),
          note: (name) => tx.insert(notes).values({ name }),
        }),
      ),
    refuse: () => fromDrizzle(db as never),
    close: () => pool.end(),
  }
}

export function drizzleOverPostgresJs({ url, schema }: Place): Library {
  const sql = postgres(url, { max: CONNECTIONS })
  const db = overPostgresJs(sql)
  const notes = tableIn(schema)
  return {
    name: 'Drizzle over postgres.js',
    transaction: (body) =>
      db.transaction((tx) =>
        body({
          own: tx,
          client: fromDrizzle(tx),
          again: () => fromDrizzle(tx),
          note: (name) => tx.insert(notes).values({ name }),
        }),
      ),
    refuse: () => fromDrizzle(db as never),
    keepsFailures: true,
    close: () => sql.end(),
  }
}
