// If a service that handlers need is down, nothing is parked: the status of the worker is `failing` until a handler succeeds.
import type pg from 'pg'
import { filter, firstValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Clock } from '../src/core/clock.ts'
import type { Meow, ProcessOptions, RecordedEvent, SubscriptionStatus } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
import type { InternalDelivery } from '../src/subscriptions/delivery.ts'
import { Outage } from '../src/subscriptions/outage.ts'
import { collect } from './support/collect.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const logged: [level: string, text: string][] = []
const log = (level: string) => (_: unknown, text: string) => void logged.push([level, text])
const logger = { debug() {}, info: log('info'), warn() {}, error: log('error') }

let meow: Meow
let watcher: pg.Client
test.before(async () => {
  watcher = await pgClient()
  meow = await openStore({ logger })
  await listening(meow)
})
test.after(closeAll)

/** Streams that are parked for good; what a transactional worker tries again later is set aside in the store, too. */
async function parked(name: string): Promise<string[]> {
  const sql = `select stream_id from ${storeSchema}.parked_events where subscription = $1 and not replaying`
  return (await watcher.query(sql, [name])).rows.map(({ stream_id }) => stream_id)
}

/** A subscription whose handlers need a service. */
async function given(streams: number, options: ProcessOptions) {
  const name = uniqueName('failing')
  const append = (stream: string) =>
    meow.append({ category: name, streamId: stream }, Array(2).fill({ type: 'T', data: {} }))
  for (let i = 0; i < streams; i++) await append(`s${i}`)
  const service = { away: true, poison: '' }
  const calls: { stream: string; version: number; attempt: number; failed: boolean }[] = []
  const subscription = meow.subscription(name, { category: name })
  const states = collect(subscription.status$)
  const handler = async ({ streamId, version }: RecordedEvent, { attempt }: { attempt: number }) => {
    const failed = service.away || streamId === service.poison
    calls.push({ stream: streamId, version, attempt, failed })
    if (failed) throw new Error('the mail server is away')
  }
  const start = () =>
    subscription.process(handler, { retry: { maxAttempts: 3, minDelayMs: 1, maxDelayMs: 20 }, ...options })
  /** A batch that is rolled back runs again: what counts is the first time. */
  const handled = () => {
    const first = new Map(
      calls.filter(({ failed }) => !failed).map((call) => [`${call.stream} ${call.version}`, call]),
    )
    return [...first.values()]
  }
  const state = (wanted: SubscriptionStatus['state']) =>
    firstValueFrom(subscription.status$.pipe(filter(({ state }) => state === wanted)))
  return { name, append, service, calls, handled, state, states, start, subscription }
}

const ways: [string, ProcessOptions][] = [
  ['one at a time', {}],
  ['8 at a time', { concurrency: 8 }],
  ['transactional', { transactional: true, batchSize: 10 }],
]
for (const [way, options] of ways) {
  test(`an outage parks nothing, and ends with the first success, ${way}`, async () => {
    const { name, service, calls, handled, state, start } = await given(30, options)
    logged.length = 0
    const worker = start()
    const failing = await state('failing')
    assert.is((failing.error as Error).message, 'the mail server is away')
    assert.ok(failing.since instanceof Date)
    // Longer than all attempts of all streams would take.
    const before = calls.length
    await until(() => calls.length >= before + 20, { what: 'more tries', timeoutMs: 60_000 })
    assert.equal(await parked(name), [])
    service.away = false
    await until(() => handled().length === 60, { what: 'all events', timeoutMs: 60_000 })
    await state('live')
    assert.equal(await parked(name), [])
    for (let i = 0; i < 30; i++) {
      const versions = handled().filter(({ stream }) => stream === `s${i}`)
      assert.equal(
        versions.map(({ version }) => version),
        [0, 1],
        `s${i}, in order and once`,
      )
      assert.ok(versions[0]!.attempt <= 3, 'attempts are hardly used up')
    }
    assert.is(
      logged.filter(([level, text]) => level === 'error' && text.includes('taken for an outage')).length,
      1,
    )
    assert.is(
      logged.filter(([level, text]) => level === 'info' && text === 'handlers succeed again').length,
      1,
    )
    await worker.stop()
  })

  test(`a stream that fails while others succeed is parked, ${way}`, async () => {
    const { name, service, start, calls, handled } = await given(5, options)
    Object.assign(service, { away: false, poison: 's2' })
    const worker = start()
    await until(async () => (await parked(name)).length === 1, { what: 'the poisoned stream' })
    await until(() => handled().length === 8, { what: 'the others' })
    assert.is(calls.filter(({ stream }) => stream === 's2').length, 3, 'as often as maxAttempts says')
    await worker.stop()
  })

  test(`a poison event that is alone is parked, ${way}`, async () => {
    const { name, start, calls } = await given(1, options)
    const worker = start()
    await until(async () => (await parked(name)).length === 1, { what: 'the poisoned stream' })
    assert.equal(
      calls.map(({ version, attempt }) => [version, attempt]),
      [
        [0, 1],
        [0, 2],
        [0, 3],
      ],
    )
    await worker.stop()
  })

  test(`switched off, each event is for itself, ${way}`, async () => {
    const { name, start } = await given(5, { ...options, outage: false })
    const worker = start()
    await until(async () => (await parked(name)).length === 5, { what: 'all of them' })
    await worker.stop()
  })

  test(`a worker that is failing stops at once, and the next one goes on, ${way}`, async () => {
    const { name, service, state, start, handled } = await given(10, {
      ...options,
      retry: { maxAttempts: 2, minDelayMs: 3_600_000, maxDelayMs: 3_600_000 },
    })
    const worker = start()
    await state('failing')
    await worker.stop()
    assert.equal(await parked(name), [])
    service.away = false
    const next = start()
    await until(() => handled().length === 20, { what: 'all events' })
    await until(async () => (await meow.parked(name)).length === 0, { what: 'nothing that waits' })
    await next.stop()
  })
}

