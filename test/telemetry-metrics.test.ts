// @direct
// Metrics: how many events are appended, handled, tried again, parked and lost; how many are in flight; lags, and the state of
// push.
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Delivery, Meow } from '../src/index.ts'
import { ValidationError, VersionConflictError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { startMetering } from './support/metering.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import { listening } from './support/status.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { unless, withoutPush } from './support/ways.ts'

let meow: Meow
let metering: ReturnType<typeof startMetering>
test.before(async () => {
  meow = await openStore() // before any provider is registered
  await meow.append({ category: uniqueName('early'), streamId: 'a' }, { type: 'T', data: 1 })
  metering = startMetering()
})
test.after(async () => {
  await closeAll()
  await metering.stop()
})

const event = { type: 'T', data: 1 }
const DESTINATION = 'messaging.destination.name'
const GROUP = 'messaging.consumer.group.name'

test('appends and reads: their number, duration and errors', async () => {
  const [one, other] = [uniqueName('order'), uniqueName('order')]
  const to = { category: one, streamId: 'a' }
  await meow.append(to, [event, event, event])
  await meow.appendAll([
    { stream: to, events: event },
    { stream: { category: other, streamId: 'a' }, events: [event, event] },
  ])
  await meow.load(to)
  await rejects(meow.append(to, event, { expectedVersion: 0 }), VersionConflictError)
  await rejects(meow.append(to, { type: 'T', data: undefined }), ValidationError)
  const sent = 'messaging.client.sent.messages'
  assert.is(await metering.sum(sent, { [DESTINATION]: one, 'error.type': undefined }), 4)
  assert.is(await metering.sum(sent, { [DESTINATION]: one, 'error.type': 'ERR_VERSION_CONFLICT' }), 1)
  assert.is(await metering.sum(sent, { [DESTINATION]: one, 'error.type': 'ERR_VALIDATION' }), 0)
  assert.is(await metering.sum(sent, { [DESTINATION]: other }), 2)
  const took = await metering.points('messaging.client.operation.duration', { [DESTINATION]: one })
  assert.equal(
    took
      .map(({ unit, attributes, value }) => [
        unit,
        attributes['messaging.operation.name'],
        attributes['error.type'],
        (value as { count: number }).count,
      ])
      .sort(),
    [
      ['s', 'append', 'ERR_VERSION_CONFLICT', 1],
      ['s', 'append', undefined, 1],
      ['s', 'load', undefined, 1],
    ].sort(),
  )
  for (const { value } of took) assert.ok((value as { sum: number }).sum < 60, 'seconds')
})

test('handlers: how many, how long, how many retries, how many are parked', async () => {
  for (const transactional of [false, true]) {
    const category = uniqueName('order')
    const name = uniqueName('sub')
    const bad = await meow.append({ category, streamId: 'bad' }, event)
    const good = await meow.append({ category, streamId: 'good' }, [event, event])
    const worker = meow.subscription(name, { category }).process(
      ({ streamId }) => {
        if (streamId === 'bad') throw new RangeError('never')
      },
      { transactional, retry: { maxAttempts: 3, minDelayMs: 1, maxDelayMs: 1 } },
    )
    for (const { position } of [good, bad]) await meow.waitFor(name, position, { timeoutMs: 20_000 })
    await until(async () => (await meow.parked(name)).length === 1, { what: 'the bad one to be set aside' })
    const of = { [GROUP]: name, [DESTINATION]: category }
    await until(async () => (await metering.sum('meowmx.subscription.parked', of)) === 1, { what: 'parked' })
    const failed = await metering.sum('messaging.process.duration', { ...of, 'error.type': 'RangeError' })
    if (transactional) assert.ok(failed >= 3)
    else assert.is(failed, 3)
    assert.ok((await metering.sum('messaging.process.duration', { ...of, 'error.type': undefined })) >= 2)
    assert.is(await metering.sum('meowmx.subscription.retries', of), 2)
    assert.is(await metering.sum('messaging.client.consumed.messages', of), 5)
    await meow.replayParked(name)
    await until(async () => (await metering.sum('meowmx.subscription.parked', of)) === 2, { what: 'again' })
    await worker.stop()
  }
})

test('what is in flight and what lags: as of the moment they are collected', async () => {
  const category = uniqueName('order')
  const name = uniqueName('sub')
  for (const streamId of ['a', 'b', 'c', 'd'])
    await meow.append(
      { category, streamId },
      Array.from({ length: 5 }, () => event),
    )
  const seen = collect<Delivery>(meow.subscription(name, { category, maxInFlight: 8 }).deliveries())
  await seen.has(8)
  const of = { [GROUP]: name }
  assert.is(await metering.sum('meowmx.subscription.in_flight', of), 8)
  assert.is(await metering.sum('meowmx.subscription.lag', of), 20)
  assert.is((await metering.points('meowmx.subscription.lag', of))[0]!.unit, '{event}')
  for (let n = 0; n < 20; n++) {
    await seen.has(n + 1)
    seen.all[n]!.ack()
  }
  await until(async () => (await metering.sum('meowmx.subscription.lag', of)) === 0, { what: 'no lag' })
  assert.is(await metering.sum('meowmx.subscription.in_flight', of), 0)
  assert.is(await metering.sum('meowmx.subscription.retries', of), 0)

  await meow.append({ category, streamId: 'a' }, event)
  await seen.has(21)
  await meow.resetSubscription(name, { after: seen.all[19]!.event.position })
  await until(async () => (await metering.sum('meowmx.subscription.lease_losses', of)) === 1, {
    what: 'the lost lease',
    timeoutMs: 20_000,
  })
  await seen.has(22)
  seen.all[21]!.nack()
  await seen.has(23)
  await seen.all[22]!.park(new Error('no'))
  assert.is(await metering.sum('meowmx.subscription.retries', of), 1)
  assert.is(await metering.sum('meowmx.subscription.parked', of), 1)
  seen.subscription.unsubscribe()
})

unless(withoutPush, test)('notifications, and reconnects of the listener', async () => {
  const other = await openStore()
  await listening(other)
  const category = uniqueName('order')
  const seen = collect(other.events({ category }))
  const before = await metering.sum('meowmx.listener.notifications')
  const notified = async () => {
    await meow.append({ category, streamId: 'a' }, event) // an append before the LISTEN notifies nobody
    return (await metering.sum('meowmx.listener.notifications')) > before
  }
  await until(notified, { what: 'the notification' })
  await seen.has(1)
  const reconnects = await metering.sum('meowmx.listener.reconnects')
  const sql = await pgClient()
  await sql.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
    `meowmx listener ${storeSchema}`,
  ])
  await until(async () => (await metering.sum('meowmx.listener.reconnects')) > reconnects, {
    what: 'the listener to be back',
    timeoutMs: 30_000,
  })
  seen.subscription.unsubscribe()
  await other.close()
})

