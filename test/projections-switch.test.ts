// The switch of a projection: readers see one version or the other, never neither or both, and never go back in time; a switch
// that would break other objects is refused, and they are named; a long query delays no other reader; several tables with
// indexes and foreign keys.
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgSchema, text } from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ProjectionDefinition } from '../src/index.ts'
import { ProjectionRefusedError, SubscriptionMismatchError, TimeoutError } from '../src/index.ts'
import { openProjections, order } from './support/projections.ts'
import { rejects } from './support/rejects.ts'
import { directUrl, openStore, pgClient } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const logged: { message: string; fields: Record<string, unknown> }[] = []
const log = (fields: object, message: string) => void logged.push({ fields: fields as never, message })
const logger = { debug() {}, info() {}, warn: log, error: log }
const { meow, sql, given, end } = await openProjections({ logger })
test.after(end)

/** Two tables: orders, and their lines, which refer to them. The number of the version is in each row. */
const related = (version: number): Partial<ProjectionDefinition> => ({
  setup: `
    create table heads (id text primary key, version int not null default ${version});
    create table lines (id text not null references heads, n int not null, amount int not null, primary key (id, n));
    create index lines_amount on lines (amount);
    ${version > 1 ? 'alter table lines add column doubled int generated always as (amount * 2) stored' : ''}`,
  handle: async (events, { client }) => {
    await client.query('insert into heads select distinct unnest($1::text[]) on conflict do nothing', [
      events.map(({ streamId }) => streamId),
    ])
    await client.query(
      'insert into lines (id, n, amount) select * from unnest($1::text[], $2::int[], $3::int[])',
      [
        events.map(({ streamId }) => streamId),
        events.map(({ version }) => version),
        events.map(({ data }) => (data as { amount: number }).amount),
      ],
    )
  },
})

test('readers never see neither or both, and what they see never goes back', async () => {
  const { name, category, expose, define, append, live } = await given()
  for (const n of upTo(50)) await append(`${n}`, order('ann', 1), order('ann', 2))
  const workers = [1, 2].map((version) => meow.projection(define(version, related(version))))
  const running = [workers[0]!.start()]
  await live(1)
  running.push(workers[1]!.start())
  await live(2)
  let done = false
  let looks = 0
  const seen = new Set<number>()
  const readers = upTo(8).map(async () => {
    const pool = new pg.Pool({ connectionString: directUrl(), max: 1 })
    const client = await pool.connect()
    let most = 0
    while (!done) {
      // One statement, one snapshot: both views are of one version.
      const { rows } = await client.query(
        `select (select count(*)::int from ${expose}.lines) as lines, (select count(*)::int from ${expose}.heads) as heads,
                (select array_agg(distinct version) from ${expose}.heads) as versions`,
      )
      const [{ lines, heads, versions }] = rows
      assert.is(versions.length, 1)
      assert.is(lines, heads * 2, 'streams have two lines each')
      assert.ok(lines >= most, `went back from ${most} to ${lines}`)
      most = lines
      looks++
      seen.add(versions[0])
    }
    client.release()
    await pool.end()
  })
  const writer = (async () => {
    for (let n = 100; !done; n++)
      await meow.append({ category, streamId: `${n}` }, [order('bob', 1), order('bob', 2)])
  })()
  const failed = Promise.all([...readers, writer]).catch((error) => {
    done = true
    throw error
  })
  for (let n = 0; !done && (n < 6 || looks <= 50); n++)
    await meow.activateProjection(name, n % 2 === 0 ? 1 : 2)
  done = true
  await failed
  assert.ok(looks > 50 && seen.size === 2, `${looks} looks`)
  await Promise.all(running.map((worker) => worker.stop()))
})

test('a view keeps what depends on it if its columns stay; else the switch names it, and changes nothing', async () => {
  const { name, expose, define, append, live, isLive } = await given()
  await append('1', order('ann', 1))
  const first = meow.projection(define(1)).start()
  await live(1)
  await sql.query(`create view ${expose}.report as select customer from ${expose}.totals`)
  const more =
    'create table totals (customer text primary key, orders int not null, amount bigint not null, note text)'
  const second = meow.projection(define(2, { setup: more })).start()
  await live(2) // another column after the others breaks nothing
  assert.equal((await sql.query(`select note from ${expose}.totals`)).rows, [{ note: null }])
  const changed = 'create table totals (amount bigint, orders int not null, customer text primary key)'
  const third = meow.projection(define(3, { setup: changed })).start()
  await until(() => logged.some(({ message }) => /can not be switched to$/.test(message)), {
    what: 'a warning',
  })
  const refused = await rejects(meow.activateProjection(name, 3), ProjectionRefusedError)
  assert.match(refused.message, `that would break view ${expose}.report`)
  assert.ok(await isLive(2))
  await rejects(meow.activateProjection(name, 1), ProjectionRefusedError) // it would take a column away
  await sql.query(`drop view ${expose}.report`)
  await meow.activateProjection(name, 3)
  await sql.query(`create view ${expose}.report as select customer from ${await schemaOf(name, 2)}.totals`)
  const kept = await rejects(meow.dropProjection(name, 2), ProjectionRefusedError)
  assert.match(kept.message, `others depend on it: view ${expose}.report`)
  await Promise.all([first, second, third].map((worker) => worker.stop()))
})

const schemaOf = async (name: string, version: number) =>
  (await meow.projections()).find((one) => one.name === name && one.version === version)!.schema

