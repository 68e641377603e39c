import type pg from 'pg'
import type { Queries } from './database.ts'
import { statements } from './statements.ts'

/** The name and the encoding of the store's database. */
export async function encodingOf(
  db: Queries,
  client?: pg.ClientBase,
): Promise<{ database: string; encoding: string }> {
  const [row] = await db.query(statements.encoding, {}, client)
  const [database, encoding] = row!
  return { database, encoding }
}

/** What is wrong with an encoding, and what to do. */
export const notUtf8 = (encoding: string): string =>
  `has the encoding ${encoding}, and a store needs UTF8: create another one (create database ... encoding 'UTF8' template template0), and copy what there is into it (meowmx export, import)`
