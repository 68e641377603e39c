import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../../src/index.ts'
import {
  SubscriptionMismatchError,
  SubscriptionNotFoundError,
  TimeoutError,
  ValidationError,
} from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import { until } from '../support/until.ts'
import { upTo } from '../support/up-to.ts'
import type { Contract } from './contract.ts'
import { pass } from './contract.ts'

const quick = { minDelayMs: 0, maxDelayMs: 0 }

/** Subscriptions: order, attempts, parking, checkpoints. */
export const consuming: Contract = (test, store) => {
  const given = () => {
    const category = uniqueName('consumed')
    const append = async (streamId: string, ...numbers: number[]) =>
      (
        await store().append(
          { category, streamId },
          numbers.map((n) => ({ type: 'T', data: { n } })),
        )
      ).position
    return { category, name: uniqueName('sub'), append }
  }
  const info = async (name: string) => (await store().subscriptions({ names: [name] }))[0]!

  test('subscription: each event once, in order; a second worker goes on at the checkpoint', async () => {
    const { category, name, append } = given()
    const seen: number[] = []
    const subscription = store().subscription(name, { category })
    const handle = (event: RecordedEvent) => void seen.push(event.data.n)
    await append('a', 1, 2)
    const worker = subscription.process(handle)
    await worker.ready
    await store().waitFor(name, await append('b', 3))
    assert.equal(seen, [1, 2, 3])
    await worker.stop()
    await worker.done
    const last = await append('a', 4)
    assert.equal(seen, [1, 2, 3])
    assert.equal([(await info(name)).status, (await info(name)).lag], ['stopped', 1])
    await using _again = subscription.process(handle)
    await store().waitFor(name, last)
    assert.equal(seen, [1, 2, 3, 4])
    assert.is((await info(name)).status, 'running')
  })

  test('subscription: a new one begins where `from` says, and has only what it selects', async () => {
    const { category, name, append } = given()
    const first = await append('a', 1)
    await append('a', 2)
    const seen: Record<string, number[]> = { end: [], after: [], types: [] }
    const start = (key: string, options: object) =>
      store()
        .subscription(`${name}-${key}`, { category, ...options })
        .process((event: RecordedEvent) => void seen[key]!.push(event.data.n))
    await using end = start('end', { from: 'end' })
    await using after = start('after', { from: { after: first } })
    await using types = start('types', { types: ['U'] })
    await Promise.all([end, after, types].map(({ ready }) => ready))
    const last = await append('b', 3)
    await Promise.all(Object.keys(seen).map((key) => store().waitFor(`${name}-${key}`, last)))
    assert.equal(seen, { end: [3], after: [2, 3], types: [] })
  })

  test('subscription: a failed event is tried again, before the later ones of its stream', async () => {
    const { category, name, append } = given()
    const seen: [number, number][] = []
    await append('a', 1, 2)
    await append('b', 3)
    await using _worker = store()
      .subscription(name, { category })
      .process(
        (event, { attempt }) => {
          seen.push([event.data.n, attempt])
          if (event.data.n === 1 && attempt < 3) throw new Error('not yet')
        },
        { retry: { maxAttempts: 5, minDelayMs: 20, maxDelayMs: 20 } },
      )
    await until(
      async () => {
        await pass(store(), 100)
        return seen.length === 5
      },
      { what: 'all events' },
    )
    const ofA = seen.filter(([n]) => n !== 3)
    assert.equal(ofA, [
      [1, 1],
      [1, 2],
      [1, 3],
      [2, 1],
    ])
  })

  test('subscription: after its last attempt a stream is parked, and others go on; a replay delivers it in order', async () => {
    const { category, name, append } = given()
    const seen: number[] = []
    let broken = true
    await append('a', 1, 2)
    await using _worker = store()
      .subscription(name, { category })
      .process(
        (event: RecordedEvent) => {
          if (broken && event.data.n === 1) throw new Error('broken on purpose')
          seen.push(event.data.n)
        },
        { retry: { ...quick, maxAttempts: 2 }, outage: false },
      )
    await store().waitFor(name, await append('b', 3))
    await store().waitFor(name, await append('a', 4))
    assert.equal(seen, [3])
    const parked = await store().parked(name)
    assert.equal(
      parked.map(({ event, attempts }) => [event.data.n, attempts]),
      [
        [1, 2],
        [2, 0],
        [4, 0],
      ],
    )
    assert.match(parked[0]!.error!, 'broken on purpose')
    assert.is(parked[1]!.error, null)
    assert.equal([(await info(name)).parked, (await info(name)).parkedStreams], [3, 1])
    assert.is(await store().replayParked(name, { streamId: 'b' }), 0)
    broken = false
    assert.is(await store().replayParked(name), 3)
    await until(() => seen.length === 4, { what: 'the replay' })
    await store().waitFor(name, await append('a', 5))
    await until(() => seen.length === 5, { what: 'the newer event' })
    assert.equal(seen, [3, 1, 2, 4, 5])
    await until(async () => (await store().parked(name)).length === 0, { what: 'nothing parked' })
  })

  test("subscription: with onExhausted 'stop' the worker ends with the error, and the event comes again", async () => {
    const { category, name, append } = given()
    const subscription = store().subscription(name, { category })
    const last = await append('a', 1)
    const failing = subscription.process(() => Promise.reject(new Error('on purpose')), {
      retry: { ...quick, maxAttempts: 2 },
      onExhausted: 'stop',
      outage: false,
    })
    assert.match((await rejects(failing.done, Error)).message, 'on purpose')
    const attempts: number[] = []
    await using _next = subscription.process((_, { attempt }) => void attempts.push(attempt))
    await store().waitFor(name, last)
    assert.equal(attempts, [1])
  })

  test('subscription: with concurrency, streams run side by side and each one in order', async () => {
    const { category, name, append } = given()
    for (const n of upTo(4)) for (const stream of ['a', 'b', 'c']) await append(stream, n)
    const seen: Record<string, number[]> = { a: [], b: [], c: [] }
    let now = 0
    let most = 0
    let all = 0
    await using _worker = store()
      .subscription(name, { category })
      .process(
        async ({ streamId, data }: RecordedEvent) => {
          most = Math.max(most, ++now)
          for (const _ of upTo(3)) await Promise.resolve()
          now--
          seen[streamId]!.push(data.n)
          all++
        },
        { concurrency: 2 },
      )
    await until(() => all === 12, { what: 'all events' })
    assert.equal(seen, { a: [...upTo(4)], b: [...upTo(4)], c: [...upTo(4)] })
    assert.is(most, 2)
  })

  test('subscription: a batch that fails is split, and only the stream of the event that fails is parked', async () => {
    const { category, name, append } = given()
    for (const n of upTo(6)) await append(`s${n}`, n)
    await append('s3', 10)
    const handled = new Set<number>()
    await using _worker = store()
      .subscription(name, { category })
      .processBatches(
        (events: RecordedEvent[]) => {
          if (events.some(({ data }) => data.n === 3)) throw new Error('3')
          for (const { data } of events) handled.add(data.n)
        },
        { retry: { ...quick, maxAttempts: 2 }, outage: false },
      )
    const last = await append('s5', 11)
    await store().waitFor(name, last)
    assert.equal(
      (await store().parked(name)).map(({ event }) => event.data.n),
      [3, 10],
    )
    const others = [...upTo(6), 11].filter((n) => n !== 3)
    assert.equal(
      [...handled].sort((a, b) => a - b),
      others,
    )
  })

  test('subscription: what a handler appends is caused by its event', async () => {
    const { category, name, append } = given()
    const out = { category: `${category}-out`, streamId: 'o' }
    await append('a', 1)
    await using _worker = store()
      .subscription(name, { category })
      .process((event) => store().append(out, { type: 'Done', data: { of: event.id } }))
    await until(async () => (await store().load(out)).length === 1, { what: 'the event' })
    const [event] = await store().load(out)
    assert.is(event!.metadata.causationId, event!.data.of)
  })

  test('subscription: a name has one selector; an unknown one is an error; options are checked', async () => {
    const { category, name, append } = given()
    const position = await append('a', 1)
    await rejects(store().waitFor(name, position), SubscriptionNotFoundError)
    await rejects(store().parked(name), SubscriptionNotFoundError)
    await rejects(store().replayParked(name), SubscriptionNotFoundError)
    await using worker = store()
      .subscription(name, { category })
      .process(() => {})
    await worker.ready
    const other = store()
      .subscription(name, { category, types: ['T'] })
      .process(() => {})
    await rejects(other.ready, SubscriptionMismatchError)
    await rejects(other.done, SubscriptionMismatchError)
    await rejects(store().waitFor(name, position + 1_000_000, { timeoutMs: 20 }), TimeoutError)
    for (const [call, path] of [
      [() => store().subscription('', {}), 'name'],
      [() => store().subscription('x', { partitions: 0 }), 'options.partitions'],
      [
        () =>
          store()
            .subscription('x', {})
            .process(7 as never),
        'handler',
      ],
      [
        () =>
          store()
            .subscription('x', {})
            .process(() => {}, { concurrency: 0 }),
        'options.concurrency',
      ],
    ] as const)
      assert.throws(call, (error: unknown) => error instanceof ValidationError && error.path === path)
  })
}
