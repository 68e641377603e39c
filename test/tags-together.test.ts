// What was built apart works together: projections and process managers select by tags, timers and effects append tagged events, an
// effect may have a condition, and a feed over HTTP selects by tags.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventFeed } from '../src/http/index.ts'
import { ConditionFailedError, defineProjection, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
test.after(closeAll)

const stream = (category: string, streamId = '1') => ({ category, streamId })

test('a timer appends tagged events', async () => {
  const category = uniqueName('tagged')
  const events = { type: 'T', data: 1, tags: ['b:2', 'a:1'] }
  const worker = meow.runTimers()
  await meow.schedule(category, { inMs: 1 }, { stream: stream(category), events })
  await until(async () => (await meow.head(stream(category))) === 0, { what: 'the timer' })
  const [event] = await meow.load(stream(category))
  assert.equal([event!.tags, event!.metadata], [['a:1', 'b:2'], {}])
  const found = await meow.query({ tags: ['a:1', 'b:2'] })
  assert.ok(found.events.some(({ id }) => id === event!.id))
  await worker.stop()
})

test('a timer that is scheduled with tags shows them', async () => {
  const key = uniqueName('tagged')
  const events = { type: 'T', data: 1, tags: ['a:1'] }
  await meow.schedule(key, { inMs: 60_000 }, { stream: stream(key), events })
  assert.equal((await meow.scheduled({ prefix: key }))[0]!.events, [{ type: 'T', data: 1, tags: ['a:1'] }])
  await meow.unschedule(key)
})

test('a process manager selects by tags, and its appends may have a condition', async () => {
  const category = uniqueName('tagged')
  const tag = `coupon:${category}`
  const worker = meow.runProcessManager({
    name: category,
    category,
    tags: ['vip'],
    correlate: ({ streamId }) => streamId,
    initial: 0,
    react: (state, input, { id, append }) => ({
      state: state + 1,
      effects:
        input.type === '$timer'
          ? []
          : [
              append(
                stream(`${category}-out`, id),
                { type: 'CouponUsed', data: {}, tags: [tag] },
                { failIf: { query: { tags: [tag] } } },
              ),
            ],
    }),
    retry: { maxAttempts: 1 },
    outage: false,
  })
  // Both come in one batch: the second condition must see what the first effect has written.
  await meow.appendAll([
    { stream: stream(category, 'plain'), events: { type: 'T', data: 1 } },
    { stream: stream(category, 'a'), events: { type: 'T', data: 1, tags: ['vip'] } },
    { stream: stream(category, 'b'), events: { type: 'T', data: 1, tags: ['vip', 'x'] } },
  ])
  await until(async () => (await meow.parked(category)).length === 1, { what: 'the second coupon' })
  const [parked] = await meow.parked(category)
  assert.is(parked!.event.streamId, 'b')
  assert.match(parked!.error!, new RegExp(ConditionFailedError.name))
  await until(async () => (await meow.query({ tags: [tag] })).events.length === 1, {
    what: 'the first coupon',
  })
  assert.equal(
    (await meow.processInstances(category)).map(({ id }) => id),
    ['a'],
  )
  await worker.stop()
})

test('a condition that is malformed is an error with its path', async () => {
  const { react, ...rest } = {
    name: uniqueName('tagged'),
    category: uniqueName('tagged'),
    correlate: () => 'one',
    initial: 0 as number,
    react: (state: number, _: unknown, { append }: any) => ({
      state,
      effects: [append(stream('x'), { type: 'T', data: 1 }, { failIf: { query: [] } })],
    }),
    retry: { maxAttempts: 1 },
    outage: false,
  } as const
  const worker = meow.runProcessManager({ ...rest, react })
  await meow.append(stream(rest.category), { type: 'T', data: 1 })
  await until(async () => (await meow.parked(rest.name)).length === 1, { what: 'the parked event' })
  assert.match((await meow.parked(rest.name))[0]!.error!, /react\(\)\.effects\[0\]\.failIf\.query/)
  await worker.stop()
})

test('a projection selects by tags', async () => {
  const category = uniqueName('tagged')
  const name = `p${category.replaceAll(/\W/g, '').slice(-12)}`
  const expose = `${name}_views`
  await sql.query(`create schema ${expose}`)
  const projection = meow.projection(
    defineProjection({
      name,
      version: 1,
      category,
      tags: ['vip'],
      setup: `create table ${name} (stream text)`,
      expose,
      handle: async (events, { client }) => {
        for (const { streamId } of events) await client.query(`insert into ${name} values ($1)`, [streamId])
      },
    }),
  )
  await meow.append(stream(category, 'plain'), { type: 'T', data: 1 })
  const { position } = await meow.append(stream(category, 'vip'), { type: 'T', data: 1, tags: ['vip'] })
  const worker = projection.start()
  await projection.waitFor(position, { timeoutMs: 20_000 })
  assert.equal((await sql.query(`select stream from ${expose}.${name}`)).rows, [{ stream: 'vip' }])
  await worker.stop()
})

test('a feed selects by tags', async () => {
  const category = uniqueName('tagged')
  await meow.append(stream(category), [
    { type: 'T', data: 1 },
    { type: 'T', data: 2, tags: ['a:1'] },
    { type: 'T', data: 3, tags: ['a:1', 'b:1'] },
  ])
  const feed = eventFeed(meow, { authorize: () => true })
  const get = async (query: string) => {
    const response = await feed(new Request(`http://localhost/events/category/${category}?${query}`))
    assert.is(response.status, 200, await response.clone().text())
    return ((await response.json()) as { data: number }[]).map(({ data }) => data)
  }
  assert.equal(await get('tags=a:1'), [2, 3])
  assert.equal(await get('tags=a:1,b:1'), [3])
  assert.equal((await feed(new Request(`http://localhost/events/category/${category}?tags=`))).status, 400)
})

test('tags of a timer are checked before anything is written', async () => {
  const key = uniqueName('tagged')
  const events = { type: 'T', data: 1, tags: [''] }
  const { path } = await rejects(
    meow.schedule(key, { inMs: 1 }, { stream: stream(key), events }),
    ValidationError,
  )
  assert.match(path, /^write\.events\.tags/)
  assert.equal(await meow.scheduled({ prefix: key }), [])
})

test.run()
