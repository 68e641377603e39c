// @direct
// What plain SQL has inserted or restored, at the edges of every column's type, is read in every way as it was written.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { Delivery, Meow, RecordedEvent } from '../src/index.ts'
import { defineCategory, handle } from '../src/index.ts'
import type { Message } from '../src/relay/index.ts'
import { relay } from '../src/relay/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { collect } from './support/collect.ts'
import type { Raw } from './support/raw-rows.ts'
import type { Seen } from './support/raw-store.ts'
import { expected, RawStore, same } from './support/raw-store.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { look } from './support/studio.ts'
import { until } from './support/until.ts'

const waitingFor = (what: string) => ({ what, timeoutMs: 120_000 })
const raw = new RawStore(uniqueName('raw'))
let [meow, sql, rows]: [Meow, pg.Client, Raw[]] = [undefined!, undefined!, []]
test.before(async () => {
  meow = await openStore({ schema: raw.schema })
  sql = await pgClient()
  rows = await raw.fill(sql)
})
test.after(closeAll)

/** Reads the store in every way there is: each has to give these events, in order. */
async function everyWay(wanted: readonly Seen[], categories: string[]): Promise<void> {
  const selector = { category: categories }
  const count = wanted.length
  const live = collect(meow.events(selector))
  await live.has(count, 120_000)
  live.subscription.unsubscribe()
  same(live.all, wanted, 'events')
  const pulled: RecordedEvent[] = []
  for await (const event of meow.iterate({}, { live: false })) pulled.push(event)
  same(pulled, wanted, 'iterate')
  same((await meow.read(selector, { limit: 10_000 })).events, wanted, 'read')
  same(
    (await meow.read({}, { limit: 10_000, direction: 'backward' })).events,
    wanted.toReversed(),
    'read backward',
  )
  await sql.query('begin')
  same((await meow.read({}, { limit: 10_000, client: sql })).events, wanted, 'read with a client')
  await sql.query('commit')

  const streams = [
    ...new Map(
      pulled.map(({ category, streamId }) => [`${category}/${streamId}`, { category, streamId }]),
    ).values(),
  ]
  const loaded: RecordedEvent[] = []
  for (const stream of streams) {
    const forward = await meow.load(stream)
    const backward = await meow.load(stream, { direction: 'backward' })
    assert.equal(
      forward.map(({ id }) => id),
      backward.map(({ id }) => id).toReversed(),
    )
    loaded.push(...forward)
  }
  same(loaded, wanted, 'load', true)

  // Deciders and aggregates fold the streams.
  for (const { category, streamId } of streams) {
    const own = wanted.filter(({ stream }) => stream.startsWith(`${category}/${streamId}@`))
    const decider = {
      category,
      initial: [] as string[],
      evolve: (ids: string[], { id }: RecordedEvent) => [...ids, id],
      decide: () => [],
    }
    assert.is((await meow.state(decider, streamId)).state.length, own.length)
    const watched = collect(meow.watch(decider, streamId))
    await watched.has(1, 120_000)
    assert.is(watched.all[0]!.version, own.length - 1)
    watched.subscription.unsubscribe()
    assert.equal(
      (await meow.decide(decider, streamId, undefined)).state,
      own.map(({ id }) => id),
    )
  }
  class Aggregate {
    static readonly category = 'raw'
    readonly recorded: RecordedEvent[]
    constructor(recorded: RecordedEvent[]) {
      this.recorded = recorded
    }
  }
  const own = wanted.filter(({ stream }) => stream.startsWith('raw/s@'))
  same(
    ((await meow.loadAggregate(Aggregate as never, 's')) as unknown as Aggregate).recorded,
    own,
    'aggregate',
  )

  // With a zod category each event is known or unknown, and it is upcast at any depth of its data.
  const schemas = Object.fromEntries(
    [...new Set(wanted.map(({ type }) => type))]
      .filter((type) => !type.startsWith('$') && !['name', 'stream', 'then', '__proto__'].includes(type))
      .map((type) => [type, { schema: z.any(), version: 2, upcast: { 1: (old: unknown) => old } }]),
  )
  const Raw = defineCategory('raw', schemas)
  const typed = (await meow.read({ category: Raw }, { limit: 10_000 })).events as RecordedEvent[]
  same(
    typed,
    wanted.filter(({ stream }) => stream.startsWith('raw/')),
    'a zod category',
  )
  const studio = await startStudio(meow)
  const page = await look(studio)
  const recent = wanted.slice(-100).map(({ stream }) => stream)
  await until(() => page.events.length >= recent.length, waitingFor('the tail'))
  assert.equal(
    page.events.map(({ category, streamId, version }) => `${category}/${streamId}@${version}`),
    recent,
  )
  page.leave()
  await studio.close()
  await subscriptionsOf(selector, wanted)
}