test('a table of others under the name of a view is refused', async () => {
  const { name, expose, define } = await given()
  await sql.query(`create table ${expose}.totals (mine int)`)
  const worker = meow.projection(define(1, { activate: 'manual' })).start()
  const isReady = async () =>
    (await meow.projections()).some((one) => one.name === name && one.state === 'ready')
  await until(isReady, { what: 'it to be ready' })
  const refused = await rejects(meow.activateProjection(name, 1), ProjectionRefusedError)
  assert.match(refused.message, `${expose}.totals is there, and is no view of this projection`)
  await sql.query(`drop table ${expose}.totals`)
  await meow.activateProjection(name, 1)
  await rejects(meow.deleteSubscription(`projection:${name}:v1`), ProjectionRefusedError)
  await rejects(meow.resetSubscription(`projection:${name}:v1`, 'start'), ProjectionRefusedError)
  await worker.stop()
})

test('a long query delays the switch, and no other reader', async () => {
  const { name, expose, define, append, live } = await given()
  await append('1', order('ann', 1))
  const workers = [1, 2].map((version) => meow.projection(define(version)))
  const running = [workers[0]!.start()]
  await live(1)
  running.push(workers[1]!.start())
  await live(2)
  const long = await pgClient()
  await long.query(`begin; select * from ${expose}.totals`)
  const late = rejects(meow.activateProjection(name, 1, { timeoutMs: 1_500 }), TimeoutError)
  let slowest = 0
  let ended = false
  late.finally(() => {
    ended = true
  })
  while (!ended) {
    const began = performance.now()
    await sql.query(`select * from ${expose}.totals`)
    slowest = Math.max(slowest, performance.now() - began)
  }
  await late
  assert.ok(slowest < 1_200, `a reader waited ${slowest} ms`)
  await long.query('commit')
  await meow.activateProjection(name, 1)
  await Promise.all(running.map((worker) => worker.stop()))
})

test('with parked streams it does not become live by itself, and says so', async () => {
  const { name, define, append, live, isLive } = await given()
  await append('1', order('ann', 1))
  const first = meow.projection(define(1)).start()
  await live(1)
  await append('bad', order('bob', 1))
  const plain = define(2)
  const failing: ProjectionDefinition = {
    ...plain,
    handle: (events, context) => {
      if (events.some(({ streamId }) => streamId === 'bad')) throw new Error('no bob')
      return plain.handle(events, context)
    },
  }
  const second = meow.projection(failing).start()
  const info = async () => (await meow.projections()).find((one) => one.name === name && one.version === 2)
  await until(async () => (await info())?.parkedStreams === 1 && (await info())?.state === 'ready', {
    what: 'it',
  })
  await until(() => logged.some(({ message }) => /has parked streams/.test(message)), { what: 'a warning' })
  assert.not(await isLive(2))
  await meow.activateProjection(name, 2) // whoever asks gets it
  await Promise.all([first.stop(), second.stop()])
  const partitions = await rejects(
    meow.projection({ ...plain, partitions: 2 }).start().ready,
    SubscriptionMismatchError,
  )
  assert.match(partitions.message, 'not categories')
})

test('Drizzle and Kysely read through a switch that adds a column', async () => {
  const { name, expose, define, append, live } = await given()
  await append('1', order('ann', 5))
  const first = meow.projection(define(1)).start()
  await live(1)
  const pool = new pg.Pool({ connectionString: directUrl(), max: 1 })
  const table = pgSchema(expose).table('totals', {
    customer: text().primaryKey(),
    orders: integer().notNull(),
  })
  const drizzled = drizzle(pool)
  const prepared = drizzled.select().from(table).prepare('by_customer')
  const kysely = new Kysely<any>({ dialect: new PostgresDialect({ pool }) })
  const read = async () => [
    await drizzled.select().from(table),
    await prepared.execute(),
    await kysely.withSchema(expose).selectFrom('totals').select(['customer', 'orders']).execute(),
  ]
  const expected = Array(3).fill([{ customer: 'ann', orders: 1 }])
  assert.equal(await read(), expected)
  const all = { name: 'all', text: `select * from ${expose}.totals` }
  await pool.query(all)
  const changed =
    'create table totals (amount bigint, orders int not null, customer text primary key, more int)'
  const handle: ProjectionDefinition['handle'] = (events, { client }) =>
    client.query(`insert into totals values (5, 1, 'ann') on conflict do nothing`, events.slice(0, 0))
  const second = meow.projection(define(2, { setup: changed, handle })).start()
  await live(2)
  assert.equal(await read(), expected)
  // A named statement keeps the columns of its first run: without a list of columns it fails until it is prepared again.
  assert.is((await rejects(pool.query(all), pg.DatabaseError)).code, '0A000')
  await pool.end()
  await Promise.all([first.stop(), second.stop()])
  await meow.dropProjection(name, 1)
})

test('an old release beside a new one: the older version does not take over, and stays up to date', async () => {
  const { name, category, expose, define, append, live, isLive } = await given()
  const old = await openStore({ pollIntervalMs: 100 })
  await append('1', order('ann', 1))
  const second = meow.projection(define(2)).start()
  await live(2)
  const first = old.projection(define(1)).start()
  const state = async () =>
    (await meow.projections()).find((one) => one.name === name && one.version === 1)?.state
  await until(async () => (await state()) === 'ready', { what: 'version 1 to be complete' })
  await meow.append({ category, streamId: '2' }, order('bob', 2))
  assert.ok(await isLive(2))
  await meow.activateProjection(name, 1)
  assert.equal((await sql.query(`select customer from ${expose}.totals order by 1`)).rows, [
    { customer: 'ann' },
    { customer: 'bob' },
  ])
  // A restart of version 2, which was live already, does not undo that.
  await second.stop()
  const again = meow.projection(define(2)).start()
  await again.ready
  await until(async () => (await meow.projections()).every((one) => one.name !== name || one.lag === 0), {
    what: 'it',
  })
  assert.ok(await isLive(1))
  await Promise.all([first.stop(), again.stop()])
})

test.run()
