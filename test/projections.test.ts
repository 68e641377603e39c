// A projection: version 1 is built and becomes what readers query; version 2 is built beside it and takes over; you can go
// back, and drop versions that are not live.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ProjectionDefinition } from '../src/index.ts'
import {
  ProjectionMismatchError,
  ProjectionNotFoundError,
  ProjectionRefusedError,
  SubscriptionMismatchError,
} from '../src/index.ts'
import { columnsOf, openProjections, order } from './support/projections.ts'
import { rejects } from './support/rejects.ts'
import { storeSchema } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const { meow, sql, given, end } = await openProjections()
test.after(end)

/** Version 2: an average more, and in another order. */
const averages: Partial<ProjectionDefinition> = {
  setup: `create table totals (customer text primary key, average numeric not null, orders int not null, amount bigint not null);
          create table big (stream text primary key)`,
  handle: async (events, { client }) => {
    await client.query(
      `insert into totals as t select customer, avg(amount), count(*), sum(amount)
       from unnest($1::text[], $2::bigint[]) as e (customer, amount) group by customer order by customer
       on conflict (customer) do update set orders = t.orders + excluded.orders, amount = t.amount + excluded.amount,
         average = (t.amount + excluded.amount) / (t.orders + excluded.orders)`,
      columnsOf(events),
    )
    await client.query('insert into big select unnest($1::text[]) on conflict do nothing', [
      events.map(({ streamId }) => streamId),
    ])
  },
}

test('version 1 is built, is live, and stays up to date; waitFor reads your own writes', async () => {
  const { define, append, rows, states } = await given()
  for (const n of upTo(10)) await append(`${n}`, order(n % 2 ? 'ann' : 'bob', n))
  const projection = meow.projection(define(1))
  const worker = projection.start()
  await worker.ready
  await projection.waitFor(await append('x', order('ann', 100)))
  assert.equal(await rows(), [
    { customer: 'ann', orders: 6, amount: '125' },
    { customer: 'bob', orders: 5, amount: '20' },
  ])
  assert.equal(await states(), { 1: 'live' })
  await worker.stop()
  await worker.done
})

test('version 2 is built beside version 1, takes over, and one can go back; then the old one is dropped', async () => {
  const { name, expose, define, append, rows, states } = await given()
  for (const n of upTo(10)) await append(`${n}`, order('ann', n))
  const first = meow.projection(define(1))
  const one = first.start()
  await first.waitFor(await append('x', order('bob', 7)))
  await sql.query(
    `comment on view ${expose}.totals is 'per customer'; grant select on ${expose}.totals to public`,
  )
  const second = meow.projection(define(2, averages))
  const two = second.start()
  await until(async () => (await states())[2] === 'live', { what: 'version 2' })
  assert.equal(await states(), { 1: 'retired', 2: 'live' })
  assert.equal(await rows('big'), [...upTo(10).map((n) => ({ stream: `${n}` })), { stream: 'x' }])
  assert.equal((await rows())[1], { customer: 'bob', average: '7.0000000000000000', orders: 1, amount: '7' })
  const about = await sql.query(
    `select obj_description($1::regclass) as comment, relacl::text like '%,=r/%' as public from pg_class where oid = $1::regclass`,
    [`${expose}.totals`],
  )
  assert.equal(about.rows, [{ comment: 'per customer', public: true }])

  await append('y', order('bob', 1))
  await meow.activateProjection(name, 1)
  assert.equal(await states(), { 1: 'live', 2: 'retired' })
  await first.waitFor(await append('z', order('bob', 1)))
  assert.equal((await rows())[1], { customer: 'bob', orders: 3, amount: '9' })
  await rejects(sql.query(`select * from ${expose}.big`), Error)
  await meow.activateProjection(name, 2)
  await meow.activateProjection(name, 2) // nothing to do

  const refused = await rejects(meow.dropProjection(name, 2), ProjectionRefusedError)
  assert.match(refused.message, 'is live: switch to another version first')
  await meow.dropProjection(name, 1)
  await rejects(one.done, ProjectionMismatchError)
  assert.equal(await states(), { 2: 'live' })
  await rejects(first.start().ready, ProjectionMismatchError)
  await rejects(meow.activateProjection(name, 1), ProjectionNotFoundError)
  await two.stop()
})

test('a definition that changed under its number is refused', async () => {
  const { define } = await given()
  const worker = meow.projection(define(1)).start()
  await worker.ready
  await worker.stop()
  const setup =
    'create table totals (customer text primary key, orders int not null, amount numeric not null)'
  const changed = await rejects(meow.projection(define(1, { setup })).start().ready, ProjectionMismatchError)
  assert.match(changed.message, 'another setup: give the changed definition a new version number')
  const types = await rejects(
    meow.projection(define(1, { types: ['A'] })).start().ready,
    ProjectionMismatchError,
  )
  assert.match(types.message, 'built from other events')
  const again = meow.projection(define(1)).start()
  await again.ready
  await again.stop()
})

