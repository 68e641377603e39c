import type pg from 'pg'
import { SchemaError } from '../core/errors.ts'
import type { Database } from './database.ts'
import { functionNames, migrations, redefinitions } from './definitions.ts'
import { encodingOf, notUtf8 } from './encoding.ts'
import { refuseHidden } from './row-security.ts'
import { sql } from './sql.ts'

/** What `migrate` says it has done if the schema was renamed or copied. */
const REDEFINED = 'functions and triggers'

/**
 * Bring the schema up to date, in one transaction: all of it or nothing. A lock makes concurrent callers wait for the
 * first, and find nothing left to do. Who is up to date already needs no rights but to read.
 */
export async function migrate(db: Database): Promise<{ applied: string[] }> {
  await refuseHidden(db)
  if ((await pending(db)).length === 0 && !(await examine(db)).astray) return { applied: [] }
  await checkEncoding(db)
  return db.withClient(async (client) => {
    try {
      await client.query('begin isolation level read committed')
      await client.query('select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))', [
        `meowmx migrate ${db.schema}`,
      ])
      const [row] = await db.query(HAS_SCHEMA, [db.quotedSchema], client)
      if (row![0] !== 't') await client.query(`create schema ${db.quotedSchema}`)
      // What a file names without a schema is ours; the last place for temporary tables keeps them from hiding ours.
      await client.query(`set local search_path = ${db.quotedSchema}, pg_temp`)
      await client.query(
        'create table if not exists migrations (id int primary key, name text not null, applied_at timestamptz not null default clock_timestamp())',
      )
      const todo = await pending(db, client)
      for (const { id, name } of todo) {
        await client.query(sql[name]!)
        await client.query('insert into migrations (id, name) values ($1, $2)', [id, name])
      }
      const applied = todo.map(({ name }) => name)
      if ((await examine(db, client)).astray) {
        await redefine(db, client)
        applied.push(REDEFINED)
      }
      await client.query('commit')
      if (applied.length > 0)
        db.settings.logger.info({ schema: db.schema, applied }, 'the schema is migrated')
      return { applied }
    } catch (error) {
      await client.query('rollback').catch(() => db.discard(client)) // nobody else is to find the transaction open
      throw db.translate(error)
    }
  })
}

/** Make all functions and triggers once more, in this schema. */
async function redefine(db: Database, client: pg.ClientBase): Promise<void> {
  const drops = await db.query({ ...db.file('unbind'), always: true }, [db.schema, functionNames], client)
  for (const [drop] of drops) await client.query(drop!)
  for (const statement of redefinitions) await client.query(statement)
}

/** Other encodings hold only some characters: events would be refused, depending on what is in them. */
async function checkEncoding(db: Database): Promise<void> {
  const { database, encoding } = await encodingOf(db)
  if (encoding !== 'UTF8') throw new SchemaError(db.schema, `database "${database}" ${notUtf8(encoding)}`)
}

/** What is still to be run; a schema that is newer is refused. */
export async function pending(db: Database, client?: pg.ClientBase) {
  const applied = await appliedMigrations(db, client)
  const newer = applied.filter((id) => !migrations.some((known) => known.id === id))
  if (newer.length > 0) {
    throw new SchemaError(
      db.schema,
      `schema "${db.schema}" was migrated by a newer meowmx (migration ${newer.at(-1)}, this one knows ${migrations.at(-1)?.id}): update this package`,
    )
  }
  return migrations.filter(({ id }) => !applied.includes(id))
}

async function appliedMigrations(db: Database, client?: pg.ClientBase): Promise<number[]> {
  const there = await db.query(EXISTS, [`${db.quotedSchema}.migrations`], client)
  if (there[0]![0] !== 't') return []
  const select = db.statement('select id from meowmx.migrations order by id')
  const rows = await db.query({ ...select, always: true }, [], client)
  return rows.map(([id]) => Number(id))
}

