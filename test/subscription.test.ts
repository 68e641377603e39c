// A durable subscription: acks in any order, a checkpoint that never passes an unacked event, a limit of unacked events, and a
// restart that continues at the checkpoint (I1, I4).
import { EventEmitter } from 'node:events'
import { lastValueFrom, mergeMap, take, tap, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Delivery, Meow, RecordedEvent, SubscriptionOptions } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { collect } from './support/collect.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const event = { type: 'Happened', data: {} }
const versions = (deliveries: readonly Delivery[]) => deliveries.map(({ event }) => event.version)

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 60_000 })
  await listening(meow)
})
test.after(closeAll)

/** A category with this many events of one stream, and a subscription to it. */
async function given(count: number, options: Partial<SubscriptionOptions> = {}) {
  const [category, name] = [uniqueName('given'), uniqueName('given')]
  const append = async (more: number, type = event.type) =>
    (await meow.append({ category, streamId: '1' }, Array(more).fill({ ...event, type }))).events
  const events = count > 0 ? await append(count) : []
  const subscribe = (store = meow) => store.subscription(name, { category, ...options })
  return { category, name, append, events, subscribe }
}

test('acks in any order; each resolves when the checkpoint covers it, and no sooner', async () => {
  const { name, events, subscribe } = await given(10)
  const { all, has, subscription } = collect(subscribe().deliveries())
  await has(10)
  assert.equal(
    all.map(({ event }) => event),
    events,
  )
  for (const { attempt, partition } of all) assert.equal([attempt, partition], [1, 0])

  const resolved: number[] = []
  const ack = (n: number) => all[n]!.ack().then(() => void resolved.push(n))
  const early = [9, 3, 7, 5, 4, 8, 6].map(ack)
  await ack(0)
  assert.equal(resolved, [0])
  assert.is((await checkpoint(name)).position, events[0]!.position)
  await ack(1)
  assert.equal(resolved, [0, 1])
  assert.is((await checkpoint(name)).position, events[1]!.position)
  await ack(2)
  await Promise.all(early)
  assert.is((await checkpoint(name)).position, events[9]!.position)
  await all[4]!.ack()
  assert.is(all[4]!.ack(), all[4]!.ack(), 'acked already')
  subscription.unsubscribe()
})

test('no more than maxInFlight are unacked; each ack lets in another', async () => {
  const { append, subscribe } = await given(20, { maxInFlight: 5 })
  let inFlight = 0
  let most = 0
  const subscription = subscribe()
  const seen = collect(subscription.deliveries(), () => {
    most = Math.max(most, ++inFlight)
  })
  const ack = (n: number) => {
    inFlight--
    return seen.all[n]!.ack()
  }
  await seen.has(5)
  await append(1)
  assert.equal(versions(seen.all), upTo(5))
  assert.is(current(subscription.status$).inFlight, 5)
  ack(3)
  await seen.has(6)
  ack(4)
  ack(1)
  await seen.has(8)
  await append(1)
  assert.is(seen.all.length, 8)
  for (const n of [0, 2]) await ack(n)
  for (let n = 5; n < 22; n++) {
    await seen.has(n + 1)
    await ack(n)
  }
  assert.equal(versions(seen.all), upTo(22))
  assert.is(most, 5)
  seen.subscription.unsubscribe()
})

test('an event that is never acked lets others pass, up to the limit', async () => {
  const { name, append, events, subscribe } = await given(2_000, { maxInFlight: 256 })
  for (const _ of upTo(4)) events.push(...(await append(2_000)))
  events.push(...(await append(1_000)))
  const acks: Promise<void>[] = []
  const { all, has, subscription } = collect(subscribe().deliveries(), (delivery) => {
    if (delivery.event.version > 0) acks.push(delivery.ack())
  })
  await has(10_000)
  await append(1)
  assert.is(all.length, 10_000)
  assert.ok((await checkpoint(name)).position < events[0]!.position)
  await all[0]!.ack()
  await has(11_001)
  await Promise.all(acks)
  subscription.unsubscribe()
})

