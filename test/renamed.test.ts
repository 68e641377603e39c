// A schema that was renamed, copied or moved never writes into another store: connect and doctor say what it is, everything
// but migrate() is refused, and migrate() mends it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EmbeddedPostgres } from '../src/embedded/index.ts'
import type { Meow } from '../src/index.ts'
import { connect, SchemaError } from '../src/index.ts'
import { cli, parsed } from './support/cli.ts'
import { collect } from './support/collect.ts'
import { dumpableServer, findTools, shell } from './support/dump.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, pgClient, uniqueName } from './support/store.ts'
import { unless } from './support/ways.ts'
import { decide, execute, manage, read, write } from './support/work.ts'

const event = { type: 'Happened', data: {} }
const stream = { category: 'order', streamId: '1' }
const hints = ['renamed or copied', 'migrate']
const opened: AsyncDisposable[] = []
const made: string[] = []
const sql = await pgClient()

test.after(async () => {
  for (const one of opened.reverse()) await one[Symbol.asyncDispose]()
  for (const schema of made) await sql.query(`drop schema if exists ${sql.escapeIdentifier(schema)} cascade`)
  await closeAll()
  await server?.stop()
})

function newName(prefix: string): string {
  const name = uniqueName(prefix)
  made.push(name)
  return name
}

async function open(schema: string, connectionString = databaseUrl()): Promise<Meow> {
  const meow = await connect({ connectionString, schema, logger: quiet })
  opened.push(meow)
  return meow
}

const told: unknown[][] = []
const quiet = { debug() {}, info() {}, warn() {}, error: (...args: unknown[]) => void told.push(args) }

/** A store with one event. */
async function store(schema = newName('kept')): Promise<string> {
  const meow = await open(schema)
  await meow.migrate()
  await meow.append(stream, event)
  return schema
}

/** What doctor says of it. */
async function migration(schema: string): Promise<{ state: string; found: string; todo: string }> {
  const { stdout } = await cli(['doctor', '--json', '--schema', schema])
  return parsed(stdout).find(({ check }) => check === 'migration')
}

/** Nothing reaches `other`; `migrate()` mends it, and then all of the library works in `schema` alone. */
async function mends(schema: string, other: string | undefined): Promise<void> {
  const count = async (name: string) =>
    (await sql.query(`select from ${sql.escapeIdentifier(name)}.events`)).rowCount
  const before = other && (await count(other))
  const meow = await open(schema)
  assert.equal((told.at(-1) as any)[0], { schema })
  for (const attempt of [
    () => meow.append(stream, event),
    () => meow.load(stream),
    () => meow.read({}),
    () => meow.subscription('s', {}).process(() => {}).ready,
    () => collect(meow.events({})).ended(),
  ]) {
    const error = await rejects(attempt(), SchemaError)
    for (const hint of hints) assert.match(error.message, hint)
  }
  const { found, todo, state } = await migration(schema)
  assert.is(state, 'problem')
  assert.match(found, 'renamed or copied')
  assert.match(todo, 'meowmx migrate --schema')

  assert.is((await meow.migrate()).applied.length, 1)
  assert.equal(await meow.migrate(), { applied: [] })
  const client = await pgClient()
  const events = await write(meow, client)
  await read(meow, events, client)
  await decide(meow, client)
  await manage(meow, await execute(meow, events))
  await client.query(
    `insert into ${sql.escapeIdentifier(schema)}.events (version, category, stream_id, type, data) values (0, 'order', 'raw', 'T', '{}')`,
  )
  assert.is((await meow.load({ category: 'order', streamId: 'raw' })).length, 1)
  if (other) assert.is(await count(other), before)
  await rejects(client.query(`delete from ${sql.escapeIdentifier(schema)}.events`), Error)
  await open(schema) // finds nothing wrong
  assert.is((await migration(schema)).state, 'ok')
}

test('renamed, with a new store under the old name', async () => {
  const name = await store()
  const archive = newName('Archive "of" old')
  await sql.query(`alter schema ${name} rename to ${sql.escapeIdentifier(archive)}`)
  await store(name)
  const raw = sql.query(
    `insert into ${sql.escapeIdentifier(archive)}.events (version, category, stream_id, type, data) values (0, 'order', 'raw', 'T', '{}')`,
  )
  assert.match((await rejects(raw, Error)).message, 'renamed or copied')
  await mends(archive, name)
})

/** All ways to write into a store by plain SQL. */
const writing = (schema: string): string[] => [
  `select * from ${schema}.append('order', '1', '[{"type": "T", "data": {}}]')`,
  `select * from ${schema}.append('order', '1', '{"type": "T", "data": {}}', 'stream-exists')`,
  `select * from ${schema}.append('new', '2', '[{"type": "T", "data": {}}, {"type": "T", "data": {}}]', 'no-stream')`,
  `insert into ${schema}.events (version, category, stream_id, type, data) values (1, 'order', '1', 'T', '{}')`,
]

for (const isTaken of [true, false])
  test(`plain SQL in a schema that was renamed, and whose old name is ${isTaken ? 'taken' : 'free'}, writes nowhere and says why`, async () => {
    const name = await store()
    const archive = newName('Archive "of" old')
    const quoted = sql.escapeIdentifier(archive)
    await sql.query(`alter schema ${name} rename to ${quoted}`)
    if (isTaken) await store(name)
    const count = async (schema: string) => (await sql.query(`select from ${schema}.events`)).rowCount
    for (const query of writing(quoted)) {
      const error = (await rejects(sql.query(query), Error)) as { code?: string } & Error
      assert.is(error.code, 'MW013', `${query}: ${error.message}`)
      assert.match(error.message, 'was renamed')
      assert.match(error.message, archive)
      assert.equal([await count(quoted), isTaken && (await count(name))], [1, isTaken && 1], query)
    }
  })

