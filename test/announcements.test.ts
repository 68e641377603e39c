// An append announces its category before it takes a position, whatever the transaction does, and the horizon respects that.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seeded } from './support/random.ts'
import { rawColumns as columns, refusing } from './support/raw-insert.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema as schema, uniqueName } from './support/store.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
const event = { type: 'T', data: 1 }
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)
const { refused, head } = refusing(sql, schema)

test('an announcement that a pool repeats in another transaction has no effect', async () => {
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
  const announcement = (await client.query(`select current_setting($1) as announcement`, [name])).rows[0]
    .announcement
  assert.is(await locks(), 2)
  await client.query('commit')
  assert.is(
    (await client.query(`select current_setting($1, true) as announcement`, [name])).rows[0].announcement,
    '',
  )

  // As if a pool had set it for the session: the next transaction makes its own announcement.
  await client.query('select set_config($1, $2, false)', [name, announcement])
  await client.query('begin')
  await client.query(append)
  assert.is(await locks(), 2)
  await client.query('commit')
  await client.query('begin')
  await client.query(insert(2))
  assert.is(await locks(), 2)
  await client.query('rollback')

  // An announcement with a position that the sequence has not reached.
  await client.query('begin')
  const forged = `'#' || pg_current_xact_id() || '#|-1=' || $2::text || '|'`
  await client.query(`select set_config($1, ${forged}, true)`, [name, (await head()) + 10])
  assert.is(((await rejects(client.query(insert(2)), Error)) as pg.DatabaseError).code, 'MW002')
  await client.query('rollback')

  // The flag of the append function, which says that it has announced.
  await client.query('select set_config($1, $2, false)', [name, `!${announcement}`])
  assert.is(((await rejects(client.query(insert(2)), Error)) as pg.DatabaseError).code, 'MW002')
  await client.query(append)
  assert.is((await meow.load({ category, streamId: 'a' })).length, 3)
})

test('after an append, a raw INSERT in the same transaction announces all categories', async () => {
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

test('the horizon is refused in transactions that have one snapshot for all statements', async () => {
  for (const level of ['repeatable read', 'serializable']) {
    for (const call of ['horizon()', `horizon('a', 'b')`, 'horizons()']) {
      await refused('MW004', `set transaction isolation level ${level}`, `select * from ${schema}.${call}`)
    }
  }
})

test('two stores in one transaction: each makes its own announcement', async () => {
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

test('the setting and the locks of an announcement agree, whatever is rolled back', async () => {
  const random = seeded('savepoints')
  const client = await pgClient()
  const prefix = uniqueName('savepoint')
  let checks = 0
  let withAnnouncement = 0
  const check = async (done: string[]) => {
    const { rows } = await client.query(`
      select ${schema}.read_announcement() as announcement, ${schema}.store_key() as store, array(
        select classid::bigint::bit(32)::int || ':' || objid from pg_locks
        where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 2
      ) as locks`)
    const { announcement, store, locks } = rows[0] as {
      announcement: string | null
      store: number
      locks: string[]
    }
    const announcements = announcement?.split('|').slice(1, -1) ?? []
    const ofStore = locks.filter((lock) => lock.startsWith(`${store}:`))
    const announced = announcements.map((announcement) => announcement.replace('=', ':'))
    const said = JSON.stringify({ seed: random.seed, done, announcement, locks })
    assert.is(ofStore.length, announcement ? 1 : 0, said)
    assert.equal(locks.filter((lock) => !ofStore.includes(lock)).sort(), announced.sort(), said)
    checks++
    if (announcement) withAnnouncement++
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
  assert.ok(withAnnouncement > 1_000 && withAnnouncement < checks)
})

test('a transaction with more than 16 categories announces every category', async () => {
  const prefix = uniqueName('many')
  const free = { category: uniqueName('free'), streamId: 'a' }
  const seen = async () => (await meow.read({ category: free.category })).events.length
  await sql.query('begin')
  for (let i = 0; i < 16; i++)
    await meow.append({ category: `${prefix}_${i}`, streamId: 'a' }, event, { client: sql })
  // Another append to one of these categories does not count again.
  await meow.append({ category: `${prefix}_7`, streamId: 'a' }, event, { client: sql })
  await meow.append(free, event)
  assert.is(await seen(), 1)
  await meow.append({ category: `${prefix}_16`, streamId: 'a' }, event, { client: sql })
  await meow.append(free, event)
  assert.is(await seen(), 1)
  await sql.query('commit')
  assert.is(await seen(), 2)
})

test('the last position never decreases while other transactions take positions', async () => {
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

test('an announcement made after the head was read does not lower the horizon below the head', async () => {
  const other = uniqueName('ahead')
  const store = await openStore({ schema: other, listen: false })
  const { position } = await store.append({ category: 'order', streamId: 'a' }, event)
  const client = await pgClient()
  await client.query('begin')
  // What an append does if it reads the last position right after the head was read.
  await client.query(
    `select pg_advisory_xact_lock_shared(${other}.store_key(), $1), pg_advisory_xact_lock_shared(${other}.category_key('order'), $1)`,
    [position + 5],
  )
  const { rows } = await sql.query(`select key, horizon::int from ${other}.horizons()`)
  assert.is(rows.length, 3)
  for (const { horizon } of rows) assert.is(horizon, position)
  await client.query('rollback')
})

test('positions beyond 2^32 work, although a lock holds only their low half', async () => {
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

test.run()
