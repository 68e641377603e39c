// migrate(): called by many at once, in a schema of any name, under any search_path; and which stores connect() refuses.
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions, RecordedEvent } from '../src/index.ts'
import { ConnectionError, connect, SchemaError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, directUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'
import { theWay, throughPooler, unless } from './support/ways.ts'

const run = promisify(execFile)
const sql = await pgClient()
const observer = await pgClient()
const files = readdirSync(new URL('../sql/schema/', import.meta.url)).sort()
const everything = [...files, 'functions']
const event = { type: 'T', data: 1 }
const connectionString = databaseUrl()
const open = (options: ConnectOptions) => connect(theWay({ connectionString, ...options }))
test.after(closeAll)

test('no index depends on an order of letters, which an upgrade of the operating system may change', async () => {
  const schema = uniqueName('letters')
  await openStore({ schema, listen: false })
  const { rows } = await sql.query(
    `select indexrelid::regclass::text as name, bool_and(letters in (0, 'pg_catalog."C"'::regcollation)) as bytes
     from pg_index, unnest(indcollation) as letters
     where indrelid in (select oid from pg_class where relnamespace = $1::regnamespace)
     group by indexrelid`,
    [schema],
  )
  assert.ok(rows.length > 10)
  assert.equal(
    rows.filter(({ bytes }) => !bytes),
    [],
  )
})

unless(throughPooler, test)(
  '100 callers at once, from several stores and processes: one applies, the others find it done',
  async () => {
    const schema = uniqueName('crowd')
    const stores = await Promise.all(
      Array.from({ length: 5 }, () =>
        open({ schema, listen: false, maxConnections: 8, queryTimeoutMs: 120_000 }),
      ),
    )
    // No caller gets the lock before all of them wait for it.
    await sql.query('begin')
    await sql.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`meowmx migrate ${schema}`])
    const child = new URL('./support/migrate-child.ts', import.meta.url).pathname
    const children = Array.from({ length: 3 }, () => run(process.execPath, [...program(child), schema, '6']))
    const own = stores.flatMap((store) => Array.from({ length: 17 }, () => store.migrate()))
    const settled = Promise.all([...children, ...own]) // so that a failure is seen
    await Promise.race([
      settled,
      until(
        async () => {
          const { rows } = await observer.query(
            `select count(*)::int as n from pg_stat_activity where application_name = $1 and wait_event = 'advisory'`,
            [`meowmx ${schema}`],
          )
          return rows[0].n === 5 * 8 + 3 * 6
        },
        { timeoutMs: 30_000, what: 'all callers to wait' },
      ),
    ])
    await sql.query('commit')
    await settled
    const applied = [
      ...(await Promise.all(own)).map((result) => result.applied.length),
      ...(await Promise.all(children)).flatMap(({ stdout }) => JSON.parse(stdout) as number[]),
    ]
    assert.is(applied.length, 103)
    assert.equal(
      applied.filter((n) => n > 0),
      [everything.length],
    )
    assert.is((await stores[0]!.append({ category: 'c', streamId: 's' }, event)).version, 0)
    await Promise.all(stores.map((store) => store.close()))
    await sql.query(`drop schema ${schema} cascade`)
  },
)

test('it says what it applied, and does it once', async () => {
  const schema = uniqueName('once')
  const meow = await open({ schema, listen: false })
  assert.equal(await meow.migrate(), { applied: everything })
  const { events } = await meow.append({ category: 'c', streamId: 's' }, event)
  assert.equal(await meow.migrate(), { applied: [] })
  assert.equal(await meow.load({ category: 'c', streamId: 's' }), events)
  await meow.close()
  await sql.query(`drop schema ${schema} cascade`)
})

test('all of it or nothing', async () => {
  // A table of that name in the way of one of the later files.
  const schema = uniqueName('half')
  await sql.query(`create schema ${schema}; create table ${schema}.subscriptions (mine int)`)
  const meow = await open({ schema, listen: false })
  await rejects(meow.migrate(), Error)
  const { rows } = await sql.query(
    'select relname from pg_class where relnamespace = $1::regnamespace and relkind = $2',
    [schema, 'r'],
  )
  assert.equal(rows, [{ relname: 'subscriptions' }])
  await sql.query(`drop table ${schema}.subscriptions`)
  assert.equal(await meow.migrate(), { applied: everything })
  await meow.close()
  await sql.query(`drop schema ${schema} cascade`)
})

test('a newer database is left as it is', async () => {
  const schema = uniqueName('newer')
  const meow = await openStore({ schema, listen: false })
  await sql.query(`insert into ${schema}.migrations (id, name) values (998, 'later')`)
  await sql.query(`delete from ${schema}.migrations where name = '${files.at(-1)}'`)
  await rejects(meow.migrate(), SchemaError)
  const { rows } = await sql.query(`select max(id) as last, count(*)::int as n from ${schema}.migrations`)
  assert.equal(rows, [{ last: 998, n: files.length }])
})