const EXISTS = {
  name: 'meowmx_exists',
  text: 'select pg_catalog.to_regclass($1) is not null',
  always: true,
}
const HAS_SCHEMA = {
  name: 'meowmx_has_schema',
  text: 'select pg_catalog.to_regnamespace($1) is not null',
  always: true,
}

/** Refuse a schema that is newer than this library, or in a state in which readers could miss events. */
export async function checkHealth(db: Database): Promise<void> {
  await refuseHidden(db)
  const isMigrated = (await pending(db)).length === 0 // else whoever needs the schema is told to migrate
  const { astray, ailments } = isMigrated ? await examine(db) : { ailments: [] }
  db.refusal = astray && `${astray}: ${MEND}`
  // Not rejected: it is `migrate()` that mends it.
  if (db.refusal) return db.settings.logger.error({ schema: db.schema }, db.refusal)
  if (!ailments[0]) return
  const { problem, mend } = ailments[0]
  throw new SchemaError(db.schema, `schema "${db.schema}" could lose events: ${problem}. To mend it: ${mend}`)
}

const MEND = 'call await meow.migrate() once, as the role that owns it'
const LAST_POSITION = BigInt(Number.MAX_SAFE_INTEGER)

interface Examination {
  /** Of a schema that was renamed or copied: that its functions or triggers work elsewhere. `migrate()` mends it. */
  readonly astray?: string | undefined
  /** What else is wrong, and the statements that mend it. */
  readonly ailments: readonly { problem: string; mend: string }[]
}

/** What is wrong with a schema that is migrated. */
export async function examine(db: Database, client?: pg.ClientBase): Promise<Examination> {
  const events = `${db.quotedSchema}.events`
  const sequence = `${db.quotedSchema}.events_position_seq`
  const health = { ...db.file('health'), always: true }
  const rows = await db.query(health, [events, sequence, functionNames], client)
  const [triggersOff, cache, rises, maximum, highest, lastValue, names, place] = rows[0]!
  const found: { problem: string; mend: string }[] = []
  if (triggersOff) {
    found.push({
      problem: `triggers of events are missing or not ENABLE ALWAYS (${triggersOff})`,
      mend: triggersOff
        .split(', ')
        .map((name) => `alter table ${events} enable always trigger ${name}`)
        .join('; '),
    })
  }
  if (cache !== '1')
    found.push({
      problem: `its sequence caches ${cache} positions`,
      mend: `alter sequence ${sequence} cache 1`,
    })
  if (rises !== 't')
    found.push({
      problem: 'its sequence of positions can go down',
      mend: `alter sequence ${sequence} increment 1 no cycle`,
    })
  if (BigInt(highest ?? 0) > LAST_POSITION)
    found.push({
      problem: `position ${highest} is above ${LAST_POSITION}, the last one that a JavaScript number holds exactly`,
      mend: `move the events above it to other positions, with meowmx.maintenance = 'on'`,
    })
  else if (BigInt(maximum!) > LAST_POSITION)
    found.push({
      problem: `its sequence goes up to ${maximum}, and a JavaScript number holds no position above ${LAST_POSITION} exactly`,
      mend: `alter sequence ${sequence} maxvalue ${LAST_POSITION}`,
    })
  else if (BigInt(highest ?? 0) > BigInt(lastValue!)) {
    found.push({
      problem: `position ${highest} is above its sequence (${lastValue})`,
      mend: `select pg_catalog.setval('${sequence.replaceAll("'", "''")}', (select max(position) from ${events}))`,
    })
  }
  return {
    ailments: found,
    ...(names
      ? {
          astray: `schema "${db.schema}" was renamed or copied, and its functions still work in schema ${place} (${shortened(names)}), where its events would be written`,
        }
      : {}),
  }
}

/** A few of many names. */
function shortened(names: string): string {
  const all = names.split(', ')
  return all.length > 4 ? `${all.slice(0, 3).join(', ')} and ${all.length - 3} more` : names
}
