// Push: events arrive because of a notification, not because of the poll, which is a minute away here; without push, the poll
// brings them.
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { seeded } from './support/random.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'
import { pushes, unless, withoutPush } from './support/ways.ts'

const pushed = unless(withoutPush, test)
const event = { type: 'Happened', data: {} }
const pollIntervalMs = 60_000

let [reader, writer] = [] as unknown as [Meow, Meow]
test.before(async () => {
  ;[reader, writer] = await Promise.all([openStore({ pollIntervalMs }), openStore({ listen: false })])
  await listening(reader)
})
test.after(closeAll)

pushed('an event that another process appends arrives promptly, in every kind of observer', async () => {
  const category = uniqueName('push')
  const stream = { category, streamId: '1' }
  await writer.append(stream, event)
  const selectors = [
    { category },
    {},
    { category: [category, uniqueName('other')] },
    { category, types: ['Happened'] },
    { category, streamId: '1' },
    { category: [category, ...upTo(9).map(() => uniqueName('other'))] },
  ]
  const observers = selectors.map((selector) => collect(reader.events(selector)))
  const iterator = reader.iterate({ category })[Symbol.asyncIterator]()
  const handled: unknown[] = []
  const worker = reader.subscription(uniqueName('push'), { category }).process((event) => handled.push(event))
  for (const n of upTo(20)) {
    for (const seen of observers) await seen.has(n + 1)
    assert.is((await iterator.next()).value.version, n)
    await until(() => handled.length === n + 1, { what: 'the handler' })
    const begin = performance.now()
    await writer.append(stream, event)
    await observers[0]!.has(n + 2)
    assert.ok(performance.now() - begin < 2_000)
  }
  for (const { subscription } of observers) subscription.unsubscribe()
  await iterator.return!()
  await worker.stop()
})

test('every way of appending notifies: the SQL function, a raw INSERT, a category with a long name', async () => {
  const sql = await pgClient()
  for (const category of [
    uniqueName('raw'),
    `${uniqueName('long')} ${'ü'.repeat(200)}`,
    `${uniqueName('"quoted"')}'`,
  ]) {
    const seen = collect(reader.events({ category }))
    await sql.query(`select ${storeSchema}.append($1, '1', '{"type": "A", "data": 1}')`, [category])
    await seen.has(1)
    await sql.query(
      `insert into ${storeSchema}.events (category, stream_id, version, type, data) values ($1, '1', 1, 'B', '2')`,
      [category],
    )
    await seen.has(2)
    assert.equal(
      seen.all.map(({ type, data }) => [type, data]),
      [
        ['A', 1],
        ['B', 2],
      ],
    )
    seen.subscription.unsubscribe()
  }
})

test('one notification per category and statement, with the highest position, and one for the store', async () => {
  const sql = await pgClient()
  const [a, b] = [uniqueName('note'), uniqueName('note')]
  const { rows } = await sql.query(
    `select ${storeSchema}.channel($1) as a, ${storeSchema}.channel($2) as b`,
    [a, b],
  )
  assert.equal(rows[0], { a: `${storeSchema}.${a}`, b: `${storeSchema}.${b}` })
  const notes: string[] = []
  sql.on('notification', ({ channel, payload }) => notes.push(`${channel} ${payload}`))
  await sql.query(`listen "${storeSchema}.${a}"; listen "${storeSchema}.${b}"; listen "${storeSchema}"`)
  const results = await writer.appendAll([
    { stream: { category: a, streamId: '1' }, events: [event, event] },
    { stream: { category: b, streamId: '1' }, events: [event, event, event] },
  ])
  const [first, second] = results.map(({ position }) => position) as [number, number]
  await until(() => notes.length >= 3, { what: 'three notes' })
  assert.equal(notes.toSorted(), [
    `${storeSchema} ${second}`,
    ...[`${storeSchema}.${a} ${first}`, `${storeSchema}.${b} ${second}`].toSorted(),
  ])
})

pushed('nothing falls between the first look and the LISTEN, 100 times', async () => {
  const dice = seeded('listen')
  for (const n of upTo(100)) {
    const category = uniqueName(`gap${n}`)
    const seen = collect(reader.events({ category }))
    for (let turns = dice.int(0, 12); turns > 0; turns--) await turn()
    await writer.append({ category, streamId: '1' }, event)
    await seen.has(1, 5_000)
    seen.subscription.unsubscribe()
  }
})

test('without push, the poll brings them', async () => {
  const polling = await openStore({ listen: false, pollIntervalMs: 30 })
  const category = uniqueName('poll')
  const seen = collect(polling.events({ category }))
  const handled: unknown[] = []
  const worker = polling
    .subscription(uniqueName('poll'), { category })
    .process((event) => handled.push(event))
  for (const n of upTo(3)) {
    await writer.append({ category, streamId: '1' }, event)
    await seen.has(n + 1)
    await until(() => handled.length === n + 1, { what: 'the handler' })
  }
  const sql = await pgClient()
  const { rows } = await sql.query(
    'select count(*)::int as n from pg_stat_activity where application_name = $1',
    [`meowmx listener ${storeSchema}`],
  )
  assert.is(rows[0].n, pushes ? 1 : 0, 'that of the reader alone')
  await worker.stop()
  await polling.close()
})

test('an idle poll asks one short question, for all tails together', async () => {
  const { pool, queries } = countingPool()
  const polling = await openStore({ pool, listen: false, pollIntervalMs: 20 })
  const categories = upTo(10).map(() => uniqueName('idle'))
  const observers = categories.map((category) => collect(polling.events({ category })))
  await writer.append({ category: categories[9]!, streamId: '1' }, event)
  await observers[9]!.has(1)
  const looks = () => queries.filter((text) => text.includes('horizons(')).length
  const begin = [queries.length, looks()] as const
  await until(() => looks() - begin[1] >= 20, { what: 'some polls' })
  const others = queries.length - begin[0] - (looks() - begin[1])
  // Of ten tails that wake together, one fetches the horizon and its page; the next fetch serves the other nine.
  assert.ok(others <= looks() - begin[1], `${others} other queries with ${looks() - begin[1]} looks`)
  await polling.close()
  await pool.end()
})

pushed('status$ says how push stands', async () => {
  const states = (meow: Meow) => {
    const seen = collect(meow.status$)
    return { seen, names: () => seen.all.map(({ state }) => state) }
  }
  const pushing = await openStore()
  const { seen, names } = states(pushing)
  await until(() => names().includes('listening'), { what: 'push' })
  assert.equal(names().slice(-1), ['listening'])
  assert.ok(['reconnecting', 'listening'].includes(names()[0]!), 'the current value first')
  const late = states(pushing)
  assert.equal(late.names(), ['listening'])
  await pushing.close()
  assert.equal(late.names(), ['listening', 'closed'])
  assert.ok(late.seen.completed && seen.completed)
  for (const { since, cause } of seen.all) {
    assert.instance(since, Date)
    assert.is(cause, undefined)
  }

  const polling = await openStore({ listen: false })
  const polled = states(polling)
  await polling.close()
  assert.equal(polled.names(), ['polling', 'closed'])
})

test.run()