/** Handlers get these events, and what they append is never refused because of the event that they handle. */
async function subscriptionsOf(selector: { category: string[] }, wanted: readonly Seen[]): Promise<void> {
  const effects = { category: uniqueName('effects'), streamId: 'e' }
  const ways: [
    string,
    (name: string, handled: (event: RecordedEvent) => Promise<unknown>) => { stop(): unknown },
  ][] = [
    [
      'process',
      (name, handled) =>
        meow.subscription(name, selector).process(handled, { concurrency: 4, retry: { maxAttempts: 1 } }),
    ],
    [
      'transactional',
      (name, handled) =>
        meow
          .subscription(name, selector)
          .process(handled, { transactional: true, retry: { maxAttempts: 1 } }),
    ],
    [
      'deliveries',
      (name, handled) => {
        const consuming = meow
          .subscription(name, selector)
          .deliveries()
          .subscribe({
            next: (delivery: Delivery<RecordedEvent>) => {
              handled(delivery.event).then(
                () => delivery.ack(),
                (error) => delivery.park(error),
              )
            },
          })
        return { stop: () => consuming.unsubscribe() }
      },
    ],
    [
      'handle',
      (name, handled) => {
        const consuming = meow
          .subscription(name, selector)
          .deliveries()
          .pipe(handle(handled))
          .subscribe({ error: () => {} })
        return { stop: () => consuming.unsubscribe() }
      },
    ],
  ]
  for (const [what, start] of ways) {
    const name = uniqueName(what)
    const handled: RecordedEvent[] = []
    const running = start(name, async (event) => {
      if (what === 'process' || what === 'handle')
        await meow.append(effects, { type: 'Effect', data: event.id })
      handled.push(event)
    })
    const info = async () => (await meow.subscriptions()).find((one) => one.name === name)
    const done = async () => {
      const { lag, parked } = (await info()) ?? {}
      if (parked) assert.is(parked, 0, `${what}: ${(await meow.parked(name))[0]?.error}`)
      return lag === 0
    }
    await until(done, waitingFor(`${what} to handle all`))
    await running.stop()
    same(handled, wanted, what, true)
  }
  const made = await meow.load(effects)
  assert.is(made.length, 2 * wanted.length)
  for (const { data, metadata } of made) assert.is(metadata.causationId, data)
  await parking(selector, wanted)
  await relaying(selector, wanted)
}

/** Every event fails once, is parked, and comes again in a replay. */
async function parking(selector: { category: string[] }, wanted: readonly Seen[]): Promise<void> {
  const name = uniqueName('parking')
  const handled: RecordedEvent[] = []
  let isGood = false
  const worker = meow.subscription(name, selector).process(
    (event) => {
      // The error of a handler may contain anything that the event contains.
      if (!isGood) throw new Error(`${event.type} ${String(event.metadata.correlationId)} \u0000 \ud800`)
      handled.push(event)
    },
    { retry: { maxAttempts: 1 } },
  )
  const parked = async () => (await meow.subscriptions()).find((one) => one.name === name)?.parked
  await until(async () => (await parked()) === wanted.length, waitingFor('all to be parked'))
  same(
    (await meow.parked(name, { limit: 10_000 })).map(({ event }) => event),
    wanted,
    'parked',
    true,
  )
  isGood = true
  await meow.replayParked(name)
  await until(() => handled.length === wanted.length, waitingFor('the replay'))
  await worker.stop()
  same(handled, wanted, 'replayed', true)
}

/** A relay publishes these events. */
async function relaying(selector: { category: string[] }, wanted: readonly Seen[]): Promise<void> {
  const name = uniqueName('relay')
  const messages: Message[] = []
  const broker = {
    open: async () => {},
    close: async () => {},
    publish: async (message: Message) => void messages.push(message),
  }
  const publishing = relay(meow, name, { ...selector, broker })
  const done = async () => {
    const info = (await meow.subscriptions()).find((one) => one.name === name)
    if (info?.parked) assert.is(info.parked, 0, (await meow.parked(name))[0]!.error!)
    return info?.lag === 0
  }
  await until(done, waitingFor('the relay'))
  await publishing.stop()
  const published = messages.map(({ body, headers }) => {
    for (const value of Object.values(headers)) assert.match(value, /^([!-~]([ -~]*[!-~])?)?$/)
    return {
      id: '',
      position: 0,
      category: decodeURIComponent(headers['Meowmx-Category']!),
      streamId: decodeURIComponent(headers['Meowmx-Stream']!),
      version: Number(headers['Meowmx-Version']),
      type: decodeURIComponent(headers['Meowmx-Type']!),
      data: JSON.parse(body),
      metadata: JSON.parse(headers['Meowmx-Metadata'] ?? '{}'),
      tags: [],
      recordedAt: new Date(headers['Meowmx-Recorded-At']!),
    }
  })
  same(
    published.map((one, i) => ({ ...one, id: messages[i]!.id })),
    wanted,
    'relay',
    true,
  )
}

let restored: Seen[] = []
test('an owner who restores a store may insert more', async () => {
  restored = await raw.restore(sql)
  assert.is(restored.length, 10)
})

test('all of it is read in every way as it was written', async () => {
  assert.ok(rows.length >= 80, `${rows.length} rows`)
  await everyWay([...rows.map(expected), ...restored], [...new Set(rows.map(({ category }) => category))])
})

test.run()
