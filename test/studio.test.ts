// @direct
// The studio's page gets live what happens in the store: events, rates, subscriptions and appends that stay open.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CommitCount } from '../src/studio/held.ts'
import { startStudio } from '../src/studio/index.ts'
import { Rates } from '../src/studio/rates.ts'
import { createSubscription } from './support/sql-executor.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { ask, look } from './support/studio.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 100 })
const studio = await startStudio(meow, { title: 'shop <b>' })
test.after(async () => {
  await studio.close()
  await closeAll()
})

const waitingFor = (what: string) => ({ what, timeoutMs: 30_000 })
const several = (count: number, data: unknown = {}) =>
  Array.from({ length: count }, (_, n) => ({ type: `T${n}`, data }))

test('the page gets categories with their rates, the latest events, subscriptions and the state of push', async () => {
  const [category, name] = [uniqueName('live'), uniqueName('live')]
  await meow.append({ category, streamId: 'a' }, several(3))
  await createSubscription(name, { categories: [category], partitions: 2 })
  const page = await look(studio)
  const info = () => page.latest.categories?.categories.find((one: any) => one.category === category)
  await until(() => info()?.events === 3, waitingFor('the category'))
  await until(
    () => page.events.filter((event) => event.category === category).length === 3,
    waitingFor('the last events'),
  )
  const subscription = () => page.latest.subscriptions?.subscriptions.find((one: any) => one.name === name)
  await until(() => subscription()?.lag === 3, waitingFor('the lag'))

  const { position } = await meow.append({ category, streamId: 'b' }, several(2, { n: 1 }))
  // At once: the studio adds to its counts and does not ask the store again.
  await until(
    () => info().events === 5 && info().streams === 2 && info().rate > 0,
    waitingFor('the count and the rate'),
  )
  await until(() => page.events.at(-1)?.position === position, waitingFor('the tail'))
  const { recordedAt, ...event } = page.events.at(-1)
  assert.equal(event, {
    category,
    streamId: 'b',
    version: 1,
    position,
    type: 'T1',
    data: '{"n": 1}',
    tags: [],
  })
  assert.is(typeof recordedAt, 'number')
  await until(
    () => subscription().lag === 5 && page.latest.store.horizon >= position,
    waitingFor('the lag and the horizon'),
  )
  assert.equal(subscription(), {
    name,
    status: 'stopped',
    pausedAt: null,
    selector: { category },
    position: 0,
    lag: 5,
    lagIsEstimate: false,
    parked: 0,
    parkedIsEstimate: false,
    parkedStreams: 0,
    partitions: 2,
    owned: 0,
    owners: 0,
    ahead: 0,
    heldBack: { events: 0, seconds: 0 },
  })
  assert.equal(page.latest.store.problems, {})
  assert.ok(['listening', 'polling'].includes(page.latest.store.state))

  const series = async (path: string) => (await ask(studio, path)).json
  const sampled = async () => (await series(`/api/lag?name=${name}`)).values.includes(5)
  await until(sampled, waitingFor('a sample of the lag'))
  const { at, values } = await series(`/api/lag?name=${name}`)
  assert.is(at.length, values.length)
  assert.ok((await series('/api/rate')).values.some((rate: number) => rate > 0))
  assert.equal((await ask(studio, '/api/hello')).json, { title: 'shop <b>', write: false })
  const detail = (await ask(studio, `/api/subscription?name=${name}`)).json
  assert.equal(detail.partitions[1], { partition: 1, position: 0, owner: null, leaseUntil: null })
  page.leave()
})

test('a rate is the average of five seconds, and falls to 0', () => {
  const rates = new Rates()
  for (let n = 0; n < 10; n++) rates.count('a')
  assert.equal(rates.tick(), new Map([['a', 10]]))
  rates.count('b')
  assert.equal([...rates.tick()].sort(), [
    ['a', 5],
    ['b', 0.5],
  ])
  const falling = Array.from({ length: 4 }, () => rates.tick().get('a') ?? 0)
  assert.equal(falling, [3.3, 2.5, 2, 0])
})

