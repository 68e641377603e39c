// Statements that could lose events or change their order are refused: each guard is tested with what it guards against.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { copyIn } from './support/copy.ts'
import { rawColumns as columns, refusing } from './support/raw-insert.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema as schema, uniqueName } from './support/store.ts'
import { throughPooler, unless } from './support/ways.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
const event = { type: 'T', data: 1 }
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)
const { refused, head } = refusing(sql, schema)

test('UPDATE, DELETE and TRUNCATE are refused, even if they match no row', async () => {
  const category = uniqueName('append_only')
  const { events } = await meow.append({ category, streamId: 'a' }, event)
  for (const statement of [
    `update ${schema}.events set type = 'U' where category = '${category}'`,
    `update ${schema}.events set type = 'U' where false`,
    `delete from ${schema}.events where category = '${category}'`,
    `delete from ${schema}.events where false`,
    `truncate ${schema}.events`,
    `truncate ${schema}.events cascade`,
    `insert into ${schema}.events ${columns} values (0, '${category}', 'a', 'T', '2')
     on conflict (category, stream_id, version) do update set data = excluded.data`,
  ]) {
    const error = await refused('MW001', statement)
    assert.match(error.message, 'append-only')
    assert.match(error.message, schema)
    assert.match((error as pg.DatabaseError).hint!, 'meowmx.maintenance')
  }
  assert.equal(await meow.load({ category, streamId: 'a' }), events)
})

test('an administrator may change and delete events, for one transaction', async () => {
  const category = uniqueName('erasure')
  await meow.append({ category, streamId: 'a' }, [event, event])
  await sql.query('begin')
  await sql.query(`set local meowmx.maintenance = 'on'`)
  await sql.query(`update ${schema}.events set data = '"erased"' where category = $1 and version = 0`, [
    category,
  ])
  await sql.query(`delete from ${schema}.events where category = $1 and version = 1`, [category])
  await sql.query('commit')
  assert.equal(
    (await meow.load({ category, streamId: 'a' })).map(({ data }) => data),
    ['erased'],
  )
  await refused('MW001', `delete from ${schema}.events where category = '${category}'`)
})

test('positions that the sequence did not just assign are refused', async () => {
  const category = uniqueName('positions')
  await meow.append({ category, streamId: 'before' }, event)
  const last = await head()
  const insert = (position: number | bigint) =>
    `insert into ${schema}.events (position, version, category, stream_id, type, data) overriding system value
     values (${position}, 0, '${category}', 'raw', 'T', '1')`
  for (const position of [0, -5, 1_000_000, last + 1, last + 2 ** 32, 2n ** 62n]) {
    const error = await refused('MW002', insert(position))
    assert.match(error.message, String(position))
    assert.match(error.message, category)
  }
  // Also in a transaction that has announced the category, and with a position below the announced one.
  const append = `select * from ${schema}.append('${category}', 'mine', '{"type": "T", "data": 1}')`
  await refused('MW002', append, insert(last + 100))
  const { rows } = await sql.query(`select nextval('${schema}.events_position_seq') as burnt`)
  await refused('MW002', append, insert(rows[0].burnt))
  await refused(
    'MW002',
    append,
    `select setval('${schema}.events_position_seq', ${last + 2 ** 32 + 10})`,
    append,
  )
  await sql.query(`select setval('${schema}.events_position_seq', ${last + 10})`)
  await refused('428C9', insert(5).replace('overriding system value', '')) // PostgreSQL's own
  assert.is((await meow.read({ category })).events.length, 1)
})

test('COPY with positions is refused; without positions it works like INSERT', async () => {
  const category = uniqueName('copy')
  const into = (list: string) => `copy ${schema}.events (${list}) from stdin`
  const position = (await head()) + 50
  const error = await rejects(
    copyIn(
      sql,
      into('position, version, category, stream_id, type, data'),
      `${position}\t0\t${category}\ta\tT\t1\n`,
    ),
    Error,
  )
  assert.is((error as pg.DatabaseError).code, 'MW002', error.message)
  const gap = copyIn(
    sql,
    into('version, category, stream_id, type, data'),
    `0\t${category}\ta\tT\t1\n2\t${category}\ta\tT\t1\n`,
  )
  assert.is(((await rejects(gap, Error)) as pg.DatabaseError).code, 'MW003')
  await copyIn(
    sql,
    into('version, category, stream_id, type, data'),
    `0\t${category}\ta\tT\t1\n1\t${category}\ta\tT\t1\n`,
  )
  assert.equal(
    (await meow.read({ category })).events.map(({ version }) => version),
    [0, 1],
  )
})