test('what outage can be', async () => {
  const { subscription } = await given(0, {})
  for (const outage of [true, null, 3, { streams: 1 }, { streams: 1.5 }, { stream: 3 }]) {
    const start = () => subscription.process(() => {}, { outage } as never)
    assert.throws(
      start,
      (error: unknown) => error instanceof ValidationError && error.path.startsWith('options.outage'),
    )
  }
})

/** An outage by a clock that the test sets. */
function withClock(streams = 2) {
  let now = 0
  const clock = {
    now: () => now,
    wall: () => now,
    random: () => 1,
    after: () => () => {},
  } as unknown as Clock
  const changes: boolean[] = []
  const outage = new Outage(
    { streams, maxDelayMs: 1_000, subscription: 's', clock, logger },
    { changed: (failing) => changes.push(failing !== undefined), wake() {} },
  )
  const partition = { lease: { signal: new AbortController().signal } }
  const delivery = (streamId: string, owner = partition) =>
    ({ event: { category: 'c', streamId }, source: { partition: owner } }) as unknown as InternalDelivery
  const fail = (one: InternalDelivery) => {
    outage.begin(one)
    const counts = outage.failed(one, new Error('no'))
    outage.settled(one)
    return counts
  }
  const pass = (ms: number) => {
    now += ms
  }
  return { outage, delivery, fail, pass, changes }
}

test('one event at a time, with pauses that double up to maxDelayMs', () => {
  const { outage, delivery, fail, pass } = withClock()
  assert.ok(fail(delivery('a')))
  assert.not(fail(delivery('b')))
  for (const ms of [100, 200, 400, 800, 1_000, 1_000]) {
    assert.is(outage.pauseMs, ms)
    pass(ms - 1)
    assert.not(outage.mayBegin)
    pass(1)
    assert.ok(outage.mayBegin)
    const probe = delivery('a')
    outage.begin(probe)
    assert.not(outage.mayBegin, 'one at a time')
    outage.failed(delivery('late'), new Error('begun before')) // makes no pause longer
    assert.not(outage.failed(probe, new Error('no')))
    outage.settled(probe)
  }
  outage.succeeded()
  assert.ok(outage.mayBegin)
  assert.ok(fail(delivery('a')), 'counted from nothing again')
})

test('attempts count again when another executor owns the other waiting streams', () => {
  const { delivery, fail, changes } = withClock()
  const leaving = new AbortController()
  const other = { lease: { signal: leaving.signal } }
  fail(delivery('a'))
  assert.not(fail(delivery('b', other)))
  assert.not(fail(delivery('a')))
  leaving.abort()
  assert.ok(fail(delivery('a')))
  assert.equal([...new Set(changes)], [true])
})

test('the outage ends when no waiting stream is left, and later failures are counted from 0', () => {
  const { outage, delivery, fail, changes } = withClock()
  const leaving = new AbortController()
  const other = { lease: { signal: leaving.signal } }
  fail(delivery('a', other))
  assert.not(fail(delivery('b', other)))
  leaving.abort()
  outage.left()
  assert.not(outage.failing)
  assert.is(changes.at(-1), false)
  assert.ok(fail(delivery('c')))
})

test.run()
