/**
 * A process, run with --expose-gc, in which observers and waits come and go by the hundred, on a store to which nothing is
 * appended. Takes `{ root, schema, name, cycles }` as JSON, cycles by the name of the way; prints for each way how much the
 * heap has grown after this many cycles, and after three times as many: `{ way, once, thrice, listeners }`, in bytes, with the
 * listeners that are left on the caller's signal.
 */
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { Observable } from 'rxjs'
import { filter, firstValueFrom } from 'rxjs'
import { systemClock } from '../../src/core/clock.ts'
import type * as Api from '../../src/index.ts'
import type * as Lines from '../../src/notify/listen-connection.ts'
import type * as Testing from '../../src/testing/index.ts'
import { theWay } from './ways.ts'

const { root, schema, name, cycles } = JSON.parse(process.argv[2]!)
const { connect, handle }: typeof Api = await import(`${root}/src/index.ts`)
const { memoryStore }: typeof Testing = await import(`${root}/src/testing/index.ts`)
const { ListenConnection }: typeof Lines = await import(`${root}/src/notify/listen-connection.ts`)
const meow = await connect(
  theWay({ connectionString: process.env.DATABASE_URL!, schema, pollIntervalMs: 3_600_000 }),
)
const memory = memoryStore()
const category = name
const { signal } = new AbortController() // of a caller that never aborts it
const decider: Api.Decider<never, unknown, null> = {
  category,
  initial: null,
  evolve: () => null,
  decide: () => [],
}
const { position } = await meow.append({ category, streamId: '1' }, { type: 'Happened', data: {} })
const after = { after: position }
const durable = meow.subscription(name, { category, leaseMs: 60_000 })
const until = (wanted: string) =>
  firstValueFrom(durable.status$.pipe(filter(({ state }) => state === wanted)))

/** Observes for a while without events. */
async function observe(observable: Observable<unknown>): Promise<void> {
  const subscription = observable.subscribe()
  await turn()
  await turn()
  subscription.unsubscribe()
}

/** Pulled once, in vain. */
async function pull(iterable: AsyncIterable<unknown>): Promise<void> {
  const iterator = iterable[Symbol.asyncIterator]()
  const pulled = iterator.next()
  await turn()
  await iterator.return!()
  await pulled
}

/** An executor of its own, until it has found that there is nothing to do. */
async function execute(deliveries: Observable<unknown>): Promise<void> {
  const subscription = deliveries.subscribe()
  await until('live')
  subscription.unsubscribe()
  await until('stopped')
}

/** An executor that begins while the one before it has not ended yet, as after an operator such as `retry()`. */
let before = { unsubscribe() {} }
async function follow(): Promise<void> {
  const subscription = meow.subscription(`${name}_following`, { category, leaseMs: 60_000 })
  const live = firstValueFrom(subscription.status$.pipe(filter(({ state }) => state === 'live')))
  before.unsubscribe()
  before = subscription.deliveries().subscribe()
  await live
}

async function work(options: Api.ProcessOptions): Promise<void> {
  const worker = durable.process(() => {}, options)
  await until('live')
  await worker.stop()
}

/** A LISTEN connection that is probed once `probe` is called, which calls `probed`. */
let probe = () => {}
let probed = () => {}
const sleep = () =>
  new Promise<void>((resolve) => {
    probe = resolve
    probed()
  })
new ListenConnection({ ...systemClock, sleep }, 30_000, ({ notified }) => {
  const done = async () => {}
  const notify = async (channel: string) => {
    await turn()
    notified(channel, '')
  }
  return { connect: done, listenTo: done, unlisten: done, close: done, notify }
}).join({ schema, onNotification() {}, onState() {} })

/** Each is begun and given up. */
const ways: Record<string, () => Promise<unknown>> = {
  'events()': () => observe(meow.events({ category }, { from: after })),
  'events() from the end': () => observe(meow.events({ category }, { from: 'end' })),
  'events() with a signal': () => observe(meow.events({ category }, { from: after, signal })),
  'events() of a channel of their own': () => observe(meow.events({ category: 'other' }, { from: after })),
  'iterate()': () => pull(meow.iterate({ category }, { from: after, signal })),
  'iterators that nobody pulls': async () => meow.iterate({ category }, { signal })[Symbol.asyncIterator](),
  'watch()': async () => {
    let watching: { unsubscribe(): void } | undefined
    await new Promise<unknown>((resolve) => {
      watching = meow.watch(decider, '2').subscribe(resolve)
    })
    await turn()
    watching!.unsubscribe()
  },
  'waitFor() with a signal': async () => {
    const stop = new AbortController()
    const waiting = meow.waitFor(name, position + 1_000, { signal: stop.signal }).catch(() => {})
    await turn()
    stop.abort()
    await waiting
  },
  'waitFor() with a time-out': () =>
    meow.waitFor(name, position + 1_000, { timeoutMs: 1, signal }).catch(() => {}),
  'both status$': async () => {
    await observe(meow.status$)
    await observe(durable.status$)
  },
  'deliveries()': () => execute(durable.deliveries()),
  'deliveries() that follow one another': follow,
  'handle()': () => execute(durable.deliveries().pipe(handle(() => {}))),
  'process()': () => work({ concurrency: 4 }),
  'process() with transactions': () => work({ transactional: true }),
  'probes of a LISTEN connection': () =>
    new Promise<void>((resolve) => {
      probed = resolve
      probe()
    }),
  'a store in memory': async () => {
    await observe(memory.events({}))
    await pull(memory.iterate({}, { signal }))
    await observe(memory.watch(decider, '2'))
  },
}

async function heap(): Promise<number> {
  for (let i = 0; i < 10; i++) {
    global.gc!()
    await turn()
  }
  return process.memoryUsage().heapUsed
}

async function run(way: string, times: number): Promise<number> {
  for (let i = 0; i < times; i++) await ways[way]!()
  return heap()
}

// One observer stays, so that what they share does not end with each of the others.
meow.events({ category }, { from: after }).subscribe()
meow.events({ category, streamId: '2' }, { from: after }).subscribe()
memory.events({}).subscribe()
await work({})
for (const [way, count] of Object.entries<number>(cycles)) {
  await run(way, Math.ceil(count / 3)) // until all code is compiled
  const before = await heap()
  const once = (await run(way, count)) - before
  const thrice = (await run(way, 2 * count)) - before
  console.log(JSON.stringify({ way, once, thrice, listeners: getEventListeners(signal, 'abort').length }))
}
process.exit()
