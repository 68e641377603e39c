// What a subscription selects: several categories, types, one stream. The checkpoint passes over the rest, and partitions
// cover all streams exactly once.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent, Selector, SubscriptionOptions } from '../src/index.ts'
import { SubscriptionMismatchError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { rejects } from './support/rejects.ts'
import { partitionOf } from './support/sql-executor.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const positions = (events: readonly RecordedEvent[]) => events.map(({ position }) => position)

let meow: Meow
const [orders, parcels, others] = [uniqueName('order'), uniqueName('parcel'), uniqueName('other')]
const all: RecordedEvent[] = []
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 100 })
  await listening(meow)
  for (const n of upTo(60)) {
    const category = [orders, parcels, others][n % 3]!
    const stream = { category, streamId: `${n % 4}` }
    all.push(...(await meow.append(stream, { type: ['A', 'B', 'C'][(n % 5) % 3]!, data: { n } })).events)
  }
})
test.after(closeAll)

async function info(name: string) {
  const found = (await meow.subscriptions()).find((subscription) => subscription.name === name)
  assert.ok(found, name)
  return found!
}

/** Handles all that there is, up to the end of the store. */
async function handled(name: string, options: SubscriptionOptions): Promise<RecordedEvent[]> {
  const seen: RecordedEvent[] = []
  const worker = meow.subscription(name, options).process((event) => seen.push(event))
  await worker.ready
  await meow.waitFor(name, all.at(-1)!.position, { timeoutMs: 10_000 })
  await worker.stop()
  return seen
}

const selectors: [what: string, selector: Selector<string>, wanted: (event: RecordedEvent) => boolean][] = [
  ['everything', {}, () => true],
  ['a category', { category: orders }, ({ category }) => category === orders],
  ['several categories', { category: [parcels, orders] }, ({ category }) => category !== others],
  ['a category that is not there', { category: uniqueName('none') }, () => false],
  ['types of every category', { types: ['A', 'C'] }, ({ type }) => type !== 'B'],
  [
    'types of several categories',
    { category: [orders, others], types: ['B'] },
    ({ category, type }) => category !== parcels && type === 'B',
  ],
  ['a type that is not there', { category: orders, types: ['Z'] }, () => false],
  [
    'one stream',
    { category: orders, streamId: '2' },
    ({ category, streamId }) => category === orders && streamId === '2',
  ],
  [
    'types of one stream',
    { category: orders, streamId: '2', types: ['A', 'B'] },
    ({ category, streamId, type }) => category === orders && streamId === '2' && type !== 'C',
  ],
  ['a stream that is not there', { category: orders, streamId: 'nobody' }, () => false],
]

for (const [what, selector, wanted] of selectors) {
  test(`${what}: all of it, in order, and nothing else; the checkpoint comes to the end of the store`, async () => {
    for (const partitions of [1, 3]) {
      const name = uniqueName('selector')
      const seen = await handled(name, { ...selector, partitions, leaseMs: 60_000 })
      const expected = all.filter(wanted)
      if (partitions === 1) assert.equal(seen, expected)
      assert.equal(positions(seen).sort(byNumber), positions(expected))
      for (const { category, streamId } of expected) {
        const own = (events: RecordedEvent[]) =>
          positions(events.filter((event) => event.category === category && event.streamId === streamId))
        assert.equal(own(seen), own(expected), 'each stream in order')
      }
      const { selector: told, position, lag, parked } = await info(name)
      assert.equal(told, sorted(selector))
      assert.equal([lag, parked], [0, 0])
      assert.ok(expected.length === 0 || position >= expected.at(-1)!.position)
    }
  })
}

test('without a single ack the checkpoint passes events that are not selected, far above the last selected one', async () => {
  const [category, name] = [uniqueName('passing'), uniqueName('passing')]
  const append = async (type: string, count = 1) =>
    (await meow.append({ category, streamId: type }, Array(count).fill({ type, data: {} }))).events
  await append('Unwanted', 1_500)
  const subscription = meow.subscription(name, { category, types: ['Wanted'], leaseMs: 60_000 })
  const seen = collect(subscription.deliveries())
  const [last] = (await append('Unwanted', 1_500)).slice(-1)
  await until(
    async () => (await meow.subscriptions()).some((it) => it.name === name && it.position >= last!.position),
    { what: 'the checkpoint to pass' },
  )
  assert.is(seen.all.length, 0)
  const [wanted] = await append('Wanted')
  const [after] = (await append('Unwanted', 100)).slice(-1)
  await seen.has(1)
  await until(() => current(subscription.status$).horizon >= after!.position, { what: 'the rest to be read' })
  const before = await info(name)
  assert.ok(before.position < wanted!.position, 'but not one that is not acked')
  assert.is(before.lag, 1)
  await seen.all[0]!.ack()
  await until(async () => (await info(name)).position >= after!.position, { what: 'the rest to be passed' })
  assert.is((await info(name)).lag, 0)
  seen.subscription.unsubscribe()
})