const suffix = uniqueName('').slice(-8)
const names = [
  `we"ird ${suffix}`,
  `Ünïcode 🐈 ${suffix}`,
  'select',
  'error',
  `UPPER${suffix}`,
  `with space ${suffix}`,
  `quo'te ''${suffix}`,
  `dot.${suffix}.meowmx.events`,
  `$dollar$1 $& $$${suffix}`,
  `per%s%I%${suffix}`,
  `back\\slash\\n${suffix}`,
  `new\nline${suffix}`,
  `{{event}} ${suffix}`,
  `#${suffix}`,
  `1${suffix}`,
  `${'x'.repeat(55)}${suffix}`,
  `${'é'.repeat(27)}x${suffix}`,
]
for (const schema of names) {
  test(`a schema named ${JSON.stringify(schema)} (${Buffer.byteLength(schema)} bytes)`, async () => {
    // So few polls that what arrives was pushed.
    const meow = await openStore({ schema, pollIntervalMs: 600_000 })
    const other = `${'y'.repeat(60)}" $1 '`
    const seen: RecordedEvent[] = []
    const subscription = meow.events({}).subscribe((one) => seen.push(one))
    const inOther: RecordedEvent[] = []
    subscription.add(meow.events({ category: other }).subscribe((one) => inOther.push(one)))
    const first = await meow.append({ category: 'order', streamId: 'a' }, event)
    await until(() => seen.length === 1, { what: 'a pushed event' })
    const second = await meow.append({ category: other, streamId: 'a' }, [event, event])
    await until(() => seen.length === 3 && inOther.length === 2, { what: 'two more' })
    const third = await meow.append({ category: other, streamId: 'a' }, event, { client: sql })
    await until(() => seen.length === 4 && inOther.length === 3, { what: 'and one more' })
    subscription.unsubscribe()
    const events = [...first.events, ...second.events, ...third.events]
    assert.equal(seen, events)
    assert.equal((await meow.read({})).events, events)
    assert.equal(await meow.load({ category: 'order', streamId: 'a' }), first.events)
    assert.is((await meow.categories()).length, 2)
    assert.equal(await meow.migrate(), { applied: [] })
    const acked: number[] = []
    const worker = meow.subscription('s', { category: other }).process(({ version }) => acked.push(version))
    await until(() => acked.length === 3, { what: 'a subscription' })
    await worker.stop()
    const name = sql.escapeIdentifier(schema)
    const { rows } = await sql.query(
      `select version from ${name}.append('order', 'a', '{"type": "T", "data": 1}')`,
    )
    assert.equal(rows, [{ version: 1 }])
    await sql.query(`drop schema ${name} cascade`)
    await meow.close()
  })
}

test('a hostile search_path, in migrate and later', async () => {
  const evil = uniqueName('evil')
  const schema = uniqueName('good')
  const body = `language plpgsql as $$ begin raise exception 'hijacked'; end $$`
  const trap = `as $$ begin raise exception 'hijacked'; end $$ language plpgsql`
  await sql.query(`create schema ${evil}`)
  await sql.query(`
    set search_path = ${evil};
    create table events (mine int);
    create table migrations (mine int);
    create table subscriptions (mine int);
    create table checkpoints (mine int);
    create sequence events_position_seq;
    create function announce(text) returns void ${body};
    create function read_announcement() returns text ${body};
    create function store_key() returns int ${body};
    create function category_key(text) returns int ${body};
    create function announcement_setting() returns text ${body};
    create function channel_of(text, text) returns text ${body};
    create function append_batch(text[], text[], int[], int[], int[], boolean, boolean, json) returns int ${body};
    create function append_guarded(text[], text[], int[], int[], int[], boolean, boolean, json) returns int ${body};
    create function horizons(bigint) returns int ${body};
    create function pg_advisory_xact_lock_shared(int, int) returns void ${trap};
    create function pg_advisory_xact_lock(bigint) returns void ${trap};
    create function hashtextextended(text, bigint) returns bigint ${trap};
    create function pg_notify(text, text) returns void ${trap};
    create function set_config(text, text, boolean) returns text ${trap};
    create function current_setting(text, boolean) returns text ${trap};
    create function clock_timestamp() returns timestamptz ${trap};
    create function gen_random_uuid() returns uuid ${trap};
    create function to_regclass(text) returns regclass ${trap};
    create function round(numeric) returns numeric ${trap};
    create function md5(text) returns text ${trap};
    create function split_part(text, text, int) returns text ${trap};
    create function starts_with(text, text) returns boolean ${trap};
    create function strpos(text, text) returns int ${trap};
    create function octet_length(text) returns int ${trap};
    create function "~~~"(text, text) returns boolean ${trap};
    create operator = (leftarg = text, rightarg = text, function = "~~~");
    create function "<<<"(bigint, bigint) returns boolean ${trap};
    create operator > (leftarg = bigint, rightarg = bigint, function = "<<<");
    create operator <= (leftarg = bigint, rightarg = bigint, function = "<<<");
    reset search_path`)
  const url = new URL(directUrl()) // a pooler takes no `options`
  url.searchParams.set('options', `-c search_path=${evil},public`)
  const meow = await openStore({ connectionString: url.href, schema, pollIntervalMs: 600_000 })
  const stream = { category: 'order', streamId: 'a' }
  const seen: RecordedEvent[] = []
  const subscription = meow.events({ category: 'order' }).subscribe((one) => seen.push(one))
  await meow.append(stream, event)
  await meow.append(stream, [event, event])
  await meow.append(stream, { ...event, id: crypto.randomUUID() })
  await until(() => seen.length === 4, { what: 'pushed events' })
  subscription.unsubscribe()
  assert.equal(await meow.load(stream), seen)
  assert.equal((await meow.read({ category: ['order', 'b'], types: ['T'] })).events, seen)
  assert.equal(await meow.categories(), [
    { category: 'order', streams: 1, events: 4, lastPosition: seen[3]!.position },
  ])
  const worker = meow.subscription('s', {}).process(() => {})
  await worker.ready
  await worker.stop()

  // The functions and triggers hold even where the hostile schema comes before PostgreSQL's own, and temporary tables
  // before all.
  const client = await pgClient()
  await client.query('create temp table events (mine int); create temp table migrations (mine int)')
  for (const path of [`${evil}, pg_catalog`, `pg_temp, ${evil}, pg_catalog, ${schema}`]) {
    await client.query(`set search_path = ${path}`)
    await client.query(
      `select * from ${schema}.append('order', 'a', '{"type": "T", "data": 1}', 'stream-exists')`,
    )
    await client.query(
      `insert into ${schema}.events (version, category, stream_id, type, data) values (0, 'raw', '${path}', 'T', '1')`,
    )
    const { rows } = await client.query(`select ${schema}.horizon('order'), ${schema}.channel('order')`)
    assert.equal(rows[0].channel, `${schema}.order`)
    assert.ok(Number(rows[0].horizon) > seen[3]!.position)
  }
  assert.is((await meow.load(stream)).length, 6)
  await sql.query(`drop schema ${evil} cascade`)
})