test('a restart begins at the checkpoint: events that were acked above a gap come again', async () => {
  const { name, events, append, subscribe } = await given(10, { leaseMs: 300 })
  const first = await openStore()
  const { all, has, completed } = collect(subscribe(first).deliveries())
  await has(10)
  assert.not(completed)
  await Promise.all([0, 1, 2].map((n) => all[n]!.ack()))
  const late = [5, 6].map((n) => all[n]!.ack().catch((error) => error.code))
  await first.close()
  assert.equal(await Promise.all(late), ['ERR_LEASE_LOST', 'ERR_LEASE_LOST'])
  const { position, owner } = await checkpoint(name)
  assert.equal([position, owner], [events[2]!.position, null])

  await append(1)
  const again = collect(subscribe().deliveries())
  await again.has(8)
  assert.equal(versions(again.all), [3, 4, 5, 6, 7, 8, 9, 10])
  again.subscription.unsubscribe()
})

test('`from` says where a new subscription begins, and nothing to one that exists', async () => {
  const { category, events, append } = await given(10)
  const starts = { start: 'start', end: 'end', after: { after: events[6]!.position } } as const
  const names = Object.fromEntries(Object.keys(starts).map((from) => [from, uniqueName(from)]))
  const seen: Record<string, Delivery[]> = {}
  for (const [key, from] of Object.entries(starts)) {
    const { all, subscription } = collect(
      meow
        .subscription(names[key]!, { category, from })
        .deliveries()
        .pipe(tap((delivery) => delivery.ack())),
    )
    seen[key] = all
    await until(async () => (await checkpointOrNone(names[key]!)) !== undefined, {
      what: `subscription ${key}`,
    })
    subscription.add(() => {})
  }
  await append(1)
  await until(() => Object.values(seen).every((all) => all.at(-1)?.event.version === 10), {
    what: 'the last',
  })
  assert.equal(versions(seen.start!), upTo(11))
  assert.equal(versions(seen.end!), [10])
  assert.equal(versions(seen.after!), [7, 8, 9, 10])

  const other = await openStore()
  for (const from of ['start', 'end'] as const) {
    const worker = other.subscription(names.after!, { category, from }).process(() => {})
    await worker.ready
    await worker.stop()
  }
  assert.ok((await checkpoint(names.after!)).position >= events[9]!.position)
  await other.close()

  async function checkpointOrNone(name: string) {
    return checkpoint(name).catch(() => undefined)
  }
})

test('another selector under an existing name is refused; the same in other words is not', async () => {
  const [a, b] = [uniqueName('a'), uniqueName('b')]
  const name = uniqueName('same')
  const first = meow.subscription(name, { category: [a, b], types: ['X', 'Y'] }).process(() => {})
  await first.ready
  await first.stop()
  const same = meow.subscription(name, { category: [b, a, b], types: ['Y', 'X'] }).process(() => {})
  await same.ready
  await same.stop()
  const others = [
    {},
    { category: a },
    { category: [a, b] },
    { category: [a, b], types: ['X'] },
    { category: a, streamId: '1' },
  ]
  for (const selector of others) {
    const { error } = await ended(meow.subscription(name, selector).deliveries())
    assert.is(error.code, 'ERR_SUBSCRIPTION_MISMATCH')
    assert.is(error.subscription, name)
    assert.match(error.message, a)
    const worker = meow.subscription(name, selector).process(() => {})
    for (const promise of [worker.ready, worker.done]) {
      const rejection = await promise.catch((error) => error)
      assert.is(rejection.code, 'ERR_SUBSCRIPTION_MISMATCH')
    }
  }
})

test('what the selector leaves out, the checkpoint passes', async () => {
  const { name, append, subscribe } = await given(5, { types: ['Wanted'], leaseMs: 600 })
  const seen = collect(subscribe().deliveries())
  const [left] = (await append(2_500)).slice(-1)
  await until(async () => (await checkpoint(name)).position >= left!.position, {
    what: 'the checkpoint to pass',
  })
  const [wanted] = await append(1, 'Wanted')
  await seen.has(1)
  const [after] = (await append(10)).slice(-1)
  // Not past the one that is unacked, though all that follow are left out.
  const { position } = await checkpoint(name)
  assert.ok(position < wanted!.position)
  await seen.all[0]!.ack()
  await until(async () => (await checkpoint(name)).position >= after!.position, {
    what: 'the rest to be passed',
  })
  seen.subscription.unsubscribe()
})