test('a rebuild whose setup fails is given up, and the live version goes on', async () => {
  const { name, define, append, rows } = await given()
  const { setup } = define(1)
  let runs = 0
  const once = async (client: any) => {
    if (runs++ > 0) throw new Error('this works only once')
    await client.query(setup)
  }
  const projection = meow.projection(define(1, { setup: once }))
  const position = await append('1', order('ann', 1))
  const worker = projection.start()
  await projection.waitFor(position, { timeoutMs: 30_000 })
  const other = meow.projection(define(1, { setup: once })).start() // it tries, too, and may come second
  await other.ready
  let ended = 0
  for (const one of [worker, other]) one.done.catch(() => ended++)
  for (const _ of upTo(5)) {
    const { message } = await rejects(meow.rebuildProjection(name), ProjectionNotFoundError)
    assert.match(message, /setup failed/)
  }
  assert.ok(runs >= 6)
  await projection.waitFor(await append('2', order('ann', 2)), { timeoutMs: 30_000 })
  assert.is((await rows()).length, 1)
  assert.is(ended, 0)
  await worker.stop()
  await other.stop()
})

test('a rebuild is given up if another version becomes live meanwhile', async () => {
  const { name, define, append, states } = await given()
  await append('1', order('ann', 1))
  const isLive = (version: number) =>
    until(async () => (await states())[version] === 'live', { what: `version ${version}` })
  const one = meow.projection(define(1)).start()
  await isLive(1)
  const two = meow.projection(define(2, { activate: 'manual' })).start()
  await until(async () => (await states())[2] === 'ready', { what: 'version 2' })
  let goOn = () => {}
  const held = new Promise<void>((resolve) => {
    goOn = resolve
  })
  await one.stop()
  const { handle } = define(1)
  const slow = define(1, {
    handle: async (events, context) => {
      if (context.rebuilding) await held
      await handle(events, context)
    },
  })
  const again = meow.projection(slow).start()
  await again.ready
  const rebuilt = rejects(meow.rebuildProjection(name), ProjectionRefusedError)
  await until(
    async () =>
      (await meow.projections()).some((one) => one.name === name && one.generation === 2 && one.isRunning),
    { what: 'the rebuild' },
  )
  await meow.activateProjection(name, 2)
  goOn()
  assert.match((await rebuilt).message, 'version 2 of projection')
  assert.equal(await states(), { 1: 'retired', 2: 'live' })
  assert.not((await meow.projections()).some((one) => one.name === name && one.generation === 2))
  await again.stop()
  await two.stop()
})

test('dropping looks again who depends on the tables, and touches no other version', async () => {
  const { name, expose, define, append, states } = await given()
  await append('1', order('ann', 1))
  const build = async (version: number) => {
    const worker = meow.projection(define(version)).start()
    await until(async () => (await states())[version] === 'live', { what: `version ${version}` })
    await worker.stop()
  }
  for (const version of [1, 2, 3]) await build(version)
  const schemaOf = async (version: number) =>
    (await meow.projections()).find((one) => one.name === name && one.version === version)!.schema
  const [first, second] = [await schemaOf(1), await schemaOf(2)]
  // What dropProjection does first; then somebody makes a view.
  await sql.query(`select ${storeSchema}.drop_projection($1, 1)`, [name])
  await sql.query(`create view ${expose}.late as select * from ${first}.totals`)
  await meow.dropProjection(name, 2)
  const there = async (schema: string) =>
    (await sql.query('select to_regnamespace($1) is not null as there', [schema])).rows[0].there
  assert.equal([await there(first), await there(second)], [true, false])
  const drop = `select ${storeSchema}.drop_tables_of($1, 1)`
  const refused: any = await sql.query(drop, [name]).catch((error) => error)
  assert.is(refused.code, 'MW016')
  assert.match(refused.message, 'late')
  await sql.query(`drop view ${expose}.late`)
  await meow.dropProjection(name, 1)
  assert.not(await there(first))
})

test('a subscription that was left behind is replaced, so no event is left out', async () => {
  const { name, category, define, append, rows } = await given()
  const position = await append('1', order('ann', 1))
  const left = meow.subscription(`projection:${name}:v1`, { category }).process(() => {})
  await left.ready
  await meow.waitFor(`projection:${name}:v1`, position, { timeoutMs: 30_000 })
  const projection = meow.projection(define(1))
  const worker = projection.start()
  await projection.waitFor(position, { timeoutMs: 30_000 })
  assert.equal(await rows(), [{ customer: 'ann', orders: 1, amount: '1' }])
  await rejects(left.done, SubscriptionMismatchError)
  await worker.stop()
})

test('a rebuild gives the same rows, in other tables, and leaves no old tables', async () => {
  const { name, define, append, rows } = await given()
  for (const n of upTo(20)) await append(`${n}`, order('ann', n))
  const rebuilding: boolean[] = []
  const definition = define(1)
  const projection = meow.projection({
    ...definition,
    handle: (events, context) => {
      rebuilding.push(context.rebuilding)
      return definition.handle(events, context)
    },
  })
  const worker = projection.start()
  await projection.waitFor(await append('x', order('bob', 7)))
  await until(() => rows(), { what: 'views' })
  const before = await rows()
  await sql.query(
    `delete from ${(await meow.projections()).find((one) => one.name === name)!.schema}.totals where customer = 'bob'`,
  )
  await meow.rebuildProjection(name)
  assert.equal(await rows(), before)
  assert.ok(rebuilding.at(-1))
  await projection.waitFor(await append('x', order('bob', 7)))
  assert.not(rebuilding.at(-1))
  const left = (await meow.projections()).filter((one) => one.name === name)
  assert.equal(
    left.map(({ generation, state }) => ({ generation, state })),
    [{ generation: 2, state: 'live' }],
  )
  await worker.stop()
})

test.run()