test('the page gets an append that stays open', async () => {
  const category = uniqueName('open')
  const page = await look(studio)
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'a' }, several(1), { client })
  const held = () => page.latest.stallers?.length > 0
  await until(held, waitingFor('the open append'))
  await client.query('rollback')
  await until(() => !held(), waitingFor('its end'))
  page.leave()
})

test('rare events that match the filter arrive, however many others there are', async () => {
  const [busy, rare] = [uniqueName('busy'), uniqueName('rare')]
  const page = await look(studio, `${rare.toUpperCase()} -t1`)
  const flood = await look(studio, busy)
  await until(() => page.latest.store && flood.latest.store, waitingFor('both'))
  await meow.append({ category: busy, streamId: 'a' }, several(1_500))
  await meow.append({ category: rare, streamId: 'needle' }, several(3))
  await meow.append({ category: busy, streamId: 'a' }, several(1_500))
  await until(() => page.events.length === 2, waitingFor('the rare ones'))
  assert.equal(
    page.events.map(({ category, type }) => [category, type]),
    [
      [rare, 'T0'],
      [rare, 'T2'],
    ],
  )
  assert.is(page.missed(), 0)
  await until(() => flood.events.length + flood.missed() === 3_000, waitingFor('all to be shown or counted'))
  assert.ok(flood.events.length < 500, 'no page can follow so many')
  for (const one of [page, flood]) one.leave()
})

test('while an append is open, events committed after it count in the rate at once, and are shown as held back', async () => {
  const category = uniqueName('held')
  await meow.append({ category, streamId: 'a' }, several(1))
  const page = await look(studio)
  const rate = () => page.latest.store?.rate
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'open' }, several(1), { client })
  await until(
    () => page.latest.store?.heldBack && rate() === 0,
    waitingFor('the rate of earlier events to fall to 0'),
  )
  await meow.append({ category, streamId: 'b' }, several(500))
  await until(() => page.latest.store.heldBack.events === 500, waitingFor('what is held back'))
  await until(() => rate() > 0, waitingFor('the rate'))
  const busiest = () => page.latest.categories.categories.find((one: any) => one.category === category)
  await until(() => busiest()?.rate > 0, waitingFor('the rate of the category'))
  await until(() => rate() === 0, waitingFor('the rate to fall'))

  const before = (await ask(studio, '/api/rate')).json.values.length
  await client.query('commit')
  await until(() => busiest()?.events === 502, waitingFor('what was held back'))
  await until(() => page.latest.store.heldBack.events === 0, waitingFor('nothing to be held back'))
  const { values } = (await ask(studio, '/api/rate')).json
  assert.ok(Math.max(...values.slice(before)) <= 1, `no spike: ${values.slice(before)}`)
  page.leave()
})

test('each event is counted once: when it is held back, or when the tail gets it', () => {
  const counts: Record<string, number> = {}
  const commits = new CommitCount((category, events) => {
    counts[category] = (counts[category] ?? 0) + events
  })
  const held = (horizon: number, events: number) => ({
    horizon,
    categories: [{ category: 'a', events, streams: 0, lastPosition: 0 }],
  })
  commits.held(held(0, 3), 0)
  assert.equal(counts, {}, 'events from before the page was opened')
  commits.held(held(0, 5), 0)
  assert.equal(counts, { a: 2 })
  commits.held(held(0, 5), 0)
  for (let n = 0; n < 6; n++) commits.heard('a')
  commits.heard('b')
  assert.equal(counts, { a: 3, b: 1 }, 'the sixth event is that of the open append')
  commits.held(held(4, 9), 8)
  assert.equal(counts, { a: 3, b: 1 }, 'an answer from before the tail moved on')
})

test.run()
