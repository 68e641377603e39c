// A paused subscription begins no event, in any process; what is in flight ends and is acked. It goes on at once when it is
// resumed: polls are a minute apart here.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Delivery, Meow } from '../src/index.ts'
import { SubscriptionNotFoundError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const schema = uniqueName('pause')
const meow = await openStore({ schema, pollIntervalMs: 60_000 })
const other = await openStore({ schema, pollIntervalMs: 60_000 })
for (const store of [meow, other]) await listening(store)
test.after(closeAll)

const leaseMs = 600_000 // claims at intervals are minutes apart, too
const append = (category: string, streamId = 'a') =>
  meow.append({ category, streamId }, { type: 'T', data: streamId })

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

/** A worker whose handler waits for the gate. */
function work(store: Meow, name: string, opened: Promise<void>, options: { partitions?: number } = {}) {
  const begun: number[] = []
  const ended: number[] = []
  const subscription = store.subscription(name, { category: name, leaseMs, ...options })
  const states: string[] = []
  subscription.status$.subscribe(({ state }) => states.push(state))
  const worker = subscription.process(async ({ position }) => {
    begun.push(position)
    await opened
    ended.push(position)
  })
  return { begun, ended, worker, states, subscription }
}

const info = async (name: string) => (await meow.subscriptions({ names: [name] }))[0]!

for (const store of [meow, other])
  test(`what is in flight ends and is acked, and nothing else begins (paused by ${store === meow ? 'the same' : 'another'} process)`, async () => {
    const name = uniqueName('pause')
    const { open, opened } = gate()
    const first = (await append(name)).position
    const last = (await append(name, 'b')).position
    const { begun, ended, worker, states } = work(meow, name, opened)
    await until(() => begun.length === 1, { what: 'the first event' })
    await store.pauseSubscription(name)
    assert.is(states.at(-1), 'paused')
    open()
    await until(async () => (await info(name)).position === first, { what: 'the checkpoint' })
    assert.equal([begun, ended], [[first], [first]])
    await until(async () => (await info(name)).partitions[0]!.owner === null, { what: 'no owner' })
    const { status, pausedAt, lag } = await info(name)
    assert.equal([status, lag], ['paused', 1])
    assert.ok(pausedAt! > new Date(Date.now() - 600_000))
    await append(name, 'c')
    assert.equal(begun, [first])

    await store.resumeSubscription(name)
    await until(() => ended.length === 3, { what: 'the rest' })
    assert.equal(begun[1], last)
    assert.is((await info(name)).pausedAt, null)
    assert.is((await info(name)).status, 'running')
    await until(() => states.at(-1) === 'live', { what: 'the state live' })
    await worker.stop()
    assert.is((await info(name)).status, 'stopped')
  })

test('after the promise resolves no process begins an event, however busy they are', async () => {
  const name = uniqueName('pause')
  const handled: number[] = []
  const workers = [meow, other].map((store) =>
    store
      .subscription(name, { category: name, partitions: 4, leaseMs })
      .process(({ position }) => void handled.push(position), { concurrency: 4 }),
  )
  await Promise.all(workers.map(({ ready }) => ready))
  let appending = true
  let appended = 0
  const writer = (async () => {
    for (; appending; appended++) await append(name, `s${appended % 16}`)
  })()
  for (let round = 0; round < 5; round++) {
    const before = handled.length
    await until(() => handled.length > before + 20, { what: 'events' })
    await meow.pauseSubscription(name)
    const { length } = handled
    const { position } = await append(name)
    await until(async () => (await meow.read({ category: name })).horizon >= position, {
      what: 'more events',
    })
    assert.is(handled.length, length)
    await other.resumeSubscription(name)
  }
  appending = false
  await writer
  await until(() => handled.length === appended + 5, { what: 'all events, once each' })
  assert.is(new Set(handled).size, handled.length)
  await Promise.all(workers.map((worker) => worker.stop()))
})

test('a worker that starts while it is paused waits, and so does one of a new process', async () => {
  const name = uniqueName('pause')
  const { opened, open } = gate()
  open()
  const one = work(meow, name, opened)
  await one.worker.ready
  await one.worker.stop()
  await meow.pauseSubscription(name)
  await append(name)
  const late = work(other, name, opened)
  await late.worker.ready
  await until(() => late.states.at(-1) === 'paused', { what: 'the state paused' })
  assert.equal(late.begun, [])
  await meow.resumeSubscription(name)
  await until(() => late.ended.length === 1, { what: 'the event' })
  await late.worker.stop()
})

test('deliveries() and transactional handlers stop, too', async () => {
  const name = uniqueName('pause')
  await append(name)
  await append(name, 'b')
  const got: Delivery[] = []
  const deliveries = meow
    .subscription(name, { category: name, leaseMs, maxInFlight: 1 })
    .deliveries()
    .subscribe((delivery) => got.push(delivery))
  await until(() => got.length === 1, { what: 'a delivery' })
  await meow.pauseSubscription(name)
  await got[0]!.ack()
  await until(async () => (await info(name)).partitions[0]!.owner === null, { what: 'no owner' })
  assert.is(got.length, 1)
  await meow.resumeSubscription(name)
  await until(() => got.length === 2, { what: 'the next one' })
  await got[1]!.ack()
  deliveries.unsubscribe()

  const exactly = uniqueName('pause')
  const { open, opened } = gate()
  await append(exactly)
  await append(exactly, 'b')
  const begun: number[] = []
  const worker = meow.subscription(exactly, { category: exactly, leaseMs }).process(
    async ({ position }) => {
      begun.push(position)
      await opened
    },
    { transactional: true, batchSize: 1 },
  )
  await until(() => begun.length === 1, { what: 'the first event' })
  await meow.pauseSubscription(exactly)
  open()
  await until(async () => (await info(exactly)).position === begun[0], { what: 'the checkpoint' })
  assert.is(begun.length, 1)
  await meow.resumeSubscription(exactly)
  await until(() => begun.length === 2, { what: 'the next one' })
  await worker.stop()
})

test('twice; reset, replay and delete meanwhile; an unknown name', async () => {
  const name = uniqueName('pause')
  let fails = true
  const handled: string[] = []
  const subscription = meow.subscription(name, { category: name, leaseMs })
  const worker = subscription.process(
    ({ streamId }) => {
      if (fails && streamId === 'poison') throw new Error('poison')
      handled.push(streamId)
    },
    { retry: { maxAttempts: 1 }, outage: false },
  )
  await append(name)
  await append(name, 'poison')
  await until(async () => (await meow.parked(name)).length === 1, { what: 'the parked event' })
  await meow.pauseSubscription(name)
  const { pausedAt } = await info(name)
  await meow.pauseSubscription(name)
  assert.equal((await info(name)).pausedAt, pausedAt)

  fails = false
  assert.is(await meow.replayParked(name), 1)
  assert.is((await meow.parked(name)).length, 1)
  await meow.resumeSubscription(name)
  await meow.resumeSubscription(name)
  await until(() => handled.length === 2, { what: 'the replay' })

  await meow.pauseSubscription(name)
  await meow.resetSubscription(name, 'start')
  assert.is((await info(name)).status, 'paused')
  assert.equal(handled, ['a', 'poison'])
  await meow.resumeSubscription(name)
  await until(() => handled.length === 4, { what: 'all of it again' })

  await meow.pauseSubscription(name)
  await meow.deleteSubscription(name)
  await rejects(worker.done, SubscriptionNotFoundError)
  for (const call of [meow.pauseSubscription(name), meow.resumeSubscription(name)])
    assert.is((await rejects(call, SubscriptionNotFoundError)).subscription, name)
  for (const call of [meow.pauseSubscription(''), meow.resumeSubscription(1 as never)])
    assert.is((await rejects(call, ValidationError)).path, 'name')
})

test('a handler may pause its own subscription', async () => {
  const name = uniqueName('pause')
  let handled = 0
  await append(name)
  await append(name, 'b')
  const worker = meow.subscription(name, { category: name, leaseMs }).process(async () => {
    handled++
    if (handled === 1) await meow.pauseSubscription(name)
  })
  await worker.ready
  await until(
    async () => (await info(name)).status === 'paused' && (await info(name)).partitions[0]!.owner === null,
    {
      what: 'the pause',
    },
  )
  assert.is(handled, 1)
  await meow.resumeSubscription(name)
  await until(() => handled === 2, { what: 'the next event' })
  await worker.stop()
})

test.run()