test('connect refuses a store that could lose events, and says how to mend it', async () => {
  const schema = `quo'te ${suffix} health`
  const name = sql.escapeIdentifier(schema)
  const meow = await openStore({ schema, listen: false })
  await meow.append({ category: 'c', streamId: 's' }, event)
  const events = `${name}.events`
  const sequence = `${name}.events_position_seq`
  const breaks: [name: string, breaking: string, words: string[]][] = [
    ['a trigger is off', `alter table ${events} disable trigger announce`, ['announce', 'ENABLE ALWAYS']],
    ['a trigger is off for replicas', `alter table ${events} enable trigger appended`, ['appended']],
    [
      'all triggers are off',
      `alter table ${events} disable trigger user`,
      ['announce, append_only, appended'],
    ],
    ['the sequence caches', `alter sequence ${sequence} cache 20`, ['caches 20']],
    [
      'a position is above the sequence',
      `select setval('${sequence.replaceAll("'", "''")}', 1, false)`,
      ['position 1 is above', '(0)'],
    ],
    [
      'a row was copied in from elsewhere',
      `begin; set local meowmx.maintenance = 'on';
       insert into ${events} (position, version, category, stream_id, type, data) overriding system value
       values (5000, 1, 'c', 's', 'T', '1'); commit`,
      ['position 5000 is above'],
    ],
  ]
  for (const [what, breaking, words] of breaks) {
    await sql.query(breaking)
    const errors = [await rejects(open({ schema }), SchemaError), await rejects(meow.migrate(), SchemaError)]
    for (const error of errors) {
      for (const word of [schema, 'could lose events', ...words]) assert.match(error.message, word)
      assert.is(error.schema, schema)
    }
    await sql.query(errors[0]!.message.split('To mend it: ')[1]!)
    await open({ schema, listen: false }).then(
      (store) => store.close(),
      (error) => {
        throw new Error(`${what} is not mended: ${error.message}`)
      },
    )
  }
  assert.is((await meow.append({ category: 'c', streamId: 's' }, event)).position, 5001)
  await sql.query(`drop trigger appended on ${events}`)
  assert.match((await rejects(open({ schema }), SchemaError)).message, 'missing')
})

test("triggers of the user's own are the user's affair", async () => {
  const schema = uniqueName('own')
  await openStore({ schema, listen: false })
  await sql.query(
    `create function ${schema}.mine() returns trigger language plpgsql as 'begin return new; end'`,
  )
  await sql.query(
    `create trigger mine before insert on ${schema}.events for each row execute function ${schema}.mine()`,
  )
  const meow = await openStore({ schema, listen: false })
  await meow.append({ category: 'c', streamId: 's' }, event)
})

test('a role that may not create a schema gets an error that says so', async () => {
  const role = uniqueName('role')
  await sql.query(`create role ${role} login`)
  const url = new URL(connectionString)
  url.username = role
  const meow = await open({ connectionString: url.href, schema: uniqueName('denied'), listen: false })
  assert.match((await rejects(meow.migrate(), ConnectionError)).message, 'permission denied')
  await meow.close()
  await sql.query(`drop role ${role}`)
})

test.run()
