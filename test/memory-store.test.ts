// @direct
// What only a store in memory has: a clock that tests advance, no transactions, and no connection to other stores. All else:
// contract.test.ts.
import { firstValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, EventStore } from '../src/index.ts'
import { ClosedError, DeadlockError, defineProcessManager, ValidationError } from '../src/index.ts'
import { memoryStore } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'

const stream = { category: 'order', streamId: '42' }
const event = { type: 'T', data: { n: 1 } }
const counter: Decider<number, { data: { n: number } }, number> = {
  category: 'order',
  initial: 0,
  evolve: (sum, { data }) => sum + data.n,
  decide: (n) => ({ type: 'T', data: { n } }),
}

test('the clock is the test’s: it may stand still; changing a returned Date later does not change events', async () => {
  const at = new Date('2026-01-02T03:04:05.678Z')
  const store = memoryStore({ now: () => at })
  const id = crypto.randomUUID()
  await store.append(stream, { ...event, id })
  at.setTime(0)
  await store.append(stream, event)
  const [first, second] = await store.load(stream)
  assert.equal(first, {
    ...{ id, ...stream, version: 0, position: 1, ...event, metadata: {}, tags: [] },
    recordedAt: new Date('2026-01-02T03:04:05.678Z'),
  })
  assert.equal(second!.recordedAt, new Date(0))
  for (const wrong of ['today', Number.NaN, new Date(Number.NaN), undefined]) {
    const odd = memoryStore({ now: () => wrong as Date })
    assert.is((await rejects(odd.append(stream, event), ValidationError)).path, 'options.now')
    assert.equal(await odd.load(stream), [])
  }
})

test('there are no transactions: a client is refused, whatever it is given to', async () => {
  const store = memoryStore()
  const client = { query: async () => ({ rows: [] }) } as never
  const aggregate = { ...stream, collectPendingEvents: () => ({ events: [], expectedVersion: -1 }) }
  class Order {
    static readonly category = 'order'
    readonly category = Order.category
  }
  for (const call of [
    () => store.append(stream, event, { client }),
    () => store.append(stream, [], { client }),
    () => store.appendAll([{ stream, events: event }], { client }),
    () => store.load(stream, { client }),
    () => store.read({}, { client }),
    () => store.decide(counter, '42', 1, { client }),
    () => store.state(counter, '42', { client }),
    () => store.loadAggregate(Order, '42', { client }),
    () => store.saveAggregate(aggregate, { client }),
    () => store.schedule('k', { inMs: 0 }, { stream, events: event }, { client }),
    () => store.unschedule('k', { client }),
  ]) {
    const error = await rejects(call(), ValidationError)
    assert.is(error.path, 'options.client')
    assert.match(error.message, 'a store in memory has no transactions')
  }
  assert.equal(await store.read({}), { events: [], position: 0, horizon: 0 })
  await store.append(stream, event, { client: undefined } as object)
})

test('an observer gets an event after the append has returned to its caller, never during it', async () => {
  const store = memoryStore()
  const heard: number[] = []
  store.events({}).subscribe(({ position }) => heard.push(position))
  await firstValueFrom(store.watch(counter, '42'))
  const appending = store.append(stream, event)
  assert.equal(heard, [])
  await appending
  await firstValueFrom(store.events({}))
  assert.equal(heard, [1])
})

test('what an observer does to an event is not seen by others', async () => {
  const store = memoryStore()
  await store.append(stream, event)
  for (const _ of [1, 2]) {
    const seen = await firstValueFrom(store.events({}))
    assert.equal(seen.data, { n: 1 })
    seen.data.n = 2
  }
})

test('each store is one of its own; options are checked', async () => {
  const stores: EventStore[] = [memoryStore(), memoryStore({})]
  await stores[0]!.append(stream, event)
  assert.equal(await stores[1]!.load(stream), [])
  for (const [options, path] of [
    [{ now: new Date() }, 'options.now'],
    [{ clock: 1 }, 'options.clock'],
    [null, 'options'],
  ] as const) {
    const wrong = (error: unknown) => error instanceof ValidationError && error.path === path
    assert.throws(() => memoryStore(options as never), wrong)
  }
})

test('a stream longer than what is folded, or observed, at once', async () => {
  const store = memoryStore()
  const events = Array.from({ length: 20_001 }, () => event)
  const { position } = await store.append(stream, events)
  assert.equal(await store.state(counter, '42'), { state: 20_001, version: 20_000 })
  let last = 0
  for await (const event of store.iterate({}, { live: false })) assert.is(event.position, ++last)
  assert.is(last, position)
})

const DAY = 24 * 60 * 60 * 1_000
const start = new Date('2026-01-01T00:00:00Z')
const after = (ms: number) => new Date(start.getTime() + ms)