test('after unsubscribing, deliveries can still be acked', async () => {
  const { name, events, subscribe } = await given(3)
  const { all, has, subscription } = collect(subscribe().deliveries())
  await has(3)
  subscription.unsubscribe()
  await all[0]!.ack()
  assert.is((await checkpoint(name)).position, events[0]!.position)
  const { owner } = await checkpoint(name)
  assert.ok(owner, 'kept while something may still be acked')
  await Promise.all([all[2]!.ack(), all[1]!.ack()])
  await until(async () => (await checkpoint(name)).owner === null, { what: 'the partition to be given back' })
  assert.is((await checkpoint(name)).position, events[2]!.position)
})

test('a delivery that is never acked keeps the partition for leaseMs, and no longer', async () => {
  const { name, subscribe } = await given(3, { leaseMs: 300 })
  const { all, has, subscription } = collect(subscribe().deliveries())
  await has(3)
  subscription.unsubscribe()
  await until(async () => (await checkpoint(name)).owner === null, { what: 'the partition to be given back' })
  const late = await all[0]!.ack().catch((error) => error)
  assert.is(late.code, 'ERR_LEASE_LOST')
  assert.is(late.subscription, name)
})

test('take(3) and mergeMap(ack): the acks of an Observable that has ended count', async () => {
  const { name, events, subscribe } = await given(10)
  const taken = await lastValueFrom(
    subscribe()
      .deliveries()
      .pipe(
        take(3),
        mergeMap(async (delivery) => {
          await delivery.ack()
          return delivery.event.version
        }),
        toArray(),
      ),
  )
  assert.equal(taken, [0, 1, 2])
  await until(async () => (await checkpoint(name)).owner === null, { what: 'the partition to be given back' })
  assert.is((await checkpoint(name)).position, events[2]!.position)
})

test('subscribed to twice in one process: one owner; when it leaves, the other goes on', async () => {
  const { append, subscribe } = await given(5)
  const subscription = subscribe()
  const handle = tap((delivery: Delivery) => void delivery.ack())
  const [first, second] = [1, 2].map(() => collect(subscription.deliveries().pipe(handle)))
  await until(() => first!.all.length + second!.all.length === 5, { what: 'the events' })
  const [owner, other] = first!.all.length === 5 ? [first!, second!] : [second!, first!]
  assert.is(other.all.length, 0)
  owner.subscription.unsubscribe()
  await append(2)
  await other.has(2)
  assert.equal(versions(other.all), [5, 6])
  other.subscription.unsubscribe()
})

test('a second one in the same process does not wait for acks that the first still owes', async () => {
  const { subscribe } = await given(3, { leaseMs: 60_000 })
  const first = collect(subscribe().deliveries())
  await first.has(3)
  first.subscription.unsubscribe()
  const second = collect(subscribe().deliveries())
  await second.has(3, 5_000)
  assert.is((await first.all[0]!.ack().catch((error) => error)).code, 'ERR_LEASE_LOST')
  await Promise.all(second.all.map((delivery) => delivery.ack()))
  second.subscription.unsubscribe()
})

test('in two stores: one owner, the other waits, and takes over where it left', async () => {
  const { append, subscribe } = await given(5, { leaseMs: 60_000 })
  const other = await openStore({ pollIntervalMs: 60_000 })
  await listening(other)
  const [here, there] = [subscribe(), subscribe(other)]
  const first = collect(here.deliveries().pipe(tap((delivery) => void delivery.ack())))
  await first.has(5)
  const second = collect(there.deliveries().pipe(tap((delivery) => void delivery.ack())))
  await until(() => current(there.status$).state === 'waiting', { what: 'the second to wait' })
  await append(5)
  await first.has(10)
  first.subscription.unsubscribe()
  await append(5)
  await second.has(5, 5_000)
  assert.equal(versions(second.all), [10, 11, 12, 13, 14])
  await other.close()
})