test('renamed, and the old name is free: migrate() mends it', async () => {
  const name = await store()
  const archive = newName('archive')
  await sql.query(`alter schema ${name} rename to ${archive}`)
  const raw = sql.query(
    `insert into ${archive}.events (version, category, stream_id, type, data) values (0, 'order', 'raw', 'T', '{}')`,
  )
  await rejects(raw, Error)
  await mends(archive, undefined)
})

test("copied by a script that leaves out the search_path, and binds a trigger to the original's function", async () => {
  const name = await store()
  const copy = await store(newName('copy'))
  const { rows } = await sql.query(
    `select oid::regprocedure::text as signature from pg_proc where pronamespace = $1::regnamespace and proconfig is not null`,
    [copy],
  )
  for (const { signature } of rows)
    await sql.query(`alter function ${signature} set search_path = ${name}, pg_temp`)
  await sql.query(
    `create or replace trigger announce before insert on ${copy}.events execute function ${name}.announce_every()`,
  )
  await sql.query(
    `create or replace function ${copy}.store_key() returns int language sql stable
     return '${name}.events'::regclass::oid::bigint::bit(32)::int`,
  )
  await mends(copy, name)
})

test("a copy with one thing alone that is bound to the original is noticed, and others' own functions are not", async () => {
  const name = await store()
  const copy = await store(newName('copy'))
  await sql.query(
    `create function ${copy}.mine() returns bigint language sql set search_path = ${name} return (select count(*) from ${name}.events);
     create function ${copy}.theirs() returns trigger language plpgsql set search_path = ${name} as 'begin return null; end';
     create trigger theirs after insert on ${copy}.events execute function ${copy}.theirs()`,
  )
  await (await open(copy)).append(stream, event)
  for (const change of [
    `alter function ${copy}.append(text, text, json, text, json) set search_path = ${name}, pg_temp`,
    `alter function ${copy}.append(text, text, json, text, json) set search_path = "${name}"`,
    `create or replace trigger appended after insert on ${copy}.events referencing new table as inserted execute function ${name}.appended()`,
    `create or replace function ${copy}.last_position() returns bigint language sql return pg_sequence_last_value('${name}.events_position_seq')`,
    `drop function ${copy}.events_of_parked_stream; create function ${copy}.events_of_parked_stream(_parked ${name}.parked_events)
     returns setof ${name}.events language sql stable as 'select * from ${name}.events'`,
  ]) {
    await sql.query(change)
    const meow = await open(copy)
    const error = await rejects(meow.append(stream, event), SchemaError)
    assert.match(error.message, `schema ${name}`)
    assert.is((await meow.migrate()).applied.length, 1, change)
    await meow.append(stream, event)
  }
})

test('many processes mend it at once', async () => {
  const name = await store()
  const archive = newName('archive')
  await sql.query(`alter schema ${name} rename to ${archive}`)
  const all = await Promise.all(Array.from({ length: 5 }, () => open(archive)))
  const applied = await Promise.all(all.map((meow) => meow.migrate()))
  assert.is(applied.filter((one) => one.applied.length > 0).length, 1)
  for (const meow of all) await meow.append(stream, event)
  assert.is((await all[0]!.load(stream)).length, 6)
})

const tools = findTools()
const server: EmbeddedPostgres | undefined = tools && (await dumpableServer(tools))
const dumping = unless(server ? '' : 'there is no pg_dump here, or no server that it can dump', test)

dumping(
  'copied from a dump whose names were replaced by text, in the same database and in another one',
  async () => {
    const at = server!.connectionString
    const original = await open('meowmx', at)
    await original.migrate()
    await original.append(stream, event)
    const admin = await pgClient({ connectionString: at })
    await admin.query('create database other')
    const other = Object.assign(new URL(at), { pathname: '/other' }).href
    const dump = 'pg_dump -n meowmx -d "$OLD"'
    const load = (filter: string, to: string) =>
      shell(tools!, `${dump} | sed ${filter} | psql -v ON_ERROR_STOP=1 -q -d "$NEW"`, { OLD: at, NEW: to })
    // The names before a dot, as most people do it, and all of them.
    await load(`-e 's/meowmx[.]/copy./g' -e 's/SCHEMA meowmx/SCHEMA copy/'`, at)
    await load(`'s/meowmx/whole/g'`, at)
    await load(`-e 's/meowmx[.]/moved./g' -e 's/SCHEMA meowmx/SCHEMA moved/'`, other)
    for (const [schema, to, isAstray] of [
      ['copy', at, true],
      ['whole', at, false],
      ['moved', other, true],
    ] as const) {
      const meow = await open(schema, to)
      if (isAstray) await rejects(meow.append(stream, event), SchemaError)
      assert.is((await meow.migrate()).applied.length, isAstray ? 1 : 0)
      await meow.append(stream, event)
      const events = await write(meow, await pgClient({ connectionString: to }))
      await manage(meow, await execute(meow, events))
      assert.is((await meow.load(stream)).length, 2)
    }
    assert.is((await original.read({})).events.length, 1)
  },
)

test.run()
