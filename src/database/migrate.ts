import type pg from 'pg'
import { SchemaError } from '../core/errors.ts'
import { version } from '../core/version.ts'
import type { Database } from './database.ts'
import type { Definition } from './definitions.ts'
import { definitions, functionNames, isTrigger } from './definitions.ts'
import { encodingOf, notUtf8 } from './encoding.ts'
import { examine } from './health.ts'
import { difference, isUpToDate } from './installed.ts'
import { refuseHidden } from './row-security.ts'
import { statements } from './statements.ts'

/** What `migrate` says if it has installed functions and triggers. */
export const FUNCTIONS = 'functions'

/** Creates the table that says which schema files were applied. */
export const MIGRATIONS =
  'create table if not exists migrations (id int primary key, name text not null, applied_at timestamptz not null default clock_timestamp())'

/** The name of the lock under which one caller migrates at a time. */
export const migrationLock = ({ schema }: Pick<Database, 'schema'>): string => `meowmx migrate ${schema}`

/**
 * Brings the schema up to date, in one transaction: all of it or nothing. A lock makes concurrent callers wait for the
 * first, and find nothing left to do. If the schema is up to date, the caller only needs the privilege to read.
 */
export async function migrate(db: Database): Promise<{ applied: string[] }> {
  await refuseHidden(db)
  if (isUpToDate(await difference(db)) && !(await examine(db)).astray) return { applied: [] }
  await checkEncoding(db)
  return db.withClient(async (client) => {
    try {
      await client.query('begin isolation level read committed')
      await client.query('select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))', [
        migrationLock(db),
      ])
      const [row] = await db.query(statements.hasSchema, { name: db.quotedSchema }, client)
      const [hasSchema] = row!
      if (hasSchema !== 't') await client.query(`create schema ${db.quotedSchema}`)
      // Names without a schema mean this store. Temporary tables come last, so that they can't hide tables of the store.
      await client.query(`set local search_path = ${db.quotedSchema}, pg_temp`)
      const applied = await bringUpToDate(db, client)
      await client.query('commit')
      if (applied.length > 0)
        db.settings.logger.info({ schema: db.schema, applied }, 'the schema is migrated')
      return { applied }
    } catch (error) {
      await client.query('rollback').catch(() => db.discard(client)) // no other borrower may get the open transaction
      throw db.translate(error)
    }
  })
}

/** Applies what is missing, and returns what that was. */
async function bringUpToDate(db: Database, client: pg.ClientBase): Promise<string[]> {
  await client.query(MIGRATIONS)
  const found = await difference(db, client)
  for (const { id, name, text } of found.files) {
    await client.query(text)
    await db.query(statements.recordFile, { id, name }, client)
  }
  const applied = found.files.map(({ name }) => name)
  const { astray } = await examine(db, client)
  if (astray) {
    const names = { schema: db.schema, functions: functionNames }
    await runAll(client, await db.query(statements.unbind, names, client))
  }
  // A schema file may have dropped functions, so all are installed.
  const todo = astray || applied.length > 0 ? definitions : found.definitions
  await install(db, client, todo)
  await drop(db, client, found.obsolete)
  return todo.length + found.obsolete.length > 0 ? [...applied, FUNCTIONS] : applied
}

async function install(db: Database, client: pg.ClientBase, todo: readonly Definition[]): Promise<void> {
  if (todo.length === 0) return
  await client.query(todo.map(({ text }) => text).join('\n'))
  const names = todo.map(({ name }) => name)
  const hashes = todo.map(({ md5 }) => md5)
  await db.query(statements.recordFunctions, { names, hashes, version }, client)
}

async function drop(db: Database, client: pg.ClientBase, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  const triggers = names.filter(isTrigger)
  const functions = names.filter((name) => !isTrigger(name))
  const obsolete = { schema: db.schema, triggers, functions }
  await runAll(client, await db.query(statements.dropFunctions, obsolete, client))
  await db.query(statements.forgetFunctions, { names }, client)
}

/** Runs the statements that a query has returned, one in each row. */
async function runAll(client: pg.ClientBase, rows: readonly (readonly [string])[]): Promise<void> {
  for (const [statement] of rows) await client.query(statement)
}

/** Other encodings can store only some characters, so some events would be refused. */
export async function checkEncoding(db: Database): Promise<void> {
  const { database, encoding } = await encodingOf(db)
  if (encoding !== 'UTF8') throw new SchemaError(db.schema, `database "${database}" ${notUtf8(encoding)}`)
}
