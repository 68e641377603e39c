// A poison event and the later events of its stream are set aside, in order; the others flow; replayParked() puts them back.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type {
  Delivery,
  Handler,
  Meow,
  ProcessOptions,
  RecordedEvent,
  SubscriptionOptions,
} from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { collect } from './support/collect.ts'
import { seeded } from './support/random.ts'
import { current, listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const named = ({ streamId, version }: RecordedEvent) => `${streamId}${version}`
const once = { maxAttempts: 1 }

const pools: pg.Pool[] = []
let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 200 })
  await listening(meow)
})
test.after(async () => {
  await closeAll()
  await Promise.all(pools.map((pool) => pool.end()))
})

/** A subscription to streams of a category of its own, with a handler that fails for the streams in `bad`. */
function given(options: Partial<SubscriptionOptions> = {}, store = meow) {
  const [category, name] = [uniqueName('parking'), uniqueName('parking')]
  const bad = new Set<string>()
  const handled: string[] = []
  const append = async (streamId: string, count = 1) =>
    (await meow.append({ category, streamId }, Array(count).fill({ type: 'Happened', data: {} }))).events
  const subscribe = (own = store) => own.subscription(name, { category, leaseMs: 60_000, ...options })
  const handler = (event: RecordedEvent) => {
    if (bad.has(event.streamId)) throw new Error(`${event.streamId} is bad`)
    handled.push(named(event))
  }
  const process = (handle: Handler = handler, processing: ProcessOptions = {}, own = store) =>
    subscribe(own).process(handle, { retry: once, outage: false, ...processing })
  const has = (...events: string[]) =>
    until(() => events.every((event) => handled.includes(event)), { what: `${events} to be handled` })
  const info = async () => (await meow.subscriptions()).find((it) => it.name === name)
  const parked = async () => (await meow.parked(name)).map(({ event }) => named(event))
  const parkedAre = (...events: string[]) =>
    until(async () => (await info()) && `${await parked()}` === `${events}`, {
      what: `${events} to be parked`,
    })
  return { category, name, bad, handled, append, subscribe, process, has, info, parked, parkedAre }
}

/** Something to wait for, that the test opens. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** A store, and a way to hold up the next of its statements that matches. */
async function holdingStore() {
  const pool = new pg.Pool({ connectionString: databaseUrl() })
  pools.push(pool)
  type Match = (text: string, values: unknown[]) => boolean
  let next: { matches: Match; held: () => void; released: Promise<void> } | undefined
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: any[]) => any
    client.query = ((...args: any[]) => {
      const { text, values } = typeof args[0] === 'string' ? { text: args[0], values: args[1] } : args[0]
      if (!next?.matches(text ?? '', values ?? [])) return query(...args)
      const { held, released } = next
      next = undefined
      held()
      return released.then(() => query(...args))
    }) as typeof client.query
  })
  const said: string[] = []
  const logger = {
    debug() {},
    info() {},
    warn: (_: unknown, text: string) => void said.push(text),
    error() {},
  }
  const store = await openStore({ pool, pollIntervalMs: 20, logger })
  await listening(store)
  const hold = (matches: Match) => {
    const [held, released] = [gate(), gate()]
    next = { matches, held: held.open, released: released.opened }
    return { held: held.opened, release: released.open }
  }
  return { store, hold, said }
}

test('the event and the later ones of its stream are set aside, the others flow, and the checkpoint passes', async () => {
  const { name, bad, append, process, has, info, parked, parkedAre, handled } = given()
  bad.add('b')
  await append('a', 2)
  const [poison] = await append('b', 3)
  const [c] = await append('c', 2)
  const worker = process()
  await has('a0', 'a1', 'c0', 'c1')
  await parkedAre('b0', 'b1', 'b2')
  await meow.waitFor(name, c!.position)
  await meow.waitFor(name, poison!.position)
  const [b3, a2] = [(await append('b'))[0]!, (await append('a'))[0]!]
  await has('a2')
  await meow.waitFor(name, a2.position)
  await meow.waitFor(name, b3.position)
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint to pass what is parked' })
  const { position, parked: count } = (await info())!
  assert.ok(position >= a2.position)
  assert.is(count, 4)
  assert.equal(await parked(), ['b0', 'b1', 'b2', 'b3'])
  assert.equal(handled, ['a0', 'a1', 'c0', 'c1', 'a2'])
  await worker.stop()
  assert.is((await info())!.lag, 0)
})