test('no metric has an attribute with many values', async () => {
  const { metrics, attributes } = await metering.names()
  assert.equal(attributes, [
    'error.type',
    'meowmx.schema',
    GROUP,
    DESTINATION,
    'messaging.operation.name',
    'messaging.operation.type',
    'messaging.system',
    'messaging.system.name',
  ])
  assert.ok(metrics.includes('messaging.client.operation.duration'))
})

test('after an end the values are 0, whether the worker is stopped or the store closed', async () => {
  const category = uniqueName('order')
  await meow.append({ category, streamId: 'a' }, event)
  const other = await openStore()
  const deliver = async (name: string) => {
    const seen = collect<Delivery>(other.subscription(name, { category }).deliveries())
    await seen.has(1)
    assert.is(await metering.sum('meowmx.subscription.in_flight', { [GROUP]: name }), 1)
    return seen
  }
  const [stopped, open] = [uniqueName('sub'), uniqueName('sub')]
  const seen = await deliver(stopped)
  seen.all[0]!.ack()
  seen.subscription.unsubscribe()
  const inFlight = (name: string) => metering.points('meowmx.subscription.in_flight', { [GROUP]: name })
  await until(async () => (await inFlight(stopped))[0]!.value === 0, { what: 'the end of one' })
  const last = await deliver(open)
  last.all[0]!.ack()
  await other.close()
  assert.is((await inFlight(open))[0]!.value, 0)
})

test('an unreachable database does not delay a collection', async () => {
  const category = uniqueName('order')
  const name = uniqueName('sub')
  for (const streamId of ['a', 'b', 'c']) await meow.append({ category, streamId }, event)
  const proxy = await startProxy(directUrl())
  const other = await openStore({ connectionString: proxy.url, queryTimeoutMs: 60_000, listen: false })
  const seen = collect<Delivery>(other.subscription(name, { category, maxInFlight: 2 }).deliveries())
  await seen.has(2)
  proxy.blackhole()
  const collected = metering.sum('meowmx.subscription.lag', { [GROUP]: name })
  const lag = await Promise.race([collected, delay(30_000, 'late', { ref: false })])
  assert.is(lag, 2) // the subscriptions that it runs itself
  await proxy.close()
  seen.subscription.unsubscribe()
  await other.close()
})

test.run()