test('a raw INSERT is refused if it leaves a gap in the versions, or if versions and positions are in a different order', async () => {
  const category = uniqueName('versions')
  const insert = (...rows: [streamId: string, version: number][]) =>
    `insert into ${schema}.events ${columns} values ${rows.map(([s, v]) => `(${v}, '${category}', '${s}', 'T', '1')`)}`
  for (const rows of [
    [['a', 1]],
    [
      ['a', 0],
      ['a', 2],
    ],
    [
      ['a', 1],
      ['a', 0],
    ],
    [
      ['b', 0],
      ['a', 7],
    ],
  ] as [string, number][][]) {
    const error = await refused('MW003', insert(...rows))
    assert.match(error.message, category)
  }
  await refused('23514', insert(['a', -1]))
  await refused('23505', insert(['a', 0]), insert(['a', 0]))
  await refused('MW003', insert(['a', 0], ['a', 1]), insert(['a', 3]))
  await sql.query(insert(['a', 0], ['b', 0], ['a', 1]))
  await sql.query(insert(['a', 2]))
  await meow.append({ category, streamId: 'a' }, event, { expectedVersion: 2 })
  await refused('MW003', insert(['a', 5]))
  assert.is((await meow.read({ category })).events.length, 5)
})

unless(throughPooler, test)('a sequence that caches positions is refused', async () => {
  const other = uniqueName('cache')
  const store = await openStore({ schema: other, listen: false, maxConnections: 1 })
  await sql.query(`alter sequence ${other}.events_position_seq cache 20`)
  const stream = { category: 'c', streamId: 's' }
  await store.append(stream, event) // takes 1, and keeps 2 to 20
  const error = await rejects(store.append(stream, event), Error)
  assert.is((error as unknown as pg.DatabaseError).code, 'MW002', error.message)
  assert.is((await store.read({})).events.length, 1)
})

test('inserts inside an append, by triggers and functions, are announced or refused', async () => {
  const other = uniqueName('nested')
  const store = await openStore({ schema: other, listen: false })
  await sql.query(`create table ${other}.orders (name text)`)
  const trigger = (body: string, on: string, when: string) =>
    sql.query(`
      create or replace function ${other}.mine() returns trigger language plpgsql as $$ begin ${body}; return new; end $$;
      create trigger mine ${when} insert on ${other}.${on} for each row execute function ${other}.mine()`)
  const drop = (on: string) => sql.query(`drop trigger mine on ${other}.${on}`)
  const raw = (category: string, version = '0') =>
    `insert into ${other}.events ${columns} values (${version}, ${category}, 'of ' || new.stream_id, 'Audited', '1')`
  const append = `perform ${other}.append('audit', 'all', '{"type": "Audited", "data": 1}')`
  const top = `if new.type <> 'Audited' then`

  // By the append function: the inner call makes its own announcement.
  for (const when of ['before', 'after']) {
    await trigger(`${top} ${append}; end if`, 'events', when)
    const before = (await store.load({ category: 'audit', streamId: 'all' })).length
    const stream = { category: `plain ${when}`, streamId: 'a' }
    await store.append(stream, event)
    await store.append(stream, [event, event])
    assert.is((await store.load(stream)).length, 3)
    assert.is((await store.load({ category: 'audit', streamId: 'all' })).length, before + 3)
    // Its announcement lasts for the transaction: further appends take no more locks.
    await sql.query('begin')
    for (let i = 0; i < 20; i++) await store.append(stream, i % 2 ? event : [event, event], { client: sql })
    const { rows } = await sql.query(
      `select count(*)::int as n from pg_locks where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 2`,
    )
    assert.is(rows[0].n, 3)
    await sql.query('commit')
    await drop('events')
  }

  // By a raw INSERT without announcement: into another category, and with a gap in the versions.
  for (const [category, version, code] of [
    [`'other ' || new.category`, '0', 'MW002'],
    ['new.category', '7', 'MW003'],
  ] as const) {
    await trigger(`${top} ${raw(category, version)}; end if`, 'events', 'after')
    const stream = { category: `refused ${version}`, streamId: 'a' }
    const error = await rejects(store.append(stream, event), Error)
    assert.is((error as unknown as pg.DatabaseError).code, code, error.message)
    assert.equal(await store.load(stream), [])
    // Inside a raw INSERT, everything is announced.
    if (code === 'MW002') {
      await sql.query(`insert into ${other}.events ${columns} values (0, 'raw', 'a', 'T', '1')`)
      assert.is((await store.read({ category: 'other raw' })).events.length, 1)
    }
    await drop('events')
  }

  // From a table of the user's own: the outbox in a trigger.
  await trigger(append, 'orders', 'after')
  const before = (await store.load({ category: 'audit', streamId: 'all' })).length
  await sql.query(`insert into ${other}.orders select 'o' || n from generate_series(1, 50) as n`)
  assert.is((await store.load({ category: 'audit', streamId: 'all' })).length, before + 50)
  const all = (await store.read({})).events
  assert.equal(
    all.map(({ position }) => position),
    all.map(({ position }) => position).toSorted((a, b) => a - b),
  )
})

