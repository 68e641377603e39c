// @direct
// A store of the oldest layout, with everything that it can contain, is updated: no event and no grant is lost, subscriptions
// continue, and the result is the same as a new store. Released files are never edited.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/index.ts'
import { ConnectionError, connect } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { released } from './support/released.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const read = (folder: URL, file: string) => readFileSync(new URL(file, folder), 'utf8')
/** The schema files of this package. */
const schemaFolder = new URL('../sql/schema/', import.meta.url)
const files = readdirSync(schemaFolder).sort()
/** The files of a package that had tables and functions in the same files, and no table of functions. */
const oldFolder = new URL('./support/layout-12/', import.meta.url)
const oldest = readdirSync(oldFolder).sort()
const sql = await pgClient()
test.after(closeAll)

/** A schema to which these files were applied, by an older package. */
async function storeOf(folder: URL, applied: readonly string[]): Promise<string> {
  const schema = uniqueName('old')
  await sql.query(`begin; create schema ${schema}; set local search_path = ${schema}, pg_temp;
    create table migrations (id int primary key, name text not null, applied_at timestamptz not null default clock_timestamp())`)
  for (const name of applied) {
    await sql.query(read(folder, name))
    await sql.query('insert into migrations (id, name) values ($1, $2)', [Number(name.slice(0, 3)), name])
  }
  await sql.query('commit')
  return schema
}

/** All that there is in a schema, as text that does not name it; what plans are made of among it. */
async function shapeOf(schema: string): Promise<string[]> {
  const { rows } = await sql.query<{ line: string }>(
    `select line from (
      select format('column %s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        a.attidentity, pg_get_expr(d.adbin, d.adrelid)) as line
      from pg_class c join pg_attribute a on a.attrelid = c.oid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
      where c.relnamespace = $1::text::regnamespace and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'S', 'v')
      union all select format('relation %s %s %s %s', relname, relkind, relpersistence, reloptions) from pg_class where relnamespace = $1::text::regnamespace
      union all select 'index ' || indexdef from pg_indexes where schemaname = $1::text
      union all select format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint where connamespace = $1::text::regnamespace and contype <> 'n'
      union all select format('trigger %s %s', tgenabled, pg_get_triggerdef(t.oid))
        from pg_trigger t join pg_class c on c.oid = tgrelid where c.relnamespace = $1::text::regnamespace and not tgisinternal
      union all select 'function ' || pg_get_functiondef(oid) from pg_proc where pronamespace = $1::text::regnamespace
    ) as all_of_it order by line`,
    [schema],
  )
  return rows.map(({ line }) => line.replaceAll(schema, 'store')).toSorted()
}

test('released SQL files are never edited', () => {
  for (const [version, hashes] of Object.entries(released)) {
    for (const [file, hash] of Object.entries(hashes)) {
      const now = createHash('sha256').update(read(schemaFolder, file)).digest('hex')
      assert.is(now, hash, `sql/schema/${file} was released in ${version}: put what changes in a new file`)
    }
  }
  assert.equal(files, Object.values(released).flatMap(Object.keys))
})

test('from any earlier state, the result is the same as a new store', async () => {
  const fresh = uniqueName('fresh')
  await openStore({ schema: fresh, listen: false })
  const wanted = await shapeOf(fresh)
  assert.ok(wanted.length > 100)
  for (const [folder, all] of [
    [schemaFolder, files],
    [oldFolder, oldest],
  ] as const) {
    for (let applied = 0; applied <= all.length; applied++) {
      const schema = await storeOf(folder, all.slice(0, applied))
      const meow = await openStore({ schema, listen: false, maxConnections: 1 })
      assert.equal(await shapeOf(schema), wanted, `from ${all[applied - 1] ?? 'nothing'}`)
      await meow.close()
    }
  }
})

