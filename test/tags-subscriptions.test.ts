// A subscription that selects by tags gets exactly those events; its lag, waiting, parking and replay count only them; another set of
// tags is another selector. An erasure takes tags along.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/index.ts'
import { SubscriptionMismatchError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

const event = (n: number, ...tags: string[]) => ({ type: 'A', data: n, tags })

test('delivers, counts, waits, parks and replays by tags', async () => {
  const meow = await openStore({ pollIntervalMs: 200 })
  const category = uniqueName('s')
  const [a, b] = [uniqueName('a'), uniqueName('b')]
  const stream = (streamId: string) => ({ category, streamId })
  for (let n = 0; n < 20; n++)
    await meow.append(stream(`${n % 2}`), event(n, ...(n % 4 === 0 ? [a, b] : n % 4 === 1 ? [a] : [])))
  const name = uniqueName('sub')
  const selector = { category, tags: [b, a] }
  const got: RecordedEvent[] = []
  let fails = true
  const handler = (one: RecordedEvent) => {
    if (fails) throw new Error('not yet')
    got.push(one)
  }
  const start = () =>
    meow.subscription(name, selector).process(handler, { retry: { maxAttempts: 1 }, outage: false })
  const worker = start()
  const info = async () => (await meow.subscriptions({ names: [name], exact: true }))[0]
  await until(async () => (await info())?.parked === 5, { what: 'five parked events', timeoutMs: 10_000 })
  assert.equal((await info())!.selector, { category, tags: [a, b].toSorted() })
  assert.equal(
    (await meow.parked(name)).map(({ event }) => event.data),
    [0, 4, 8, 12, 16],
  )
  fails = false
  assert.is(await meow.replayParked(name), 5)
  await until(() => got.length === 5, { what: 'the replay', timeoutMs: 10_000 })
  const { position } = await meow.append(stream('2'), event(20, a, b))
  await meow.append(stream('2'), event(21, a))
  await meow.waitFor(name, position)
  await meow.settled({ names: [name] })
  assert.equal(
    got.map(({ data }) => data),
    [0, 4, 8, 12, 16, 20],
  )
  await worker.stop()
  await meow.append(stream('3'), [event(22, a), event(23, a, b), event(24), event(25, b, a)])
  assert.is((await info())!.lag, 2)
  await rejects(
    meow.subscription(name, { category, tags: [a] }).process(handler).done,
    SubscriptionMismatchError,
  )
  await rejects(meow.subscription(name, { category }).process(handler).done, SubscriptionMismatchError)
  await meow.alterSubscription(name, { partitions: 2 })
  assert.equal((await info())!.selector, { category, tags: [a, b].toSorted() })
})

test('an erased stream matches no tag any more, neither by selectors nor by queries', async () => {
  const meow = await openStore()
  const category = uniqueName('s')
  const [a, b] = [uniqueName('a'), uniqueName('b')]
  await meow.append({ category, streamId: 'gone' }, [event(1, a, b), event(2), event(3, b)])
  const { events } = await meow.append({ category, streamId: 'stays' }, event(4, a))
  await meow.eraseStream({ category, streamId: 'gone' })
  assert.equal((await meow.query([{ tags: [a] }, { tags: [b] }])).events, events)
  assert.equal((await meow.read({ tags: [a] })).events, events)
  assert.equal(
    (await meow.load({ category, streamId: 'gone' })).map(({ tags }) => tags),
    [[], [], [], []],
  )
  await meow.append({ category, streamId: 'x' }, event(5, b), { failIf: { query: { tags: [b] } } })
  const client = await pgClient()
  const { rows } = await client.query(
    `select count(*)::int as n from ${storeSchema}.event_tags where tag = any ($1)`,
    [[a, b]],
  )
  assert.is(rows[0].n, 2)
})

test('what is appended and asked for in plain SQL', async () => {
  const meow = await openStore()
  const client = await pgClient()
  const category = uniqueName('s')
  const tag = uniqueName('t')
  const append = (events: unknown, condition: unknown = null) =>
    client.query(`select * from ${storeSchema}.append($1, 's', $2, 'any', $3)`, [
      category,
      JSON.stringify(events),
      condition === null ? null : JSON.stringify(condition),
    ])
  const query = { tags: [tag] }
  const ask = async () =>
    (await client.query(`select events, seen from ${storeSchema}.query($1)`, [JSON.stringify(query)])).rows[0]
  const refused = async (code: string, ...args: Parameters<typeof append>) =>
    assert.is(((await rejects(append(...args), Error)) as Error & { code: string }).code, code)
  await append({ type: 'A', data: 1, tags: [tag, 'x'], metadata: { by: 'me' } }, { query })
  const { events, seen } = await ask()
  assert.is(events.length, 1)
  await refused('MW020', { type: 'A', data: 2 }, { query })
  await append(
    [
      { type: 'B', data: 2, tags: [tag] },
      { type: 'C', data: 3 },
    ],
    { query, after: seen },
  )
  await refused('MW020', { type: 'A', data: 2 }, { query: [query], after: seen })
  assert.equal(
    (await meow.query(query as { tags: [string] })).events.map(({ type, tags, metadata }) => [
      type,
      tags,
      metadata,
    ]),
    [
      ['A', [tag, 'x'].toSorted(), { by: 'me' }],
      ['B', [tag], {}],
    ],
  )
  // What the library has seen counts in SQL, and the other way round.
  await append({ type: 'D', data: 4 }, { query, after: (await meow.query(query as { tags: [string] })).seen })
  await meow.append({ category, streamId: 's' }, event(5), {
    failIf: { query: query as { tags: [string] }, after: (await ask()).seen },
  })
  await refused('MW021', { type: 'A', data: 2 }, { query, after: seen.replace(/^s1\.\d+/, 's1.9') })
  await refused('22023', { type: 'A', data: 2 }, { query: { types: ['A'] } })
  await refused('22023', { type: 'A', data: 2 }, { query: { tags: [] } })
  await refused('22023', { type: 'A', data: 2 }, { query, befor: seen })
  await refused('22023', { type: 'A', data: 2, tags: 'x' })
  await refused('22023', { type: 'A', data: 2, tags: [''] })
  await refused('22023', { type: 'A', data: 2, tags: ['y'], metadata: { $tags: ['x'] } })
  await refused('MW019', { type: 'A', data: 2, metadata: { $tags: ['x'] } })
  await client.query('begin isolation level repeatable read')
  await refused('MW018', { type: 'A', data: 2 }, { query })
  await client.query('rollback')
  assert.is((await meow.load({ category, streamId: 's' })).length, 5)
})

test.run()