test('a raw INSERT is checked even if the transaction announced the category itself', async () => {
  const category = uniqueName('alone')
  await refused(
    'MW003',
    `set local search_path = ${schema}`,
    `select announce('${category}')`,
    `insert into events ${columns} values (7, '${category}', 'a', 'T', '1')`,
  )
})

test('an INSERT that carries the flags of the append functions is refused', async () => {
  const category = uniqueName('flagged')
  const setting = `'meowmx.announced_' || '${schema}.events'::regclass::oid`
  const insert = `insert into ${schema}.events ${columns} values (0, '${category}', 'a', 'T', '1')`
  for (const flag of [`'!'`, `'!!'`, `'!!#'`, `'!!##|'`, `'!!#' || pg_current_xact_id() || '#'`])
    await refused('MW002', `select set_config(${setting}, ${flag}, true)`, insert)
})

test('an INSERT inside an append, by a function that is no trigger, is refused', async () => {
  const other = uniqueName('inside')
  const store = await openStore({ schema: other, listen: false })
  const raw = `insert into ${other}.events ${columns} values (0, 'inner', 'of ' || what, 'Audited', '1')`
  const inner = (body: string) =>
    sql.query(`create or replace function ${other}.mine(what text, kind text) returns bool language plpgsql as $$ begin
      if kind <> 'Audited' then ${body}; end if; return true; end $$`)
  await inner(raw)
  await sql.query(`alter table ${other}.events add constraint mine check (${other}.mine(stream_id, type))`)
  const stream = { category: 'outer', streamId: 'a' }
  for (const events of [event, [event, event]]) {
    const error = await rejects(store.append(stream, events), Error)
    assert.is((error as unknown as pg.DatabaseError).code, 'MW002', error.message)
  }
  assert.is((await store.read({})).events.length, 0)
  // By the append function, it is announced.
  await inner(`perform ${other}.append('inner', 'of ' || what, '{"type": "Audited", "data": 1}')`)
  await store.append(stream, event)
  assert.is((await store.read({ category: 'inner' })).events.length, 1)
})

test("a violated unique index of the user's own is an error, not an endless race", async () => {
  const other = uniqueName('index')
  const store = await openStore({ schema: other, listen: false })
  await sql.query(`create unique index mine on ${other}.events ((data ->> 'email'))`)
  const stream = (streamId: string) => ({ category: 'user', streamId })
  const taken = { type: 'T', data: { email: 'a@b' } }
  await store.append(stream('a'), taken)
  const good = store.append(stream('good'), { type: 'T', data: { email: 'c@d' } })
  for (const promise of [
    store.append(stream('b'), taken),
    store.append(stream('b'), [{ type: 'T', data: {} }, taken]),
    store.appendAll([{ stream: stream('b'), events: taken }]),
  ]) {
    assert.match((await rejects(promise, Error)).message, 'mine')
  }
  await good
  for (const events of [taken, [{ type: 'T', data: {} }, taken]]) {
    await sql.query('begin')
    assert.match((await rejects(store.append(stream('b'), events, { client: sql }), Error)).message, 'mine')
    await sql.query('rollback')
  }
  assert.is((await store.read({})).events.length, 2)
})

test('a trigger that suppresses rows is an error, not an endless loop', async () => {
  const other = uniqueName('suppress')
  const store = await openStore({ schema: other, listen: false })
  await sql.query(`
    create function ${other}.mine() returns trigger language plpgsql as $$ begin
      return case when new.type = 'Kept' then null else new end; end $$;
    create trigger mine before insert on ${other}.events for each row execute function ${other}.mine()`)
  const stream = { category: 'c', streamId: 's' }
  const kept = { type: 'Kept', data: 1 }
  for (const [events, client] of [
    [kept, undefined],
    [kept, sql],
    [[event, kept], undefined],
    [[event, kept], sql],
  ] as const) {
    if (client) await sql.query('begin')
    const error = await rejects(store.append(stream, events, client ? { client } : {}), Error)
    assert.is((error as unknown as pg.DatabaseError).code, 'MW008', error.message)
    if (client) await sql.query('rollback')
  }
  assert.equal(await store.load(stream), [])
})

test.run()
