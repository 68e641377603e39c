// The SQL that `migrate()` would run now, so that a DBA can run it.

import { version } from '../core/version.ts'
import type { Database } from './database.ts'
import { definitions, functionNames, isTrigger } from './definitions.ts'
import { examine } from './health.ts'
import { difference, isUpToDate } from './installed.ts'
import { checkEncoding, FUNCTIONS, MIGRATIONS, migrationLock } from './migrate.ts'
import { refuseHidden } from './row-security.ts'
import { statements } from './statements.ts'

/** What `meow.migrationPlan()` returns. */
export interface MigrationPlan {
  /** One transaction, for psql or any other client; empty if there is nothing to do. */
  sql: string
  /** What `migrate()` would return as `applied`: schema files, and `'functions'`. */
  pending: string[]
}

/** Reads what is installed, and changes nothing. */
export async function migrationPlan(db: Database): Promise<MigrationPlan> {
  await refuseHidden(db)
  const found = await difference(db)
  const astray = found.isThere ? (await examine(db)).astray : undefined
  if (isUpToDate(found) && !astray) return { sql: '', pending: [] }
  await checkEncoding(db)
  const installed = astray || found.files.length > 0 ? definitions : found.definitions
  const [schema] = await db.query(statements.hasSchema, { name: db.quotedSchema })
  const hasSchema = schema![0] === 't'
  const functions = { schema: db.schema, functions: functionNames }
  const obsolete = {
    schema: db.schema,
    triggers: found.obsolete.filter(isTrigger),
    functions: found.obsolete.filter((name) => !isTrigger(name)),
  }
  const unbind = astray ? await db.query(statements.unbind, functions) : []
  const drop = found.obsolete.length > 0 ? await db.query(statements.dropFunctions, obsolete) : []
  const parts = [
    'begin isolation level read committed;',
    `select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(${literal(migrationLock(db))}, 0));`,
    ...(hasSchema ? [] : [`create schema ${db.quotedSchema};`]),
    `set local search_path = ${db.quotedSchema}, pg_temp;`,
    `${MIGRATIONS};`,
    ...unbind.map(([statement]) => `${statement};`),
    ...found.files.map(
      ({ id, name, text }) => `${text}\ninsert into migrations (id, name) values (${id}, ${literal(name)});`,
    ),
    ...installed.map(({ text }) => text),
    ...installed.map(
      ({ name, md5 }) =>
        `insert into functions (name, md5, version) values (${[name, md5, version].map(literal).join(', ')}) on conflict (name) do update set md5 = excluded.md5, version = excluded.version, installed_at = excluded.installed_at;`,
    ),
    ...drop.map(([statement]) => `${statement};`),
    ...found.obsolete.map((name) => `delete from functions where name = ${literal(name)};`),
    'commit;',
  ]
  const files = found.files.map(({ name }) => name)
  const hasFunctions = installed.length + found.obsolete.length > 0
  return { sql: `${parts.join('\n\n')}\n`, pending: hasFunctions ? [...files, FUNCTIONS] : files }
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`
