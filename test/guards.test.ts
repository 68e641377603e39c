// What could make the log lose an event, or show it in the wrong order, is refused: each guard against its break.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { copyIn } from './support/copy.ts'
import { seeded } from './support/random.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema as schema, uniqueName } from './support/store.ts'
import { throughPooler, unless } from './support/ways.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
const event = { type: 'T', data: 1 }
const columns = '(version, category, stream_id, type, data)'
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

/** Fails unless the statement, with what precedes it in its transaction, is refused with this SQLSTATE. */
async function refused(code: string, ...statements: string[]): Promise<Error> {
  await sql.query('begin')
  try {
    for (const statement of statements.slice(0, -1)) await sql.query(statement)
    const error = await rejects(sql.query(statements.at(-1)!), Error)
    assert.is((error as pg.DatabaseError).code, code, error.message)
    return error
  } finally {
    await sql.query('rollback')
  }
}

async function head(): Promise<number> {
  const { rows } = await sql.query(
    `select last_value - (not is_called)::int as head from ${schema}.events_position_seq`,
  )
  return Number(rows[0].head)
}

test('UPDATE, DELETE and TRUNCATE are refused, even of nothing', async () => {
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

test('an administrator may, for one transaction', async () => {
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

test('positions that the sequence did not hand out just now', async () => {
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
  // Inside a transaction that has announced the category already, too; and below what it announced.
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

test('COPY with positions; without them it is as good as INSERT', async () => {
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

test('a gap in the versions, or versions against the order of positions, by a raw INSERT', async () => {
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

unless(throughPooler, test)('a sequence that hands out positions ahead of time', async () => {
  const other = uniqueName('cache')
  const store = await openStore({ schema: other, listen: false, maxConnections: 1 })
  await sql.query(`alter sequence ${other}.events_position_seq cache 20`)
  const stream = { category: 'c', streamId: 's' }
  await store.append(stream, event) // takes 1, and keeps 2 to 20
  const error = await rejects(store.append(stream, event), Error)
  assert.is((error as unknown as pg.DatabaseError).code, 'MW002', error.message)
  assert.is((await store.read({})).events.length, 1)
})

test('a mark or a flag that a pool replays counts for nothing', async () => {
  const category = uniqueName('forged')
  const client = await pgClient()
  const { rows } = await client.query(`select ${schema}.announcement_setting() as name`)
  const { name } = rows[0]
  const append = `select * from ${schema}.append('${category}', 'a', '{"type": "T", "data": 1}')`
  const insert = (n: number) =>
    `insert into ${schema}.events ${columns} values (${n}, '${category}', 'a', 'T', '1')`
  const locks = async () => {
    const { rows } = await client.query(
      `select count(*)::int as n from pg_locks where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 2`,
    )
    return rows[0].n
  }
  await client.query('begin')
  await client.query(append)
  const mark = (await client.query(`select current_setting($1) as mark`, [name])).rows[0].mark
  assert.is(await locks(), 2)
  await client.query('commit')
  assert.is((await client.query(`select current_setting($1, true) as mark`, [name])).rows[0].mark, '')

  // As if it had been set for the session: the next transaction announces all the same.
  await client.query('select set_config($1, $2, false)', [name, mark])
  await client.query('begin')
  await client.query(append)
  assert.is(await locks(), 2)
  await client.query('commit')
  await client.query('begin')
  await client.query(insert(2))
  assert.is(await locks(), 2)
  await client.query('rollback')

  // A mark that claims more than the sequence has.
  await client.query('begin')
  const forged = `'#' || pg_current_xact_id() || '#|-1=' || $2::text || '|'`
  await client.query(`select set_config($1, ${forged}, true)`, [name, (await head()) + 10])
  assert.is(((await rejects(client.query(insert(2)), Error)) as pg.DatabaseError).code, 'MW002')
  await client.query('rollback')

  // The flag with which the append function says that it has announced.
  await client.query('select set_config($1, $2, false)', [name, `!${mark}`])
  assert.is(((await rejects(client.query(insert(2)), Error)) as pg.DatabaseError).code, 'MW002')
  await client.query(append)
  assert.is((await meow.load({ category, streamId: 'a' })).length, 3)
})

test('after an append, a raw INSERT of the same transaction announces all', async () => {
  const category = uniqueName('both')
  const other = uniqueName('both')
  await sql.query('begin')
  await meow.append({ category, streamId: 'a' }, event, { client: sql })
  const free = await meow.append({ category: uniqueName('free'), streamId: 'a' }, event)
  assert.is((await meow.read({ category: free.events[0]!.category })).events.length, 1)
  await sql.query(`insert into ${schema}.events ${columns} values (0, '${other}', 'a', 'T', '1')`)
  const held = await meow.append({ category: free.events[0]!.category, streamId: 'a' }, event)
  const page = await meow.read({ category: free.events[0]!.category })
  assert.equal(page.events, free.events)
  await sql.query('commit')
  const after = await meow.read({ category: free.events[0]!.category })
  assert.equal(after.events, [...free.events, ...held.events])
  assert.is((await meow.read({ category: [category, other] })).events.length, 2)
})

test('the horizon is refused in one snapshot', async () => {
  for (const level of ['repeatable read', 'serializable']) {
    for (const call of ['horizon()', `horizon('a', 'b')`, 'horizons()']) {
      await refused('MW004', `set transaction isolation level ${level}`, `select * from ${schema}.${call}`)
    }
  }
})

test('two stores in one transaction: each announces for itself', async () => {
  const second = await openStore({ schema: uniqueName('second'), listen: false })
  const stream = { category: 'shared name', streamId: 'a' }
  const stores = [meow, second]
  await sql.query('begin')
  const mine = [
    await meow.append(stream, event, { client: sql }),
    await second.append(stream, [event, event], { client: sql }),
    await meow.append(stream, [event, event], { client: sql }),
    await second.append(stream, event, { client: sql }),
  ]
  for (const [i, store] of stores.entries()) {
    await store.append({ ...stream, streamId: 'b' }, event)
    assert.equal((await store.read(stream)).events, [])
    assert.ok((await store.read({ category: stream.category })).horizon < mine[i]!.events[0]!.position)
  }
  await sql.query('commit')
  for (const [i, store] of stores.entries()) {
    assert.equal(await store.load(stream), [...mine[i]!.events, ...mine[i + 2]!.events])
    assert.is((await store.read({ category: stream.category })).events.length, 4)
  }
})

test('mark and locks are never apart, whatever is rolled back', async () => {
  const random = seeded('savepoints')
  const client = await pgClient()
  const prefix = uniqueName('savepoint')
  let checks = 0
  let marked = 0
  const check = async (done: string[]) => {
    const { rows } = await client.query(`
      select ${schema}.read_announcement() as mark, ${schema}.store_key() as store, array(
        select classid::bigint::bit(32)::int || ':' || objid from pg_locks
        where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 2
      ) as locks`)
    const { mark, store, locks } = rows[0] as { mark: string | null; store: number; locks: string[] }
    const marks = mark?.split('|').slice(1, -1) ?? []
    const ofStore = locks.filter((lock) => lock.startsWith(`${store}:`))
    const announced = marks.map((mark) => mark.replace('=', ':'))
    const said = JSON.stringify({ seed: random.seed, done, mark, locks })
    assert.is(ofStore.length, mark ? 1 : 0, said)
    assert.equal(locks.filter((lock) => !ofStore.includes(lock)).sort(), announced.sort(), said)
    checks++
    if (mark) marked++
  }
  while (checks < 3_000) {
    await client.query('begin')
    const savepoints: string[] = []
    const done: string[] = []
    const length = random.int(5, 60)
    for (let i = 0; i < length; i++) {
      const category = `${prefix}_${random.int(0, 19)}`
      const stream = { category, streamId: `s${checks}` }
      const at = savepoints.length ? random.int(0, savepoints.length - 1) : -1
      const roll = random.int(0, 9)
      let step: string
      if (roll < 3) {
        step = `savepoint s${i}`
        savepoints.push(`s${i}`)
      } else if (roll < 5 && at >= 0) {
        step = `rollback to ${savepoints[at]}`
        savepoints.length = at + 1
      } else if (roll < 6 && at >= 0) {
        step = `release ${savepoints[at]}`
        savepoints.length = at
      } else if (roll < 7 && random.chance(0.2)) {
        step = `insert into ${schema}.events ${columns} values (0, '${category}', 'raw ${checks}', 'T', '1')`
      } else {
        step = `append to ${category}`
      }
      done.push(step)
      if (step.startsWith('append'))
        await meow.append(stream, random.chance(0.5) ? event : [event, event], { client })
      else await client.query(step)
      await check(done)
    }
    await client.query(random.chance(0.8) ? 'rollback' : 'commit')
    await check(['after the transaction'])
  }
  assert.ok(marked > 1_000 && marked < checks)
})

test('who has announced a category by himself is checked all the same', async () => {
  const category = uniqueName('alone')
  await refused(
    'MW003',
    `set local search_path = ${schema}`,
    `select announce('${category}')`,
    `insert into events ${columns} values (7, '${category}', 'a', 'T', '1')`,
  )
})

test('more than 16 categories announce every category', async () => {
  const prefix = uniqueName('many')
  const free = { category: uniqueName('free'), streamId: 'a' }
  const seen = async () => (await meow.read({ category: free.category })).events.length
  await sql.query('begin')
  for (let i = 0; i < 16; i++)
    await meow.append({ category: `${prefix}_${i}`, streamId: 'a' }, event, { client: sql })
  // Nor is there a new one in another append to one of them.
  await meow.append({ category: `${prefix}_7`, streamId: 'a' }, event, { client: sql })
  await meow.append(free, event)
  assert.is(await seen(), 1)
  await meow.append({ category: `${prefix}_16`, streamId: 'a' }, event, { client: sql })
  await meow.append(free, event)
  assert.is(await seen(), 1)
  await sql.query('commit')
  assert.is(await seen(), 2)
})

test('the last position never goes back while others take some: each read of it is a whole one', async () => {
  const other = uniqueName('whole')
  await openStore({ schema: other, listen: false })
  const takers = await Promise.all([pgClient(), pgClient()])
  const reader = await pgClient()
  await reader.query(`set search_path = ${other}`)
  let on = true
  const taking = takers.map(async (client) => {
    while (on)
      await client.query(
        `select count(nextval('${other}.events_position_seq')) from generate_series(1, 20000)`,
      )
  })
  const { rows } = await reader
    .query(
      `create function pg_temp.backward() returns int language plpgsql as $$
     declare
       _until constant timestamptz := clock_timestamp() + interval '2 s';
       _back int := 0;
       _last bigint := 0;
       _now bigint;
     begin
       while clock_timestamp() < _until loop
         _now := last_position();
         _back := _back + (_now < _last)::int;
         _last := _now;
       end loop;
       return _back;
     end $$`,
    )
    .then(() => reader.query('select pg_temp.backward() as back'))
  on = false
  await Promise.all(taking)
  assert.is(rows[0].back, 0)
})

test('who announced since the head was read holds nothing back below it', async () => {
  const other = uniqueName('ahead')
  const store = await openStore({ schema: other, listen: false })
  const { position } = await store.append({ category: 'order', streamId: 'a' }, event)
  const client = await pgClient()
  await client.query('begin')
  // What an append does that took the last position right after the head was read.
  await client.query(
    `select pg_advisory_xact_lock_shared(${other}.store_key(), $1), pg_advisory_xact_lock_shared(${other}.category_key('order'), $1)`,
    [position + 5],
  )
  const { rows } = await sql.query(`select key, horizon::int from ${other}.horizons()`)
  assert.is(rows.length, 3)
  for (const { horizon } of rows) assert.is(horizon, position)
  await client.query('rollback')
})

test('positions across 2^32, of which a lock holds the low half only', async () => {
  const other = uniqueName('wrap')
  const store = await openStore({ schema: other, listen: false })
  const client = await pgClient()
  for (const start of [2 ** 31 - 3, 2 ** 32 - 3, 2 ** 33 - 3]) {
    await sql.query(`select setval('${other}.events_position_seq', ${start})`)
    const open = { category: `open ${start}`, streamId: 'a' }
    const before = await store.append(open, event)
    await client.query('begin')
    const mine = await store.append(open, event, { client })
    const later = [0, 1, 2, 3].map((i) => ({ category: open.category, streamId: `later ${i}` }))
    for (const stream of later) await store.append(stream, event)
    const page = await store.read({ category: open.category })
    assert.equal(page.events, before.events)
    assert.is(page.horizon, before.position)
    assert.is((await store.read({ category: 'another' })).horizon, mine.position + 4)
    await client.query('commit')
    assert.is((await store.read({ category: open.category })).events.length, 6)
  }
})

test('inserts inside an append, by triggers and functions: announced, or refused', async () => {
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

  // By the append function, whose inner call announces for itself.
  for (const when of ['before', 'after']) {
    await trigger(`${top} ${append}; end if`, 'events', when)
    const before = (await store.load({ category: 'audit', streamId: 'all' })).length
    const stream = { category: `plain ${when}`, streamId: 'a' }
    await store.append(stream, event)
    await store.append(stream, [event, event])
    assert.is((await store.load(stream)).length, 3)
    assert.is((await store.load({ category: 'audit', streamId: 'all' })).length, before + 3)
    // What it announced stays so: many appends of one transaction take no lock each.
    await sql.query('begin')
    for (let i = 0; i < 20; i++) await store.append(stream, i % 2 ? event : [event, event], { client: sql })
    const { rows } = await sql.query(
      `select count(*)::int as n from pg_locks where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 2`,
    )
    assert.is(rows[0].n, 3)
    await sql.query('commit')
    await drop('events')
  }

  // By a raw INSERT, which nobody announced: into another category, and past a version.
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

test('a unique index of the user’s own is an error, not an endless race', async () => {
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

test('a trigger that keeps rows back is an error, not an endless loop', async () => {
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
