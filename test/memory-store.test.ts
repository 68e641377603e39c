// @direct
// What is a memory store's own: its clock, no transactions, each store apart. All else: contract.test.ts.
import { firstValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, EventStore } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
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

test('the clock is yours: it may stand still, and is not yours to turn back afterwards', async () => {
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
  ]) {
    const error = await rejects(call(), ValidationError)
    assert.is(error.path, 'options.client')
    assert.match(error.message, 'a store in memory has no transactions')
  }
  assert.equal(await store.read({}), { events: [], position: 0, horizon: 0 })
  await store.append(stream, event, { client: undefined } as object)
})

test('an observer hears of an event after the append has returned to its caller, never inside of it', async () => {
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

test.run()
