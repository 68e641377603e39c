// status$ of a subscription counts each event once, is true, ends with the store, and keeps nothing alive.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SubscriptionOptions } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { holdingPool } from './support/holding-pool.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

/** A subscription to a category of its own, of `streams` streams with one event each. */
async function given(streams: number, options: SubscriptionOptions = {}, store = meow) {
  const name = uniqueName('status')
  const category = name
  const append = (streamId: string) => meow.append({ category, streamId }, { type: 'Happened', data: {} })
  for (let n = 0; n < streams; n++) await append(`${n}`)
  return { name, append, subscription: store.subscription(name, { category, ...options }) }
}

test('two executors of one process count each event once, not twice', async () => {
  const { subscription } = await given(100, { partitions: 4, maxInFlight: 2 })
  const { all: statuses } = collect(subscription.status$)
  const stuck = [collect(subscription.deliveries()), collect(subscription.deliveries())]
  const told = () => current(subscription.status$)
  await until(() => told().inFlight === 4 && told().partitions.length === 4 && told().lag === 100, {
    what: 'both to be at work',
  })
  assert.ok(Math.max(...statuses.map(({ lag }) => lag)) <= 100)
  for (const { subscription } of stuck) subscription.unsubscribe()
})

test('the status shows the error that ended one executor while another runs, and until a new one begins', async () => {
  const { append, subscription } = await given(0, { partitions: 2 })
  const failed = new Error('for good')
  const workers = [0, 1].map(() =>
    subscription.process(
      ({ streamId }) => {
        if (streamId === 'bad') throw failed
      },
      { onExhausted: 'stop', retry: { maxAttempts: 1 } },
    ),
  )
  await Promise.all(workers.map(({ ready }) => ready))
  await until(() => current(subscription.status$).state === 'live', { what: 'both to be at work' })
  await append('bad')
  await Promise.race(workers.map(({ done }) => done.catch(() => {})))
  await until(() => current(subscription.status$).error === failed, { what: 'the error' })
  assert.instance(current(subscription.status$).since, Date)
  await Promise.all(workers.map((worker) => worker.stop()))
  assert.is(current(subscription.status$).error, failed)
  const next = subscription.process(() => {})
  await next.ready
  await until(() => current(subscription.status$).state === 'live', { what: 'the next one' })
  assert.is(current(subscription.status$).error, undefined)
  await next.stop()
})

test('the lag is counted only while somebody observes the status', async () => {
  const { pool, queries } = countingPool()
  const store = await openStore({ pool })
  const { subscription } = await given(100, { maxInFlight: 2 }, store)
  const counts = () => queries.filter((query) => query.includes('counts_of')).length
  const stuck = collect(subscription.deliveries())
  await until(() => stuck.all.length === 2, { what: 'it to be at work' })
  assert.is(counts(), 0)
  const watching = collect(subscription.status$) // while nothing else happens
  await until(() => watching.all.at(-1)!.lag === 100, { what: 'the lag' })
  assert.is(counts(), 1)
  watching.subscription.unsubscribe()
  await stuck.all[0]!.ack()
  await until(() => stuck.all.length === 3, { what: 'it to go on' })
  assert.is(counts(), 1)
  stuck.subscription.unsubscribe()
  await store.close()
  await pool.end()
})

test('it completes with the store, used or not, and tells its last value still', async () => {
  const other = await openStore()
  const [used, unused] = [uniqueName('used'), uniqueName('unused')].map((name) =>
    other.subscription(name, { category: name }),
  )
  const seen = [used!, unused!].map(({ status$ }) => collect(status$))
  await used!.process(() => {}).ready
  await until(() => current(used!.status$).state === 'live', { what: 'it to be live' })
  await other.close()
  for (const collected of seen) {
    await collected.ended()
    assert.is(collected.all.at(-1)!.state, 'stopped')
  }
  for (const { status$ } of [used!, unused!]) {
    const late = collect(status$)
    await late.ended()
    assert.is(late.all.length, 1)
  }
})

test('a store does not keep the subscriptions that were used', async () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const use = async () => {
    const { subscription } = await given(0)
    const worker = subscription.process(() => {})
    await worker.ready
    await worker.stop()
    return new WeakRef(subscription)
  }
  const used: WeakRef<object>[] = []
  for (let n = 0; n < 5; n++) used.push(await use())
  await until(
    () => {
      collectGarbage()
      // The last one may still be on a stack.
      return used.filter((one) => one.deref()).length <= 1
    },
    { what: 'them to be forgotten' },
  )
})

test('an executor that lost all of its partitions is waiting, whatever is appended', async () => {
  const other = await openStore({ pollIntervalMs: 3_600_000 })
  await listening(other)
  const { name, append, subscription } = await given(1, { leaseMs: 3_600_000 }, other)
  const worker = subscription.process(() => {})
  await until(() => current(subscription.status$).state === 'live', { what: 'it to be live' })
  const sql = await pgClient()
  await sql.query(`set search_path = ${storeSchema}`)
  // Another executor took it; a wake-up makes this one claim again.
  await sql.query(`update checkpoints set epoch = epoch + 1, owner = 'other' where subscription = $1`, [name])
  await sql.query(`select pg_notify(wake_channel($1), '')`, [name])
  await until(() => current(subscription.status$).state === 'waiting', { what: 'it to wait' })
  const { all: statuses } = collect(subscription.status$)
  // The executor reads before we do, by the same tail.
  const events = collect(other.events({ category: name }))
  await events.has(1)
  await append('a')
  await events.has(2)
  await listening(other)
  assert.equal(
    statuses.filter(({ state }) => state !== 'waiting'),
    [],
  )
  await worker.stop()
})

test('ready of a worker that is stopped before it could register rejects with an error of the library', async () => {
  const { pool, hold } = holdingPool()
  const other = await openStore({ pool })
  const held = hold('.subscribe(')
  const worker = other.subscription(uniqueName('stopped'), {}).process(() => {})
  await held.some()
  const stopping = worker.stop()
  held.release()
  assert.is((await worker.ready.catch((error) => error))?.code, 'ERR_CLOSED')
  await stopping
  await other.close()
  await pool.end()
})

test('what is replayed is in flight, too, and takes its place', async () => {
  const { name, append, subscription } = await given(1, { maxInFlight: 2, leaseMs: 60_000 })
  const { all, has, subscription: running } = collect(subscription.deliveries())
  const inFlight = (count: number) =>
    until(() => current(subscription.status$).inFlight === count, { what: `${count} in flight` })
  await has(1)
  await inFlight(1)
  await all[0]!.park()
  await inFlight(0)
  await meow.replayParked(name)
  await has(2)
  await inFlight(1)
  for (const streamId of ['a', 'b', 'c']) await append(streamId)
  await has(3)
  await inFlight(2)
  await all[1]!.ack()
  await has(4)
  await inFlight(2)
  assert.equal(
    all.map(({ event }) => event.streamId),
    ['0', '0', 'a', 'b'],
  )
  for (const delivery of all.slice(2)) void delivery.ack()
  await has(5)
  await all[4]!.ack()
  await inFlight(0)
  running.unsubscribe()
})

test.run()
