// subscriptions() tells what each subscription selects, who owns its partitions, its position and lag, and what is parked.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Selector, SubscriptionInfo } from '../src/index.ts'
import { ClosedError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { createSubscription, sqlExecutor, streamsOf } from './support/sql-executor.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const meow = await openStore({ listen: false })
test.after(closeAll)

const events = (...types: string[]) => types.map((type) => ({ type, data: null }))

async function info(name: string): Promise<SubscriptionInfo> {
  const found = (await meow.subscriptions()).filter((one) => one.name === name)
  assert.is(found.length, 1)
  return found[0]!
}

test('none in a new store, then all by name', async () => {
  assert.equal(await meow.subscriptions(), [])
  const names = ['b', 'a', '🐈', 'ä'].map((letter) => `${letter}${uniqueName('listed')}`)
  for (const name of names) await createSubscription(name)
  const found = (await meow.subscriptions()).map(({ name }) => name)
  assert.equal(found.toSorted(), names.toSorted())
  const client = await pgClient()
  const { rows } = await client.query(
    'select name from unnest($1::text[]) as name order by name collate "C"',
    [names],
  )
  assert.equal(
    found,
    rows.map(({ name }) => name),
  )
})

test('selectors come back as they were given', async () => {
  const [one, other] = [uniqueName('one'), uniqueName('other')]
  const selectors: [selector: Selector, row: object][] = [
    [{}, {}],
    [{ category: one }, { categories: [one] }],
    [{ category: [one, other] }, { categories: [one, other] }],
    [{ types: ['A', 'B'] }, { types: ['A', 'B'] }],
    [
      { category: one, types: ['"{,}\\ ä'], streamId: 'it’s' },
      { categories: [one], types: ['"{,}\\ ä'], streamId: 'it’s' },
    ],
  ]
  for (const [selector, row] of selectors) {
    const name = uniqueName('selector')
    await createSubscription(name, row)
    assert.equal((await info(name)).selector, selector)
  }
})

test('owners, their leases, and a position for each partition; an executor whose lease expired owns nothing', async () => {
  const name = uniqueName('owned')
  await createSubscription(name, { partitions: 3, position: 5 })
  const free = { owner: null, leaseUntil: null }
  assert.equal((await info(name)).partitions, [
    { partition: 0, position: 5, ...free },
    { partition: 1, position: 5, ...free },
    { partition: 2, position: 5, ...free },
  ])
  assert.is((await info(name)).position, 5)

  const executor = await sqlExecutor(name, { owner: 'host:1:a', leaseMs: 60_000 })
  for (const [partition, position] of [9, 7, 8].entries()) await executor.advance(position, partition)
  const { partitions, position } = await info(name)
  assert.equal(
    partitions.map(({ partition, position, owner }) => [partition, position, owner]),
    [
      [0, 9, 'host:1:a'],
      [1, 7, 'host:1:a'],
      [2, 8, 'host:1:a'],
    ],
  )
  assert.is(position, 7)
  const { rows } = await executor.client.query(
    'select lease_until from checkpoints where subscription = $1 order by partition',
    [name],
  )
  assert.equal(
    partitions.map(({ leaseUntil }) => leaseUntil),
    rows.map(({ lease_until }) => lease_until),
  )

  await executor.client.query(
    `update checkpoints set lease_until = clock_timestamp() where subscription = $1 and partition = 1`,
    [name],
  )
  assert.equal(
    (await info(name)).partitions.map(({ owner, leaseUntil }) => [owner, leaseUntil !== null]),
    [
      ['host:1:a', true],
      [null, false],
      ['host:1:a', true],
    ],
  )
})

test('lag counts what is selected above the checkpoint: by category, type, stream, or all', async () => {
  const [one, other] = [uniqueName('lag'), uniqueName('lag')]
  const first = await meow.append({ category: one, streamId: 'a' }, events('A', 'B', 'A'))
  await meow.append({ category: one, streamId: 'b' }, events('B'))
  await meow.append({ category: other, streamId: 'a' }, events('A', 'A'))
  const lags: [row: Parameters<typeof createSubscription>[1], lag: number][] = [
    [{ categories: [one] }, 4],
    [{ categories: [one], position: first.events[1]!.position }, 2],
    [{ categories: [one, other] }, 6],
    [{ categories: [one, other], types: ['A'] }, 4],
    [{ categories: [one], types: ['B', 'C'] }, 2],
    [{ categories: [one], streamId: 'a' }, 3],
    [{ categories: [one], streamId: 'a', types: ['A'], position: first.events[0]!.position }, 1],
    [{ categories: [uniqueName('nobody')] }, 0],
    [{ position: first.position }, 3],
    [{ types: ['A'], position: first.position }, 2],
    [{ position: Number.MAX_SAFE_INTEGER }, 0],
  ]
  for (const [row, lag] of lags) {
    const name = uniqueName('lag')
    await createSubscription(name, row)
    assert.is((await info(name)).lag, lag, JSON.stringify(row))
  }
})

test('of several partitions, each counts from its own checkpoint', async () => {
  const category = uniqueName('lag')
  const positions: { partition: number; position: number }[] = []
  const streams = await streamsOf(category, 3, 3)
  for (let n = 0; n < 9; n++) {
    for (const [partition, ids] of streams.entries()) {
      const { position } = await meow.append({ category, streamId: ids[n % 3]! }, events('A'))
      positions.push({ partition, position })
    }
  }
  const name = uniqueName('lag')
  await createSubscription(name, { categories: [category], partitions: 3 })
  const executor = await sqlExecutor(name)
  // Each at an event of its own.
  const checkpoints = [1, 4, 2].map(
    (n, p) => positions.filter(({ partition }) => partition === p)[n]!.position,
  )
  for (const [partition, position] of checkpoints.entries()) await executor.advance(position, partition)
  const expected = positions.filter(({ partition, position }) => position > checkpoints[partition]!).length
  assert.is((await info(name)).lag, expected)
  assert.is((await info(name)).position, Math.min(...checkpoints))
})

test('events that an open append holds back are lag, too, and are shown as held back', async () => {
  const [own, other] = [uniqueName('held'), uniqueName('free')]
  const names = { own: uniqueName('own'), other: uniqueName('other'), all: uniqueName('all') }
  const { position } = await meow.append({ category: other, streamId: 'a' }, events('A'))
  await createSubscription(names.own, { categories: [own] })
  await createSubscription(names.other, { categories: [other] })
  await createSubscription(names.all, { position })
  const lags = async () => [
    (await info(names.own)).lag,
    (await info(names.other)).lag,
    (await info(names.all)).lag,
  ]
  assert.equal(await lags(), [0, 1, 0])
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category: own, streamId: 'a' }, events('A'), { client })
  await meow.append({ category: own, streamId: 'b' }, events('A'))
  await meow.append({ category: other, streamId: 'b' }, events('A'))
  assert.equal(await lags(), [1, 2, 2])
  const held = await Promise.all(Object.values(names).map(async (name) => (await info(name)).heldBack.events))
  assert.equal(held, [1, 0, 2])
  await client.query('commit')
  assert.equal(await lags(), [2, 2, 3])
})

test('parked counts the event that failed and those that wait for it, whether they are being replayed or not', async () => {
  const category = uniqueName('parked')
  const name = uniqueName('parked')
  const a = await meow.append({ category, streamId: 'a' }, events('A', 'A', 'B', 'A'))
  const b = await meow.append({ category, streamId: 'b' }, events('A'))
  await createSubscription(name, { categories: [category], types: ['A'] })
  assert.is((await info(name)).parked, 0)
  const executor = await sqlExecutor(name)
  await executor.park(a.events[1]!)
  assert.is((await info(name)).parked, 2)
  await executor.park(b.events[0]!, { replaying: true })
  assert.is((await info(name)).parked, 3)
  await meow.append({ category, streamId: 'a' }, events('A', 'B'))
  assert.is((await info(name)).parked, 4)
})

test('a closed store tells nothing', async () => {
  const closed = await openStore({ listen: false, schema: storeSchema })
  await closed.close()
  await rejects(closed.subscriptions(), ClosedError)
})

test.run()