test('advance: timers, timers of process managers and attempts come in the order of their times, each at its time', async () => {
  const store = memoryStore({ now: () => start })
  const happened: [string, number][] = []
  const note = (what: string, at: Date) => happened.push([what, at.getTime() - start.getTime()])
  store.events({ category: 'rung' }).subscribe(({ type, recordedAt }) => note(type, recordedAt))
  store.runProcessManager(
    defineProcessManager({
      name: 'daily',
      category: 'order',
      correlate: ({ streamId }) => streamId,
      initial: 0,
      react: (n, input, { now, append, schedule }) => {
        if (input.type === '$timer') assert.equal(input.due, now)
        const rung = append({ category: 'rung', streamId: 'r' }, { type: `day ${n}`, data: {} })
        return { state: n + 1, effects: [rung, schedule('t', { inMs: DAY })] }
      },
    }),
  )
  store.subscription('failing', { category: 'order' }).process(
    (_, { attempt }) => {
      if (attempt < 4) throw new Error('not yet')
      return store.append({ category: 'rung', streamId: 'r' }, { type: 'attempt 4', data: {} })
    },
    { retry: { minDelayMs: 1_000, maxDelayMs: 10_000 } },
  )
  const rung = (type: string) => ({ stream: { category: 'rung', streamId: 'r' }, events: { type, data: {} } })
  await store.schedule('late', after(1.5 * DAY), rung('late'))
  await store.schedule('soon', { inMs: 3 }, rung('soon'))
  await store.append(stream, event)
  await store.advance(2 * DAY)
  assert.equal(happened, [
    ['day 0', 0],
    ['soon', 3],
    ['attempt 4', 15_000], // 1, 4 and 10 s
    ['day 1', DAY],
    ['late', 1.5 * DAY],
    ['day 2', 2 * DAY],
  ])
  assert.equal((await store.processInstances('daily'))[0]!.timers, [{ name: 't', due: after(3 * DAY) }])
  const { events } = await store.append(stream, event)
  assert.equal(events[0]!.recordedAt, after(2 * DAY))
})

test('advance: timers fire without a worker; calls come one after the other; 0 waits for what is under way', async () => {
  const store = memoryStore({ now: () => start })
  await store.schedule('a', { inMs: 15 }, { stream, events: event })
  const [first, second] = [store.advance(10), store.advance(10)]
  await first
  assert.equal(await store.load(stream), [])
  await second
  assert.equal((await store.load(stream))[0]!.recordedAt, after(15))
  const seen: number[] = []
  store.subscription('slow', {}).process(async ({ position }) => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    seen.push(position)
  })
  void store.append(stream, event)
  await store.advance(0)
  assert.equal(seen, [1, 2])
})

test('advance: refuses bad input, a handler, which it would wait for, and a closed store', async () => {
  const store = memoryStore()
  for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY, '1', undefined])
    assert.is((await rejects(store.advance(wrong as number), ValidationError)).path, 'ms')
  let error: unknown
  store.subscription('s', {}).process(async () => {
    error = await rejects(store.advance(1), DeadlockError)
  })
  await store.append(stream, event)
  await store.advance(0)
  assert.instance(error, DeadlockError)
  await store.close()
  await rejects(store.advance(1), ClosedError)
  for (const call of [() => store.runTimers(), () => store.subscription('s', {}).process(() => {})])
    assert.throws(call, (thrown: unknown) => thrown instanceof ClosedError)
})

test('an ended instance is forgotten after its time', async () => {
  const store = memoryStore({ now: () => start })
  store.runProcessManager(
    defineProcessManager({
      name: 'once',
      category: 'order',
      keepEndedMs: DAY,
      correlate: ({ streamId }) => streamId,
      initial: 0,
      react: (n, _, { end }) => ({ state: n + 1, effects: [end()] }),
    }),
  )
  const states = async () => (await store.processInstances('once')).map(({ state }) => state)
  for (const expected of [[1], [1]]) {
    await store.append(stream, event)
    await store.advance(0)
    assert.equal(await states(), expected)
  }
  await store.advance(DAY)
  assert.equal(await states(), [])
})

test('close ends the workers, and waits for their handlers no longer than it may', async () => {
  const store = memoryStore()
  let aborted: AbortSignal | undefined
  const stuck = store.subscription('stuck', {}).process((_, { signal }) => {
    aborted = signal
    return new Promise(() => {})
  })
  const timers = store.runTimers()
  await store.append(stream, event)
  while (!aborted) await new Promise((resolve) => setImmediate(resolve))
  await store.close({ timeoutMs: 0 })
  assert.ok(aborted.aborted)
  await Promise.all([stuck.done, timers.done])
})

test('workers can not be transactional', () => {
  const subscription = memoryStore().subscription('s', {})
  for (const start of [
    () => subscription.process(() => {}, { transactional: true }),
    () => subscription.processBatches(() => {}, { transactional: true }),
  ])
    assert.throws(
      start,
      (error: unknown) => error instanceof ValidationError && error.path === 'options.transactional',
    )
})

test.run()