test('the checkpoint of a category comes to the end of that category, while others are written', async () => {
  const [category, name] = [uniqueName('quiet'), uniqueName('quiet')]
  const { position: last } = await meow.append({ category, streamId: '1' }, { type: 'A', data: {} })
  const seen: RecordedEvent[] = []
  const worker = meow.subscription(name, { category }).process((event) => seen.push(event))
  await worker.ready
  await meow.append({ category: others, streamId: 'more' }, { type: 'A', data: {} })
  await meow.waitFor(name, last)
  const [more] = (await meow.append({ category, streamId: '1' }, { type: 'A', data: {} })).events
  await meow.waitFor(name, more!.position)
  assert.is(seen.length, 2)
  assert.is((await info(name)).lag, 0)
  await worker.stop()
  all.push(...(await meow.read({}, { after: all.at(-1)!.position, limit: 10_000 })).events)
})

test('another selector or partition count under an existing name is refused, in other words the same is not', async () => {
  const name = uniqueName('mismatch')
  const options = { category: [orders, parcels], types: ['A', 'B'], partitions: 2 }
  await handled(name, options)
  const same = [
    { ...options, category: [parcels, orders, orders] },
    { ...options, types: ['B', 'A', 'B'] },
    { ...options, from: 'end' as const, maxInFlight: 7, leaseMs: 5_000 },
  ]
  for (const it of same) {
    const worker = meow.subscription(name, it).process(() => assert.unreachable('all is handled'))
    await worker.ready
    await worker.stop()
    await worker.done
  }
  const wrong = [
    { ...options, category: orders },
    { ...options, category: [orders, parcels, others] },
    { types: options.types, partitions: 2 },
    { ...options, types: ['A'] },
    { category: options.category, partitions: 2 },
    { ...options, partitions: 1 },
    { ...options, partitions: 3 },
    { category: orders, types: options.types, partitions: 2, streamId: '1' },
    {},
  ]
  const before = await info(name)
  for (const it of wrong) {
    const worker = meow.subscription(name, it).process(() => assert.unreachable('refused'))
    for (const promise of [worker.ready, worker.done]) {
      const error = await rejects(promise, SubscriptionMismatchError)
      assert.equal([error.subscription, error.code], [name, 'ERR_SUBSCRIPTION_MISMATCH'])
      assert.match(error.message, parcels)
    }
    const seen = collect(meow.subscription(name, it).deliveries())
    await until(() => seen.error, { what: 'the error' })
    assert.instance(seen.error, SubscriptionMismatchError)
  }
  assert.equal(await info(name), before, 'nothing is changed by that')
})

test('partitions cover all streams, each exactly one, by hash', async () => {
  const [category, name] = [uniqueName('spread'), uniqueName('spread')]
  const streams = upTo(100).map((n) => ({ category, streamId: `stream ${n} é😀` }))
  for (const stream of streams) await meow.append(stream, Array(3).fill({ type: 'A', data: {} }))
  const other = await openStore({ pollIntervalMs: 100 })
  const partitions = 8
  const subscribe = (store: Meow) => store.subscription(name, { category, partitions, maxInFlight: 1_000 })
  const here = subscribe(meow)
  const there = subscribe(other)
  const seen = new Map<string, number[]>()
  const versions = new Map<string, number[]>()
  const each = ({ event, partition, ack }: import('../src/index.ts').Delivery) => {
    seen.set(event.streamId, [...(seen.get(event.streamId) ?? []), partition])
    versions.set(event.streamId, [...(versions.get(event.streamId) ?? []), event.version])
    void ack()
  }
  const first = collect(here.deliveries(), each)
  await first.has(300)
  const second = collect(there.deliveries(), each)
  await until(
    () => current(here.status$).partitions.length === 4 && current(there.status$).partitions.length === 4,
    { what: 'fair shares' },
  )
  const owned = [...current(here.status$).partitions, ...current(there.status$).partitions]
  assert.equal(owned.sort(byNumber), upTo(partitions))
  for (const stream of streams) await meow.append(stream, Array(3).fill({ type: 'A', data: {} }))
  await until(() => first.all.length + second.all.length >= 600, { what: 'all' })
  assert.ok(second.all.length > 0)
  const used = new Set<number>()
  for (const stream of streams) {
    const partition = await partitionOf(stream, partitions)
    used.add(partition)
    assert.equal(seen.get(stream.streamId), Array(6).fill(partition))
    assert.equal(versions.get(stream.streamId), upTo(6))
  }
  assert.is(used.size, partitions)
  const last = (await meow.read({ category }, { limit: 1_000 })).events.at(-1)!
  await meow.waitFor(name, last.position)
  await until(async () => (await info(name)).lag === 0, { what: 'the checkpoints' })
  first.subscription.unsubscribe()
  second.subscription.unsubscribe()
  await other.close()
})

function sorted({ category, types, streamId }: Selector<string>): Selector {
  const sort = (list: readonly string[]) => [...list].sort()
  return {
    ...(category ? { category: typeof category === 'string' ? category : sort(category) } : {}),
    ...(types ? { types: sort(types) } : {}),
    ...(streamId ? { streamId } : {}),
  } as Selector
}

function byNumber(a: number, b: number): number {
  return a - b
}

test.run()