test('concurrency: what its stream has waiting is set aside too, and nothing of it runs', async () => {
  const { bad, append, process, has, parkedAre, handled } = given()
  bad.add('b')
  await append('b', 30)
  for (const stream of ['c', 'd', 'e']) await append(stream, 10)
  const begun: string[] = []
  const worker = process(
    async (event) => {
      begun.push(named(event))
      await Promise.resolve()
      if (bad.has(event.streamId)) throw new Error('no')
      handled.push(named(event))
    },
    { concurrency: 4, retry: { maxAttempts: 2, minDelayMs: 1 } },
  )
  await has('c9', 'd9', 'e9')
  await parkedAre(...upTo(30).map((n) => `b${n}`))
  assert.equal(
    begun.filter((event) => event.startsWith('b')),
    ['b0', 'b0'],
  )
  for (const stream of ['c', 'd', 'e']) {
    assert.equal(
      handled.filter((event) => event.startsWith(stream)),
      upTo(10).map((n) => `${stream}${n}`),
    )
  }
  await worker.stop()
})

test('parked() tells of events, attempts, and the error with its stack', async () => {
  const { name, append, process, parkedAre } = given()
  const [event, follower] = await append('error', 2)
  for (const stream of ['string', 'nothing', 'object', 'strange']) await append(stream)
  const before = Date.now() - 60_000
  function thrower() {
    throw new RangeError('out of range')
  }
  const worker = process(
    async ({ streamId }) => {
      if (streamId === 'string') throw 'only a string'
      if (streamId === 'nothing') throw undefined
      if (streamId === 'object') throw { toString: () => 'an object' }
      if (streamId === 'strange') throw new Error('a \u0000 and a \ud800')
      thrower()
    },
    { retry: { maxAttempts: 3, minDelayMs: 1, maxDelayMs: 1 } },
  )
  await parkedAre('error0', 'error1', 'string0', 'nothing0', 'object0', 'strange0')
  const [first, second, string, nothing, object, strange] = await meow.parked(name)
  assert.equal([first!.event, second!.event], [event, follower])
  assert.equal([first!.attempts, second!.attempts], [3, 0])
  assert.match(first!.error!, /^RangeError: out of range\n +at thrower \(.*parking\./)
  assert.is(second!.error, null)
  assert.ok(+first!.parkedAt > before && +first!.parkedAt < Date.now() + 60_000)
  assert.equal(first!.parkedAt, second!.parkedAt)
  assert.equal([string!.error, nothing!.error, object!.error], ['only a string', null, 'an object'])
  assert.match(strange!.error!, /^Error: a . and a ./)
  await worker.stop()
})

test('it survives a restart, and a takeover by another store', async () => {
  const { bad, append, process, has, parkedAre, handled } = given()
  bad.add('b')
  await append('b', 2)
  await append('a')
  let worker = process()
  await has('a0')
  await parkedAre('b0', 'b1')
  await worker.stop()
  bad.clear()
  await append('b')
  await append('a')
  worker = process()
  await has('a1')
  await parkedAre('b0', 'b1', 'b2')

  const other = await openStore({ pollIntervalMs: 200 })
  await listening(other)
  const next = process(undefined, {}, other)
  await next.ready
  await worker.stop()
  await append('b')
  await append('a')
  await has('a2')
  await parkedAre('b0', 'b1', 'b2', 'b3')
  assert.equal(handled, ['a0', 'a1', 'a2'])
  await next.stop()
  await other.close()
})

test('replayParked: all, in order, and what is new follows', async () => {
  const { name, bad, append, process, has, parkedAre, handled, info } = given()
  bad.add('b').add('c')
  await append('b', 3)
  await append('c', 2)
  const worker = process()
  await parkedAre('b0', 'b1', 'b2', 'c0', 'c1')
  bad.clear()
  assert.is(await meow.replayParked(name), 5)
  await append('b', 2)
  await append('c', 1)
  await has('b4', 'c2')
  await parkedAre()
  const of = (stream: string) => handled.filter((event) => event.startsWith(stream))
  assert.equal(of('b'), ['b0', 'b1', 'b2', 'b3', 'b4'])
  assert.equal(of('c'), ['c0', 'c1', 'c2'])
  assert.is(await meow.replayParked(name), 0)
  await append('b')
  await has('b5')
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint' })
  assert.is((await info())!.parked, 0)
  assert.is(handled.length, 9, 'each once')
  await worker.stop()
})

test('replayParked: one stream alone', async () => {
  const { name, bad, append, process, has, parkedAre, handled } = given()
  bad.add('b').add('c')
  await append('c', 2)
  await append('b', 2)
  const worker = process()
  await parkedAre('c0', 'c1', 'b0', 'b1')
  bad.clear()
  assert.is(await meow.replayParked(name, { streamId: 'b' }), 2)
  await append('c')
  await append('b')
  await has('b2')
  await parkedAre('c0', 'c1', 'c2')
  assert.equal(handled, ['b0', 'b1', 'b2'])
  await worker.stop()
})

test('replayParked while nobody is at work: the next worker does it', async () => {
  for (const concurrency of [1, 3]) {
    const { name, bad, append, process, has, parkedAre, handled } = given()
    bad.add('b')
    await append('b', 3)
    const worker = process()
    await parkedAre('b0', 'b1', 'b2')
    await worker.stop()
    bad.clear()
    await append('b', 2)
    assert.is(await meow.replayParked(name), 5)
    const next = process(undefined, { concurrency })
    await append('b')
    await has('b5')
    assert.equal(
      handled,
      upTo(6).map((n) => `b${n}`),
    )
    await parkedAre()
    await next.stop()
  }
})

test('replayed while new events of the stream come all the time: no gap, no repeat, in order', async () => {
  const { name, bad, append, process, parkedAre, handled, has } = given({ maxInFlight: 20 })
  const worker = process()
  for (const round of upTo(10)) {
    bad.add('b')
    await append('b', 3)
    await until(async () => (await meow.parked(name)).length >= 3, { what: 'it to be parked' })
    bad.clear()
    let replayed = false
    const replay = meow.replayParked(name).then(async () => {
      await parkedAre()
      replayed = true
    })
    let count = 0
    while (!replayed || count < 20) {
      await append('b')
      if (count++ % 3 === 0) await append('other')
    }
    await replay
    const [last] = await append('b')
    await has(named(last!))
    const versions = handled.filter((event) => event.startsWith('b'))
    assert.equal(
      versions,
      upTo(last!.version + 1).map((n) => `b${n}`),
      `round ${round}`,
    )
  }
  await worker.stop()
})

test('an event that comes while the last of a replay are looked for is not lost', async () => {
  const { store, hold } = await holdingStore()
  const { name, bad, append, process, parkedAre, handled, has } = given({}, store)
  bad.add('b')
  await append('b')
  const worker = process()
  await parkedAre('b0')
  bad.clear()
  // The events to be replayed are read: b0, then no more. Meanwhile b1 comes, and a checkpoint passes it.
  const reading = hold(
    (text, values) => /between \$3 and \$4/.test(text) && handled.includes('b0') && !!values,
  )
  await meow.replayParked(name)
  await reading.held
  const [b1] = await append('b')
  await until(async () => (await checkpoint(name)).position >= b1!.position, { what: 'the checkpoint' })
  reading.release()
  await has('b0', 'b1')
  await append('b')
  await has('b2')
  assert.equal(handled, ['b0', 'b1', 'b2'])
  await parkedAre()
  await worker.stop()
})

/** A replay of stream b stands at its very end, while what is new waits for that. */
async function atTheEndOfAReplay(park: string[], handle: Handler = () => {}) {
  const { store, hold, said } = await holdingStore()
  const it = given({}, store)
  const { name, bad, append, process, parkedAre, handled, subscribe } = it
  for (const streamId of ['b', ...park]) {
    bad.add(streamId)
    await append(streamId)
  }
  const before = process()
  await parkedAre(...[...bad].map((streamId) => `${streamId}0`))
  await before.stop()
  bad.clear()
  const subscription = subscribe(store)
  const worker = subscription.process(
    async (event, context) => {
      await handle(event, context)
      handled.push(named(event))
    },
    { concurrency: 3, retry: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  await worker.ready
  /** Appends, and waits until it is read. */
  const come = async (streamId: string) => {
    const [event] = await append(streamId)
    await until(() => current(subscription.status$).horizon >= event!.position, { what: 'it to be read' })
  }
  const replay = async () => {
    const ending = hold((text, values) => /\breplayed\(/.test(text) && values.at(-1) === null)
    await meow.replayParked(name, { streamId: 'b' })
    await ending.held
    return ending.release
  }
  return { ...it, worker, come, replay, said }
}

test('at the end of a replay: what comes meanwhile of a stream that stays parked is not handed out', async () => {
  const { come, replay, append, has, handled, parkedAre, worker } = await atTheEndOfAReplay(['u'])
  const release = await replay()
  await come('b')
  await come('u')
  await come('v')
  release()
  await has('b0', 'b1', 'v0')
  await append('v')
  await has('v1')
  assert.equal(
    handled.filter((event) => !event.startsWith('v')),
    ['b0', 'b1'],
  )
  await parkedAre('u0', 'u1')
  await worker.stop()
})

test('at the end of a replay: what comes meanwhile behind an event that failed waits behind it', async () => {
  const random = Math.random
  const [begun, failing] = [gate(), gate()]
  const { come, append, replay, said, has, handled, worker } = await atTheEndOfAReplay(
    [],
    async ({ streamId, version }) => {
      if (streamId !== 't' || version > 0) return
      begun.open()
      await failing.opened
      throw new Error('not yet')
    },
  )
  await append('t')
  await begun.opened
  const release = await replay()
  await come('t')
  Math.random = () => 0.999
  failing.open()
  await until(() => said.includes('a handler failed; trying again'), { what: 'the failure' })
  Math.random = random
  release()
  await come('b')
  await come('w')
  await has('b0', 'b1', 'w0')
  assert.equal(
    handled.filter((event) => event.startsWith('t')),
    [],
  )
  await worker.stop()
})

test('a replay that fails again parks again, with what follows', async () => {
  const { name, append, process, parkedAre } = given()
  await append('b', 4)
  const seen: [event: string, attempt: number][] = []
  let failing = 0
  const worker = process((event, { attempt }) => {
    seen.push([named(event), attempt])
    if (event.version === failing) throw new Error(`at ${failing}`)
  })
  await parkedAre('b0', 'b1', 'b2', 'b3')
  failing = 2
  assert.is(await meow.replayParked(name), 4)
  // They are the same two while b2 is being replayed, before it fails.
  const failed = async () => (await meow.parked(name))[0]?.error?.startsWith('Error: at 2') ?? false
  await until(failed, { what: 'b2 to fail again' })
  await parkedAre('b2', 'b3')
  const [, second] = await meow.parked(name)
  assert.equal([second!.attempts, second!.error], [0, null])
  await append('b')
  for (const round of upTo(3)) {
    const before = seen.length
    assert.is(await meow.replayParked(name), 3)
    await until(() => seen.length > before, { what: `round ${round}` })
    await until(async () => (await meow.parked(name))[0]!.attempts === seen.at(-1)![1], {
      what: 'its attempts to be told',
    })
    await parkedAre('b2', 'b3', 'b4')
    assert.is(seen.length, before + 1)
  }
  failing = -1
  await meow.replayParked(name)
  await parkedAre()
  assert.equal(
    seen.map(([event]) => event),
    ['b0', 'b0', 'b1', 'b2', 'b2', 'b2', 'b2', 'b2', 'b3', 'b4'],
  )
  await worker.stop()
})

test('a worker that is stopped in the middle of a replay repeats nothing, and another goes on', async () => {
  const { name, bad, append, process, parkedAre, handled, has } = given()
  bad.add('b')
  await append('b', 6)
  let worker = process()
  await parkedAre(...upTo(6).map((n) => `b${n}`))
  await worker.stop()
  bad.clear()
  await meow.replayParked(name)
  for (const round of upTo(8)) {
    const [begun, going] = [gate(), gate()]
    worker = process(async (event, { signal }) => {
      // Finished as it is told to stop, or later, when nothing else is under way.
      if (round % 2) signal.addEventListener('abort', () => setTimeout(going.open, 50))
      begun.open()
      await going.opened
      handled.push(named(event))
    })
    await begun.opened
    const stopping = worker.stop()
    const began = performance.now()
    if (round % 2 === 0) going.open()
    await stopping
    assert.ok(performance.now() - began < 10_000, `round ${round}: it took a share of the lease`)
    await append('b')
    assert.equal(
      handled,
      upTo(round + 1).map((n) => `b${n}`),
      `round ${round}`,
    )
  }
  worker = process()
  await has('b13')
  await parkedAre()
  assert.equal(
    handled,
    upTo(14).map((n) => `b${n}`),
    'each once',
  )
  await worker.stop()
})

test('an executor that loses its lease in the middle of a replay: the one in hand comes again, no other', async () => {
  const { name, bad, append, process, parkedAre, handled } = given()
  const sql = await pgClient()
  bad.add('b')
  await append('b', 5)
  let worker = process()
  await parkedAre(...upTo(5).map((n) => `b${n}`))
  await worker.stop()
  bad.clear()
  await meow.replayParked(name)
  const [begun, going] = [gate(), gate()]
  worker = process(async (event) => {
    if (event.version === 2) {
      begun.open()
      await going.opened
    }
    handled.push(named(event))
  })
  await begun.opened
  const other = await openStore({ pollIntervalMs: 200 })
  const seenByOther: string[] = []
  await sql.query(
    `update ${storeSchema}.checkpoints set epoch = epoch + 1, owner = null, lease_until = null where subscription = $1`,
    [name],
  )
  const next = process((event) => seenByOther.push(named(event)), {}, other)
  await next.ready
  going.open()
  await append('b')
  await until(async () => (await meow.parked(name)).length === 0, { what: 'the replay' })
  await until(() => handled.includes('b5') || seenByOther.includes('b5'), { what: 'the last' })
  const all = [...handled, ...seenByOther]
  assert.equal([...new Set(all)].sort(), ['b0', 'b1', 'b2', 'b3', 'b4', 'b5'])
  assert.ok(
    all.filter((event) => event !== 'b2').length === 5 && all.length <= 7,
    `${handled}, then ${seenByOther}`,
  )
  await Promise.all([worker.stop(), next.stop()])
  await other.close()
})

test('delivery.park: the rest of its stream goes with it, whose acks then do nothing', async () => {
  const { name, append, subscribe, parked, info } = given()
  await append('b', 5)
  const [a] = await append('a', 2)
  const { all, has, subscription } = collect<Delivery>(subscribe().deliveries())
  await has(7)
  const [b0, b1, b2, b3, b4, a0, a1] = all as [
    Delivery,
    Delivery,
    Delivery,
    Delivery,
    Delivery,
    Delivery,
    Delivery,
  ]
  await b0.ack()
  const late = b2.ack()
  const { park } = b1
  await park(new Error('unwanted'))
  await Promise.all([b1.ack(), b3.ack(), b4.ack(), late, b1.park(), b4.park(new Error('not this one'))])
  b3.nack()
  assert.equal(await parked(), ['b1', 'b2', 'b3', 'b4'])
  const [first] = await meow.parked(name)
  assert.is(first!.attempts, 1)
  assert.match(first!.error!, /^Error: unwanted\n +at /)
  assert.ok((await checkpoint(name)).position < a!.position, 'a is not acked')
  await append('b')
  await append('c')
  await has(8)
  assert.is(named(all[7]!.event), 'c0')
  await Promise.all([a1.ack(), a0.ack(), all[7]!.ack()])
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint' })

  await meow.replayParked(name, { streamId: 'b' })
  for (const n of upTo(5)) {
    await has(9 + n)
    const { event, ack } = all[8 + n]!
    assert.is(named(event), `b${n + 1}`)
    await ack()
  }
  await until(async () => (await parked()).length === 0, { what: 'the end of the replay' })
  await append('b')
  await has(14)
  assert.is(named(all[13]!.event), 'b6')
  await all[13]!.ack()
  subscription.unsubscribe()
})

test('delivery.park of the last in hand; of what came again; of what is acked already, which does nothing', async () => {
  const { name, append, subscribe, parked } = given()
  await append('b', 2)
  await append('c', 2)
  const { all, has, subscription } = collect<Delivery>(subscribe().deliveries())
  await has(4)
  const [b0, b1, c0, c1] = all as [Delivery, Delivery, Delivery, Delivery]
  await b0.ack()
  await b1.park('for a reason')
  assert.equal(await parked(), ['b1'])
  c0.nack()
  await has(6)
  assert.equal(
    all.slice(4).map(({ event, attempt }) => `${named(event)}.${attempt}`),
    ['c0.2', 'c1.1'],
  )
  await c0.park('nothing')
  await c1.park('nothing')
  assert.equal(await parked(), ['b1'])
  await all[4]!.ack()
  await all[4]!.park('nothing')
  assert.equal(await parked(), ['b1'], 'it was acked')
  await all[5]!.park('again')
  assert.equal(
    (await meow.parked(name)).map(({ attempts, error }) => [attempts, error]),
    [
      [1, 'for a reason'],
      [1, 'again'],
    ],
  )
  subscription.unsubscribe()
})

test('a replayed delivery that is nacked comes again, and others do not wait for it', async () => {
  const { name, append, subscribe, parkedAre } = given()
  await append('b', 2)
  await append('c', 1)
  const { all, has, subscription } = collect<Delivery>(subscribe().deliveries())
  await has(3)
  await all[0]!.park()
  await all[2]!.park()
  await meow.replayParked(name)
  await has(4)
  const attempts = [all[3]!.attempt]
  assert.is(named(all[3]!.event), 'b0')
  all[3]!.nack({ delayMs: 5 })
  await all[3]!.ack()
  await until(() => all.some(({ event }, i) => i > 3 && named(event) === 'c0'), { what: 'the other stream' })
  const rest = new Set<Delivery>(all.slice(4))
  const acked: string[] = []
  while (acked.length < 3) {
    for (const delivery of rest) {
      rest.delete(delivery)
      if (named(delivery.event) === 'b0') attempts.push(delivery.attempt)
      await delivery.ack()
      acked.push(named(delivery.event))
    }
    const seen = 4 + acked.length
    if (acked.length < 3) await has(seen + 1)
    for (const delivery of all.slice(seen)) rest.add(delivery)
  }
  assert.is(attempts[1], attempts[0]! + 1)
  assert.equal(
    acked.filter((event) => event.startsWith('b')),
    ['b0', 'b1'],
  )
  await parkedAre()
  subscription.unsubscribe()
})

test('resetSubscription forgets what is parked, and running workers go on from there', async () => {
  const { name, bad, append, process, has, parkedAre, handled } = given()
  bad.add('b')
  await append('a')
  await append('b', 2)
  const worker = process()
  await parkedAre('b0', 'b1')
  bad.clear()
  await meow.resetSubscription(name, 'start')
  await has('b0', 'b1')
  await parkedAre()
  await append('b')
  await has('b2')
  assert.equal(handled, ['a0', 'a0', 'b0', 'b1', 'b2'])
  await worker.stop()
})

test('resetSubscription in the middle of a replay', async () => {
  const { name, bad, append, process, parkedAre } = given()
  bad.add('b')
  await append('b', 3)
  const begun = gate()
  const going = gate()
  const seen: string[] = []
  const worker = process(async (event) => {
    if (bad.has(event.streamId)) throw new Error('no')
    seen.push(named(event))
    if (seen.length === 2) {
      begun.open()
      await going.opened
    }
  })
  await parkedAre('b0', 'b1', 'b2')
  bad.clear()
  await meow.replayParked(name)
  await begun.opened
  await meow.resetSubscription(name, 'start')
  going.open()
  await append('b')
  await until(() => seen.includes('b3'), { what: 'all to come again' })
  assert.equal(seen, ['b0', 'b1', 'b0', 'b1', 'b2', 'b3'])
  await parkedAre()
  await worker.stop()
})

test('transactional: parking keeps what was written for others, and nothing of the failed one', async () => {
  const { category, name, append, subscribe, parkedAre, info } = given()
  const sql = await pgClient()
  const table = `${storeSchema}.${uniqueName('writes')}`
  await sql.query(`create table ${table} (seq serial, event text, attempt int)`)
  const bad = new Set(['b1'])
  await append('a', 2)
  await append('b', 4)
  await append('c', 3)
  const worker = subscribe().process(
    async (event, { client, attempt }) => {
      await client.query(`insert into ${table} (event, attempt) values ($1, $2)`, [named(event), attempt])
      if (bad.has(named(event))) throw new Error(`no ${category}`)
    },
    { transactional: true, retry: { maxAttempts: 3, minDelayMs: 1, maxDelayMs: 1 } },
  )
  const written = async () =>
    (await sql.query(`select event from ${table} order by seq`)).rows.map(({ event }) => event)
  await until(async () => (await written()).length === 6, { what: 'the others' })
  await until(async () => (await meow.parked(name))[0]?.attempts === 3, { what: 'the last attempt' })
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint' })
  assert.equal((await written()).sort(), ['a0', 'a1', 'b0', 'c0', 'c1', 'c2'])
  await parkedAre('b1', 'b2', 'b3')
  assert.match((await meow.parked(name))[0]!.error!, /^Error: no /)
  bad.clear()
  await append('b')
  await meow.replayParked(name)
  await until(async () => (await written()).length === 10, { what: 'the replay' })
  await parkedAre()
  await append('b')
  await until(async () => (await written()).length === 11, { what: 'the next' })
  assert.equal(
    (await written()).filter((event) => event.startsWith('b')),
    ['b0', 'b1', 'b2', 'b3', 'b4', 'b5'],
  )
  assert.is(new Set(await written()).size, 11)
  await worker.stop()
})

test('transactional: while an event waits to be tried again, waitFor does not take it for handled', async () => {
  const { name, append, subscribe } = given()
  const [event] = await append('b')
  const seen: number[] = []
  const worker = subscribe().process(
    (_, { attempt }) => {
      seen.push(attempt)
      throw new Error('not yet')
    },
    { transactional: true, retry: { maxAttempts: 2, minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  const { random } = Math
  Math.random = () => 0.999
  await until(async () => (await checkpoint(name).catch(() => undefined))?.position === event!.position, {
    what: 'it to be passed',
  })
  Math.random = random
  const outcome = await meow.waitFor(name, event!.position, { timeoutMs: 200 }).catch((error) => error)
  assert.is(outcome?.code, 'ERR_TIMEOUT')
  assert.is(Math.max(...seen), 1)
  await worker.stop()
})

for (const transactional of [false, true]) {
  const how = transactional ? 'transactional' : 'concurrency 4'
  test(`any failures, parking, replays, restarts: each stream in order, nothing lost, ${how}`, async () => {
    const dice = seeded(`parking, ${how}`)
    const { category, name, subscribe, parked } = given({ maxInFlight: 40, partitions: 2 })
    const succeeded = new Map<string, number[]>(upTo(20).map((n) => [`${n}`, []]))
    let repeats = 0
    let failures = 0.3
    const handler: Handler = async ({ streamId, version }) => {
      if (dice.chance(0.3)) await new Promise((resolve) => setTimeout(resolve, dice.int(0, 2)))
      if (dice.chance(failures)) throw new Error('unlucky')
      const versions = succeeded.get(streamId)!
      if (versions.includes(version)) repeats++
      else versions.push(version)
    }
    const start = () =>
      subscribe().process(handler, {
        ...(transactional ? { transactional, batchSize: dice.int(1, 10) } : { concurrency: 4 }),
        retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 3 },
      })
    let worker = start()
    let appended = 0
    const counts = new Map<string, number>()
    for (const _ of upTo(60)) {
      const streamId = `${dice.int(0, 19)}`
      const size = dice.int(1, 5)
      await meow.append({ category, streamId }, Array(size).fill({ type: 'Happened', data: {} }))
      counts.set(streamId, (counts.get(streamId) ?? 0) + size)
      appended += size
      if (dice.chance(0.2)) await meow.replayParked(name).catch(notThere)
      if (dice.chance(0.1)) await meow.replayParked(name, { streamId }).catch(notThere)
      if (dice.chance(0.05)) {
        await worker.stop()
        worker = start()
      }
    }
    failures = 0.1
    const count = () => [...succeeded.values()].reduce((sum, { length }) => sum + length, 0)
    await until(
      async () => {
        if (count() === appended) return true
        await meow.replayParked(name)
        return false
      },
      { timeoutMs: 60_000, what: `all ${appended} events` },
    ).catch(async (error) => {
      throw new Error(`${error.message}: ${count()}; parked ${await parked()}`)
    })
    await worker.stop()
    for (const [streamId, versions] of succeeded)
      assert.equal(versions, upTo(counts.get(streamId) ?? 0), `stream ${streamId}`)
    // A transaction may be repeated by what comes after it; else only a stop repeats, what was behind a failing event.
    console.log(`${how}: ${appended} events, ${repeats} repeats`)
  })
}

function notThere(error: { code?: string }): void {
  if (error.code !== 'ERR_SUBSCRIPTION_NOT_FOUND') throw error
}

test.run()
