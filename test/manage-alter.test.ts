// alterSubscription() changes a subscription without an executor: what is left out stays, and no lease of before is ever valid
// again.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SubscriptionInfo } from '../src/index.ts'
import { SubscriptionMismatchError, SubscriptionNotFoundError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
await sql.query(`set search_path = ${storeSchema}`)
test.after(closeAll)

async function info(name: string): Promise<SubscriptionInfo> {
  return (await meow.subscriptions()).find((one) => one.name === name)!
}

/** Lets all leases of a subscription and of its executors expire. */
async function expire(name: string): Promise<void> {
  await sql.query(`update checkpoints set lease_until = clock_timestamp() where subscription = '${name}'`)
  await sql.query(`update executors set alive_until = clock_timestamp() where subscription = '${name}'`)
}

test('categories, types, partitions; what is left out stays; null is every one', async () => {
  const [name, one, other] = ['alter', 'b', 'a'].map(uniqueName) as [string, string, string]
  await createSubscription(name, { categories: [one], types: ['A'], position: 7 })
  const is = async (selector: object, partitions: number) => {
    const found = await info(name)
    assert.equal(found.selector, selector)
    assert.equal(
      found.partitions.map(({ partition, position }) => [partition, position]),
      Array.from({ length: partitions }, (_, n) => [n, 7]),
    )
  }
  await meow.alterSubscription(name, {})
  await is({ category: one, types: ['A'] }, 1)
  await meow.alterSubscription(name, { types: ['C', 'B', 'C'] })
  await is({ category: one, types: ['B', 'C'] }, 1)
  await meow.alterSubscription(name, { category: [one, other] })
  await is({ category: [other, one], types: ['B', 'C'] }, 1)
  await meow.alterSubscription(name, { partitions: 3 })
  await is({ category: [other, one], types: ['B', 'C'] }, 3)
  await meow.alterSubscription(name, { category: null, types: null, partitions: 2 })
  await is({}, 2)
  await meow.alterSubscription(name, { category: 'it’s "{,}\\', types: ['T'], partitions: 1 })
  await is({ category: 'it’s "{,}\\', types: ['T'] }, 1)
})

test('afterwards subscription() requires the new selector', async () => {
  const [name, one, other] = ['alter', 'b', 'a'].map(uniqueName) as [string, string, string]
  await createSubscription(name, { categories: [one] })
  await meow.alterSubscription(name, {
    category: [one, other],
    types: ['y', 'x', 'ä', '🐈', '\uffff'],
    partitions: 2,
  })
  const asJsSortsThem = ['x', 'y', 'ä', '🐈', '\uffff']
  await createSubscription(name, { categories: [other, one], types: asJsSortsThem, partitions: 2 })
  const error = await rejects(createSubscription(name, { categories: [one] }), Error)
  assert.is((error as pg.DatabaseError).code, 'MW010')
})

test('new partitions begin at the least of the old positions; parked events stay', async () => {
  const [name, category] = [uniqueName('alter'), uniqueName('alter')]
  const { events } = await meow.append(
    { category, streamId: 'a' },
    [1, 2, 3].map((data) => ({ type: 'T', data })),
  )
  await createSubscription(name, { categories: [category], partitions: 3, position: 1 })
  const executor = await sqlExecutor(name)
  for (const [partition, position] of [30, 10, 20].entries()) await executor.advance(position, partition)
  await executor.park(events[1]!)
  const parked = await meow.parked(name)
  assert.is(parked.length, 2)
  await executor.leave()
  for (const partitions of [5, 2]) {
    await meow.alterSubscription(name, { partitions })
    assert.equal(
      (await info(name)).partitions.map(({ position }) => position),
      Array.from({ length: partitions }, () => 10),
    )
    assert.equal(await meow.parked(name), parked)
  }
})

test('refused while it is owned, naming the owners; nothing changes, and nothing of a running lease either', async () => {
  const name = uniqueName('alter')
  await createSubscription(name, { partitions: 3 })
  const one = await sqlExecutor(name, { owner: 'host:1:a' })
  const before = await info(name)
  const changes = { partitions: 2, types: ['A'] }
  const error = await rejects(meow.alterSubscription(name, changes), SubscriptionMismatchError)
  assert.is(error.subscription, name)
  assert.match(error.message, `"${name}" is owned by host:1:a (partition 0, 1, 2): stop them first`)
  assert.equal(await info(name), before)
  assert.is(await one.advance(5, 2), true)

  // Another one that has no partition yet is about to take one.
  await sqlExecutor(name, { owner: 'host:2:b' })
  await sql.query('update checkpoints set owner = null, lease_until = null where subscription = $1', [name])
  await one.leave()
  const waiting = await rejects(meow.alterSubscription(name, changes), SubscriptionMismatchError)
  assert.match(waiting.message, 'host:2:b (waiting)')
  await expire(name)
  await meow.alterSubscription(name, changes)
  const { rows } = await sql.query('select from executors where subscription = $1', [name])
  assert.is(rows.length, 0)
})

test('an owner whose lease ran out is never valid again, whatever the partitions become', async () => {
  const name = uniqueName('alter')
  await createSubscription(name, { partitions: 4 })
  const zombie = await sqlExecutor(name, { owner: 'zombie' })
  const latest = await sqlExecutor(name, { owner: 'latest' })
  const epochs = async () => {
    const { rows } = await sql.query('select epoch::int from checkpoints where subscription = $1', [name])
    return rows.map(({ epoch }) => epoch as number)
  }
  const steps = [
    { partitions: 1 },
    { partitions: 4 },
    {},
    { types: ['A'] },
    { partitions: 2 },
    { partitions: 4 },
  ]
  for (const changes of steps) {
    const said = JSON.stringify(changes)
    await expire(name)
    const before = await epochs()
    await meow.alterSubscription(name, changes)
    assert.ok(Math.min(...(await epochs())) > Math.max(...before), said)
    latest.epochs.clear()
    await latest.claim()
    for (const partition of [0, 1, 2, 3]) assert.is(await zombie.advance(99, partition), false, said)
    const { partitions } = await info(name)
    assert.equal(
      partitions.map(({ owner, position }) => [owner, position]),
      partitions.map(() => ['latest', 0]),
    )
  }
})

test('a renewal under way is waited for, and then counts', async () => {
  const name = uniqueName('alter')
  await createSubscription(name)
  const owner = await sqlExecutor(name, { owner: 'host:1:a' })
  await expire(name)
  await owner.client.query('begin')
  assert.is(await owner.advance(1), true)
  const altering = meow.alterSubscription(name, { types: ['A'] })
  altering.catch(() => {})
  await until(
    async () => {
      const { rows } = await sql.query(
        `select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'alter_subscription'`,
      )
      return rows.length > 0
    },
    { what: 'the call to wait for the row' },
  )
  await owner.client.query('commit')
  const error = await rejects(altering, SubscriptionMismatchError)
  assert.match(error.message, 'host:1:a (partition 0)')
  assert.equal((await info(name)).selector, {})
})

test('a subscription of one stream keeps to one category', async () => {
  const [name, category, other] = ['alter', 'a', 'b'].map(uniqueName) as [string, string, string]
  await createSubscription(name, { categories: [category], streamId: 's' })
  for (const several of [[category, other], null]) {
    const changes = { category: several, partitions: 2 }
    const error = await rejects(meow.alterSubscription(name, changes), ValidationError)
    assert.equal([error.path, error.value], ['changes.category', several])
    assert.match(error.message, name)
    assert.equal((await info(name)).selector, { category, streamId: 's' })
    assert.is((await info(name)).partitions.length, 1)
  }
  await meow.alterSubscription(name, { category: [other] })
  assert.equal((await info(name)).selector, { category: other, streamId: 's' })
})

test('invalid input is refused, and so is an unknown name', async () => {
  const name = uniqueName('nobody')
  const error = await rejects(meow.alterSubscription(name, { partitions: 2 }), SubscriptionNotFoundError)
  assert.is(error.subscription, name)
  const refused: [changes: unknown, path: string][] = [
    [undefined, 'changes'],
    [{ category: '' }, 'changes.category'],
    [{ category: [] }, 'changes.category'],
    [{ category: ['a', 7] }, 'changes.category[1]'],
    [{ types: [] }, 'changes.types'],
    [{ types: 'A' }, 'changes.types'],
    [{ partitions: 0 }, 'changes.partitions'],
    [{ partitions: 1025 }, 'changes.partitions'],
    [{ partitions: 1.5 }, 'changes.partitions'],
    [{ streamId: 'a' }, 'changes.streamId'],
  ]
  for (const [changes, path] of refused) {
    const error = await rejects(meow.alterSubscription(name, changes as object), ValidationError)
    assert.is(error.path, path, error.message)
  }
  assert.is((await rejects(meow.alterSubscription('', {}), ValidationError)).path, 'name')
})

test.run()