test('the oldest layout, with events, is migrated', async () => {
  const schema = await storeOf(oldFolder, oldest)
  await sql.query(`set search_path = ${schema}`)
  await sql.query(`
    select append('order', 'a', '[{"type": "T", "data": {"n": 1.50}}, {"type": "U", "data": [null, "ä"], "metadata": {"m": 1}}]');
    select append('order', 'b', '{"type": "T", "data": 3}', 'no-stream');
    insert into events (version, category, stream_id, type, data) select n, 'raw', 's', 'T', to_json(n) from generate_series(0, 999) as n;
    select append('order', 'a', '{"type": "T", "data": 4}', '1');
    select subscribe('mails', '{order}', null, null, 1, 0);
    update checkpoints set position = 2, epoch = 7;
    insert into parked_events (subscription, category, stream_id, position, attempts, error)
    select 'mails', category, stream_id, position, 5, 'Error: no mail' from events where stream_id = 'b';
    insert into snapshots (name, category, stream_id, event_id, version, snapshot_version, state)
    select 'sum', category, stream_id, id, version, 1, '7' from events where category = 'raw' and version = 999`)
  const stored =
    'select position, id, category, stream_id, version, type, data::text, metadata::text, recorded_at::text from events order by position'
  const before = (await sql.query(stored)).rows
  assert.is(before.length, 1_004)

  const meow = await openStore({ schema })
  assert.equal((await sql.query(stored)).rows, before)
  const { events } = await meow.read({}, { limit: 2_000 })
  assert.equal(
    events.map(({ position, id }) => ({ position: String(position), id })),
    before.map(({ position, id }) => ({ position, id })),
  )
  assert.equal(
    (await meow.load({ category: 'order', streamId: 'a' })).map(({ version, data }) => [version, data]),
    [
      [0, { n: 1.5 }],
      [1, [null, 'ä']],
      [2, 4],
    ],
  )
  const conflict = await meow
    .append({ category: 'order', streamId: 'b' }, { type: 'T', data: 5 }, { expectedVersion: 'no-stream' })
    .catch(({ code }) => code)
  assert.is(conflict, 'ERR_VERSION_CONFLICT')

  const [info] = await meow.subscriptions()
  assert.equal([info!.name, info!.position, info!.parked], ['mails', 2, 1])
  const handled: RecordedEvent[] = []
  const worker = meow
    .subscription('mails', { category: 'order' })
    .process((event) => void handled.push(event))
  const next = await meow.append({ category: 'order', streamId: 'c' }, { type: 'T', data: 6 })
  await until(() => handled.at(-1)?.position === next.position, { what: 'the subscription' })
  assert.equal(
    handled.map(({ streamId, data }) => [streamId, data]),
    [
      ['a', 4],
      ['c', 6],
    ],
    'behind its checkpoint, without what is parked',
  )
  assert.is(await meow.replayParked('mails'), 1)
  await until(() => handled.some(({ streamId }) => streamId === 'b'), { what: 'the replay' })
  await worker.stop()
  const sum = {
    category: 'raw',
    initial: 0,
    evolve: () => Number.NaN,
    decide: () => [],
    name: 'sum',
    snapshotEvery: 10,
  }
  assert.equal(await meow.state(sum, 's'), { state: 7, version: 999 }, 'from its snapshot')
})

test('grants are kept: a role that could read an old store can read it afterwards, and no other role can', async () => {
  const schema = await storeOf(oldFolder, oldest)
  const [reader, stranger] = [uniqueName('reader'), uniqueName('stranger')]
  await sql.query(`create role ${reader} login; create role ${stranger} login;
    grant usage on schema ${schema} to ${reader}, ${stranger};
    revoke execute on all functions in schema ${schema} from public;
    grant execute on all functions in schema ${schema} to ${reader};
    grant select on all tables in schema ${schema} to ${reader}; grant select on all sequences in schema ${schema} to ${reader}`)
  await openStore({ schema, listen: false })
  const login = (role: string) => {
    const url = new URL(databaseUrl())
    url.username = role
    return connect({ connectionString: url.href, schema, listen: false })
  }
  const meow = await login(reader)
  assert.equal(await meow.migrate(), { applied: [] })
  assert.equal((await meow.read({})).events, [])
  await meow.close()
  assert.match((await rejects(login(stranger), ConnectionError)).message, 'permission denied')
  await sql.query(`drop owned by ${reader}, ${stranger}; drop role ${reader}, ${stranger}`)
})

test.run()
