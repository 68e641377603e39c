// What a store is used for, each kind of use with all of its calls: for tests of who may do it, and under what.
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { firstValueFrom, lastValueFrom, take, toArray } from 'rxjs'
import * as assert from 'uvu/assert'
import type { Delivery, Meow, RecordedEvent, Selector } from '../../src/index.ts'
import { ValidationError } from '../../src/index.ts'
import { rejects } from './rejects.ts'
import { uniqueName } from './store.ts'
import { until } from './until.ts'

/** Appends in every way, and returns what was written, of one new category. `client`: a connection of the same role. */
export async function write(meow: Meow, client: pg.Client): Promise<RecordedEvent[]> {
  const category = uniqueName('work')
  const [a, b] = [
    { category, streamId: 'a' },
    { category, streamId: 'b' },
  ]
  const event = (id?: string) => ({
    type: 'T',
    data: { n: [1] },
    metadata: { by: 'me' },
    ...(id ? { id } : {}),
  })
  await meow.append(a, event(), { expectedVersion: 'no-stream' })
  await meow.append(a, [event(), event()], { expectedVersion: 0 })
  const id = randomUUID()
  for (const deduplicated of [false, true])
    assert.is((await meow.append(a, event(id))).deduplicated, deduplicated)
  assert.is((await meow.append(a, [event(id)])).deduplicated, true)
  await Promise.all([meow.append(a, event()), meow.append(b, [event(), event()])])
  const conflict = await meow.append(b, event(), { expectedVersion: 7 }).catch((error) => error)
  assert.is(conflict.code, 'ERR_VERSION_CONFLICT')
  await meow.appendAll([
    { stream: a, events: event(), expectedVersion: 4 },
    { stream: b, events: [event(), event()], expectedVersion: 'stream-exists' },
  ])
  await client.query('begin')
  await meow.append(b, event(), { client })
  await meow.append(b, [event(), event()], { client })
  await meow.appendAll([{ stream: a, events: event() }], { client })
  assert.ok((await meow.stallers()).some((one) => one.category === category))
  await client.query('commit')
  return (await meow.read({ category })).events
}

/** Decides, remembers states and reads them again, of one new category. */
export async function decide(meow: Meow, client: pg.Client): Promise<void> {
  const counter = {
    category: uniqueName('work'),
    initial: 0,
    evolve: (n: number) => n + 1,
    decide: () => ({ type: 'T', data: 1 }),
    snapshotEvery: 1,
  }
  for (const n of [1, 2]) assert.is((await meow.decide(counter, 'a', undefined)).state, n)
  await client.query('begin')
  assert.is((await meow.decide(counter, 'a', undefined, { client })).state, 3)
  await client.query('commit')
  assert.equal(await meow.state(counter, 'a'), { state: 3, version: 2 })
  assert.equal(await firstValueFrom(meow.watch(counter, 'a')), { state: 3, version: 2 })
}

/** Reads in every way what `write` wrote. */
export async function read(meow: Meow, events: readonly RecordedEvent[], client: pg.Client): Promise<void> {
  const category = events[0]!.category
  const selectors: [Selector, number][] = [
    [{ category }, events.length],
    [{ category, types: ['T'] }, events.length],
    [{ category: [category, 'none'] }, events.length],
    [{ category: [category, ...'abcdefghi'] }, events.length],
    [{ category, streamId: 'a' }, events.filter(({ streamId }) => streamId === 'a').length],
    [{ category, streamId: 'a', types: ['T'] }, events.filter(({ streamId }) => streamId === 'a').length],
  ]
  for (const [selector, count] of selectors) {
    for (const direction of ['forward', 'backward'] as const) {
      assert.is((await meow.read(selector, { direction })).events.length, count)
      assert.is((await meow.read(selector, { direction, limit: 2, client })).events.length, 2)
    }
    const live = meow.events(selector).pipe(take(count), toArray())
    assert.is((await lastValueFrom(live)).length, count)
  }
  assert.ok((await meow.read({}, { after: events[0]!.position - 1 })).events.length >= events.length)
  for (const direction of ['forward', 'backward'] as const) {
    const stream = { category, streamId: 'b' }
    assert.is((await meow.load(stream, { direction, limit: 1 })).length, 1)
    assert.is((await meow.load(stream, { direction, fromVersion: 1, toVersion: 3, client })).length, 2)
  }
  let seen = 0
  for await (const _ of meow.iterate({ category }, { live: false })) seen++
  assert.is(seen, events.length)
  assert.ok((await meow.categories()).some((one) => one.category === category && one.streams === 2))
  await firstValueFrom(meow.status$)
  await meow.subscriptions()
}