test('status$: the current value first, then what happens', async () => {
  const { append, events, subscribe } = await given(3)
  const subscription = subscribe()
  const status = collect(subscription.status$)
  const states = () => status.all.map(({ state }) => state).filter((state, i, all) => state !== all[i - 1])
  assert.equal(states(), ['stopped'])
  const { all, has, subscription: running } = collect(subscription.deliveries())
  await has(3)
  await until(() => states().at(-1) === 'live', { what: 'it to be live' })
  assert.equal(states(), ['stopped', 'catching-up', 'live'])
  const last = () => status.all.at(-1)!
  assert.equal([last().inFlight, last().partitions, last().position], [3, [0], 0])
  assert.is(last().horizon, events[2]!.position)
  await Promise.all(all.map((delivery) => delivery.ack()))
  await until(() => last().position === events[2]!.position && last().inFlight === 0, {
    what: 'the checkpoint',
  })
  const [next] = await append(1)
  await has(4)
  await until(() => last().horizon === next!.position, { what: 'the horizon' })

  const other = await openStore()
  const waiting = subscribe(other)
  const queued = collect(waiting.deliveries())
  await until(() => current(waiting.status$).state === 'waiting', { what: 'the other to wait' })
  assert.equal(current(waiting.status$).partitions, [])
  running.unsubscribe()
  await all[3]!.ack()
  await until(() => states().at(-1) === 'stopped', { what: 'it to stop' })
  await until(() => current(waiting.status$).state === 'live', {
    what: 'the other to be live, with nothing to do',
  })
  queued.subscription.unsubscribe()
  await other.close()
  assert.is(current(waiting.status$).state, 'stopped')
})

test('with nothing to do it is live, too', async () => {
  const { subscribe } = await given(0)
  const subscription = subscribe()
  const { subscription: running } = collect(subscription.deliveries())
  await until(() => current(subscription.status$).state === 'live', { what: 'it to be live' })
  running.unsubscribe()
})

test('acks that fail and are not awaited are logged and do no harm', async () => {
  const log = new EventEmitter()
  const logger = Object.fromEntries(
    ['debug', 'info', 'warn', 'error'].map((level) => [
      level,
      (...args: unknown[]) => void log.emit(level, ...args),
    ]),
  ) as any
  const said: any[] = []
  log.on('debug', (fields, text) => said.push([fields, text]))
  const other = await openStore({ logger })
  const { subscribe } = await given(3, { leaseMs: 300 })
  const { all, has } = collect(subscribe(other).deliveries())
  await has(3)
  await other.close()
  for (const delivery of all) void delivery.ack()
  await until(() => said.filter(([fields]) => fields?.err?.code === 'ERR_LEASE_LOST').length === 3, {
    what: 'a word',
  })
})

test('a subscription that is deleted under way ends with an error', async () => {
  const { name, subscribe } = await given(3, { leaseMs: 300 })
  const seen = collect(subscribe().deliveries())
  await seen.has(3)
  const sql = await pgClient()
  await sql.query(`delete from ${storeSchema}.subscriptions where name = $1`, [name])
  await until(() => seen.error, { what: 'the error' })
  assert.is(seen.error.code, 'ERR_SUBSCRIPTION_NOT_FOUND')
  assert.is((await seen.all[0]!.ack().catch((error) => error)).code, 'ERR_LEASE_LOST')
})

test('bad options are refused at the call; a schema that is not there by the Observable', async () => {
  assert.throws(() => meow.subscription('', {}), /name/)
  assert.throws(() => meow.subscription('a', { maxInFlight: 0 }), /options\.maxInFlight/)
  assert.throws(() => meow.subscription('a', { leaseMs: 1.5 }), /options\.leaseMs/)
  assert.throws(() => meow.subscription('a', { streamId: '1' }), /options\.streamId/)
  assert.throws(() => meow.subscription('a', { form: 'end' } as object), /options\.form is not an option/)
  assert.throws(() => meow.subscription('a', {}).process('handler' as never), /handler must be a function/)
  const schema = uniqueName('missing')
  const other = await openStore({ schema })
  await (await pgClient()).query(`drop schema ${schema} cascade`)
  const { error } = await ended(other.subscription('a', {}).deliveries())
  assert.is(error.code, 'ERR_SCHEMA')
  await other.close()
})

async function ended(source: import('rxjs').Observable<Delivery<RecordedEvent>>): Promise<{ error: any }> {
  const collected = collect(source)
  await until(() => collected.error, { what: 'the error' })
  return collected
}

test.run()
