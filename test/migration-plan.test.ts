// @direct
// The SQL of migrationPlan() does what migrate() does: after another client has run it, connect() accepts the store, and the
// store is the same.
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect } from '../src/index.ts'
import { cli } from './support/cli.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'

const sql = await pgClient()
const schemas: string[] = []
test.after(async () => {
  for (const schema of schemas) await sql.query(`drop schema if exists "${schema}" cascade`)
  await closeAll()
})

function named(prefix: string): string {
  const schema = uniqueName(prefix)
  schemas.push(schema)
  return schema
}

/** Functions, triggers, tables and indexes of a schema, as text that does not name it. */
async function shapeOf(schema: string): Promise<string[]> {
  const { rows } = await sql.query<{ line: string }>(
    `select pg_get_functiondef(p.oid) as line from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname = $1
     union all select indexdef from pg_indexes where schemaname = $1
     union all select pg_get_triggerdef(t.oid) || tgenabled::text from pg_trigger t join pg_class c on c.oid = tgrelid
       join pg_namespace n on n.oid = relnamespace where nspname = $1 and not tgisinternal
     union all select table_name || column_name || data_type from information_schema.columns where table_schema = $1
     union all select name || md5 from "${schema.replaceAll('"', '""')}".functions`,
    [schema],
  )
  return rows.map(({ line }) => line.replaceAll(`"${schema}"`, 'store').replaceAll(schema, 'store')).sort()
}

/** The plan is run as a script, and then all is as after migrate(). */
async function runPlan(schema: string, pending: (all: string[]) => boolean): Promise<void> {
  const meow = await connect({ connectionString: databaseUrl(), schema, listen: false, logger: false })
  const before = await meow.migrationPlan()
  assert.ok(pending(before.pending), before.pending.join())
  await sql.query(before.sql)
  assert.equal(await meow.migrationPlan(), { sql: '', pending: [] })
  assert.equal(await meow.migrate(), { applied: [] })
  await meow.close()
  const content = await connect({ connectionString: databaseUrl(), schema, listen: false })
  assert.is(
    (await content.append({ category: 'a', streamId: uniqueName('a') }, { type: 'T', data: 1 })).version,
    0,
  )
  await content.close()
  if (!/^\w+$/.test(schema)) return // its name is written in several ways in there
  const shape = await shapeOf(schema)
  const differs = [
    ...shape.filter((line) => !wanted.includes(line)),
    ...wanted.filter((line) => !shape.includes(line)),
  ]
  assert.equal(
    differs.map((line) => line.slice(0, 200)),
    [],
  )
}

const fresh = named('fresh')
await openStore({ schema: fresh, listen: false })
const wanted = await shapeOf(fresh)

test('a store that is not there, whatever its name is', async () => {
  for (const schema of [named('plan'), `${named('Plan')}'s "own" $$`]) {
    schemas.push(schema.replaceAll('"', '""'))
    await runPlan(schema, (all) => all[0] === '001_events.sql' && all.at(-1) === 'functions')
  }
})

test('a store of the oldest layout', async () => {
  const schema = named('old')
  const folder = new URL('./support/layout-12/', import.meta.url)
  await sql.query(`begin; create schema ${schema}; set local search_path = ${schema}, pg_temp;
    create table migrations (id int primary key, name text not null, applied_at timestamptz not null default clock_timestamp())`)
  for (const name of readdirSync(folder).sort()) {
    await sql.query(readFileSync(new URL(name, folder), 'utf8'))
    await sql.query('insert into migrations (id, name) values ($1, $2)', [Number(name.slice(0, 3)), name])
  }
  await sql.query('commit')
  await runPlan(schema, (all) => all.includes('014_operating.sql') && !all.includes('001_events.sql'))
})

test('functions of another text, missing and obsolete ones', async () => {
  const schema = named('changed')
  await openStore({ schema, listen: false })
  await sql.query(`update ${schema}.functions set md5 = 'x' where name in ('channel', 'events.announce');
    create function ${schema}.old_one(int) returns int language sql return 1;
    insert into ${schema}.functions (name, md5, version) values ('old_one', 'x', '0.0.1')`)
  await runPlan(schema, (all) => all.length === 1 && all[0] === 'functions')
})

test('a schema that was renamed', async () => {
  const [before, schema] = [uniqueName('before'), named('renamed')]
  const meow = await connect({ connectionString: databaseUrl(), schema: before, listen: false })
  await meow.migrate()
  await meow.close()
  await sql.query(`alter schema ${before} rename to ${schema}`)
  await runPlan(schema, (all) => all.length === 1 && all[0] === 'functions')
})

test('migrate --print prints it, and changes nothing', async () => {
  const schema = named('print')
  const { code, stdout, stderr } = await cli(['migrate', '--print', '--schema', schema])
  assert.is(code, 0)
  assert.match(stderr, /^pending: 001_events\.sql, .*, functions\n$/)
  const { rows } = await sql.query('select to_regnamespace($1) as schema', [schema])
  assert.is(rows[0].schema, null)
  await sql.query(stdout)
  const again = await cli(['migrate', '--print', '--schema', schema])
  assert.equal(again, { code: 0, stdout: '', stderr: `schema "${schema}" is up to date\n` })
})

test.run()
