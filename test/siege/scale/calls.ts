import { randomUUID } from 'node:crypto'
import { firstValueFrom } from 'rxjs'
import type { Filled } from './measure.ts'

/** A call of the library's, as it is timed. */
export interface Call {
  readonly what: string
  run(store: Filled): Promise<unknown>
  /** Its bound: a multiple of the time in a small store, or a time in ms that depends on the size. */
  readonly times?: number
  readonly ms?: (size: Filled['size']) => number
}

const TIMES = 5
const event = () => ({ type: 'Happened', data: { text: 'x'.repeat(80) } })
const fresh = () => ({ category: 'c1', streamId: randomUUID() })
const some = { category: 'c7', streamId: 's7' }
const counter = { category: 'c7', initial: 0, evolve: (n: number) => n + 1, decide: () => event() }
const middle = ({ size }: Filled) => Math.floor(size.events / 2)
const expect = (right: boolean, what: string) => {
  if (!right) throw new Error(what)
}

/** Calls whose time must not depend on the size of the store. */
const constant: Readonly<Record<string, Call['run']>> = {
  'append, to a new stream': ({ meow }) => meow.append(fresh(), event()),
  'append, to a stream that is there': ({ meow }) => meow.append({ category: 'c1', streamId: 's1' }, event()),
  'append, refused by a version': ({ meow }) =>
    meow.append(some, event(), { expectedVersion: 'no-stream' }).catch(() => {}),
  'appendAll, to 16 streams': ({ meow }) =>
    meow.appendAll(Array.from({ length: 16 }, () => ({ stream: fresh(), events: event() }))),
  'append and decide': ({ meow }) => meow.decide(counter, 's7', undefined),
  'load, a short stream': ({ meow }) => meow.load(some, { limit: 5 }),
  'load, the last event of the long stream': ({ meow }) =>
    meow.load({ category: 'long', streamId: 'long' }, { direction: 'backward', limit: 1 }),
  'state, at version 5': ({ meow }) => meow.state(counter, 's7', { toVersion: 5 }),
  'read, the first page of all': ({ meow }) => meow.read({}),
  'read, a page in the middle': (store) => store.meow.read({}, { after: middle(store) }),
  'read, the last page, backward': ({ meow }) => meow.read({}, { direction: 'backward' }),
  'read, 20 events of a category': ({ meow }) => meow.read({ category: 'c3' }, { limit: 20 }),
  'read, a category at its end': ({ meow }) =>
    meow.read({ category: 'c3' }, { direction: 'backward', limit: 20 }),
  'read, a stream': ({ meow }) => meow.read({ category: 'c7', streamId: 's7' }, { limit: 5 }),
  'events, the first event': ({ meow }) => firstValueFrom(meow.events({})),
  'events, the first event in the middle': (store) =>
    firstValueFrom(store.meow.events({}, { from: { after: middle(store) } })),
  'iterate, the first event of a category': async ({ meow }) => {
    for await (const _ of meow.iterate({ category: 'c3' })) return
  },
  'waitFor, what is passed': async ({ meow }) => meow.waitFor('s2', 1),
  'parked, 100 of many streams': async ({ meow }) =>
    expect((await meow.parked('s1')).length > 0, 'nothing is parked'),
  'parked, 100 of a long stream': async ({ meow }) =>
    expect((await meow.parked('s2')).length === 100, 'no 100 events are parked'),
  'stallers, with none': ({ meow }) => meow.stallers(),
  'a worker that begins and stops': async ({ meow, size }) => {
    const categories = [`c${4 % size.categories}`]
    const worker = meow.subscription('s4', { category: categories, partitions: 8 }).process(() => {})
    await worker.ready
    await worker.stop()
  },
  'subscription, made and deleted': async ({ meow }) => {
    const worker = meow.subscription('new', { category: 'c1', partitions: 8, from: 'end' }).process(() => {})
    await worker.ready
    await worker.stop()
    await meow.deleteSubscription('new')
  },
  alterSubscription: ({ meow }) => meow.alterSubscription('s3', { partitions: 8 }),
  'resetSubscription, to the end': ({ meow }) => meow.resetSubscription('s3', 'end'),
  'replayParked, one stream': ({ meow }) => meow.replayParked('s1', { streamId: 's0' }),
}

/** Calls that have to read much, with their bounds in ms. */
const more: Readonly<Record<string, Pick<Call, 'run'> & { ms: NonNullable<Call['ms']> }>> = {
  subscriptions: { run: ({ meow }) => meow.subscriptions(), ms: () => 1_000 },
  categories: { run: ({ meow }) => meow.categories(), ms: () => 1_000 },
  'read, a rare type of the whole store': {
    run: ({ meow }) => meow.read({ types: ['Rare'] }),
    ms: ({ events }) => 500 + events / 1_000,
  },
  'load, the long stream': {
    run: async ({ meow, size }) => {
      const events = await meow.load({ category: 'long', streamId: 'long' })
      expect(events.length === size.long, `${events.length} of ${size.long} events were loaded`)
    },
    ms: ({ long }) => 200 + long * 0.02,
  },
  'iterate, all of a tenth of the store': {
    run: async ({ meow, size }) => {
      let count = 0
      for await (const _ of meow.iterate({}, { live: false })) if (++count >= size.events / 10) return
    },
    ms: ({ events }) => 200 + events * 0.003,
  },
  'waitFor, in vain for 100 ms': {
    run: ({ meow }) => meow.waitFor('s0', 1e9, { timeoutMs: 100 }).catch(() => {}),
    ms: () => 1_000,
  },
}

export const calls: readonly Call[] = [
  ...Object.entries(constant).map(([what, run]) => ({ what, run, times: TIMES })),
  ...Object.entries(more).map(([what, { run, ms }]) => ({ what, run, ms })),
]

/** Timed once, because they change what they read. */
export const last: readonly Call[] = [
  { what: 'replayParked, all streams', run: ({ meow }) => meow.replayParked('s1'), ms: () => 2_000 },
  {
    what: 'eraseStream, a short one',
    run: ({ meow }) => meow.eraseStream({ category: 'c9', streamId: 's9' }),
    ms: () => 250,
  },
  {
    what: 'eraseStream, the long one',
    run: ({ meow }) => meow.eraseStream({ category: 'long', streamId: 'long' }),
    ms: ({ long }) => 500 + long * 0.04,
  },
]