/** Consumes what `write` wrote, in every way, sets streams aside and replays them. Returns a subscription's name. */
export async function execute(meow: Meow, events: readonly RecordedEvent[]): Promise<string> {
  const { category, position } = events.at(-1)!
  let name = ''
  for (const transactional of [false, true]) {
    name = uniqueName('work')
    let poisonous = true
    let handled = 0
    const subscription = meow.subscription(name, { category, types: ['T'], partitions: 2 })
    const worker = subscription.process(
      async () => {
        if (poisonous) throw new Error('poison')
        handled++
      },
      { transactional, outage: false, retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 1 } },
    )
    await worker.ready
    await meow.waitFor(name, position, { timeoutMs: 60_000 })
    // Set aside for good, not only until the second attempt.
    const twice = async () => (await meow.parked(name)).filter(({ attempts }) => attempts === 2).length === 2
    await until(twice, { what: 'both streams aside' })
    assert.is((await meow.parked(name)).length, events.length)
    poisonous = false
    await meow.replayParked(name, { streamId: 'a' })
    await meow.replayParked(name)
    await until(() => handled === events.length, { what: 'the replay' })
    await until(async () => (await meow.parked(name)).length === 0, { what: 'the end of the replay' })
    await worker.stop()
    await meow.resetSubscription(name, 'start')
    const [found] = (await meow.subscriptions()).filter((one) => one.name === name)
    assert.is(found!.lag, events.length)
  }
  await consume(meow, events)
  return name
}

/** The same by hand: a nack, a park, and acks. */
async function consume(meow: Meow, events: readonly RecordedEvent[]): Promise<void> {
  const name = uniqueName('work')
  const hand: Delivery[] = []
  const deliveries = meow.subscription(name, { category: events[0]!.category, from: 'start' }).deliveries()
  const subscription = deliveries.subscribe((delivery) => hand.push(delivery))
  await until(() => hand.length === events.length, { what: 'all deliveries' })
  const b = hand.find(({ event }) => event.streamId === 'b')!
  await b.park(new Error('later'))
  hand[0]!.nack()
  const all = events.filter(({ streamId }) => streamId === 'a').length
  await until(() => hand.length === events.length + all, { what: 'what was nacked' })
  await Promise.all(hand.map((delivery) => delivery.ack()))
  await meow.waitFor(name, events.at(-1)!.position, { timeoutMs: 60_000 })
  subscription.unsubscribe()
  const owned = async () =>
    (await meow.subscriptions()).find((one) => one.name === name)!.partitions[0]!.owner
  await until(async () => (await owned()) === null, { what: 'the lease to be given back' })
}

/** Changes and deletes a subscription without an executor. */
export async function manage(meow: Meow, name: string): Promise<void> {
  await meow.resetSubscription(name, 'end')
  await meow.resetSubscription(name, { after: 0 })
  await meow.alterSubscription(name, { partitions: 3 })
  await meow.alterSubscription(name, { types: ['T', 'U'], category: ['work', 'play'] })
  await meow.pauseSubscription(name)
  await meow.resumeSubscription(name)
  const nothing = meow.discardParked(name, { streamId: 'none', reason: 'to see whether it may' })
  await rejects(nothing, ValidationError)
  await meow.deleteSubscription(name)
}
