// processBatches: events of one partition come in batches, in order, and are acked together. A batch that fails is split until
// the event that fails is alone; only that one is tried again, and only its stream is parked.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BatchHandler, BatchOptions, RecordedEvent, SubscriptionOptions } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { named } from './support/named.ts'
import { seeded } from './support/random.ts'
import { current } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const meow = await openStore()
const sql = await pgClient()
test.after(closeAll)

const soon = { minDelayMs: 1, maxDelayMs: 3 }

/** A subscription to a category of its own, and what happens to its events. */
function given(options: Partial<SubscriptionOptions> = {}) {
  const [category, name] = [uniqueName('batches'), uniqueName('batches')]
  const append = async (streamId: string, count = 1) =>
    (await meow.append({ category, streamId }, Array(count).fill({ type: 'Happened', data: {} }))).events
  const subscription = () => meow.subscription(name, { category, ...options })
  const process = (handler: BatchHandler, processing: BatchOptions = {}) =>
    subscription().processBatches(handler, { outage: false, ...processing } as BatchOptions)
  const parked = async () => (await meow.parked(name)).map(({ event }) => named(event))
  return { category, name, append, subscription, process, parked }
}

for (const transactional of [false, true]) {
  const how = transactional ? ', transactional' : ''

  test(`batches take the waiting events in order, at most 500; the checkpoint moves with each batch${how}`, async () => {
    const { name, append, process } = given()
    for (const streamId of ['a', 'b', 'c']) await append(streamId, 400)
    const batches: RecordedEvent[][] = []
    const positions: number[] = []
    const worker = process(
      async (events, { attempt, client }) => {
        assert.is(attempt, 1)
        assert.is(client !== undefined, transactional)
        positions.push((await checkpoint(name)).position)
        batches.push(events)
      },
      { transactional },
    )
    await until(() => batches.flat().length === 1_200, { what: 'all events' })
    const all = batches.flat().map(({ position }) => position)
    assert.equal(
      all,
      [...all].sort((a, b) => a - b),
    )
    assert.ok(batches.length < 20 && batches.every(({ length }) => length <= 500))
    if (transactional)
      assert.equal(
        positions.slice(1),
        batches.slice(0, -1).map((batch) => batch.at(-1)!.position),
      )
    await worker.stop()
    assert.is((await checkpoint(name)).position, all.at(-1))
  })

  test(`maxWaitMs: a batch waits to be filled, and no longer${how}`, async () => {
    const { append, process } = given()
    const sizes: number[] = []
    const worker = process(({ length }) => void sizes.push(length), {
      transactional,
      batchSize: 4,
      maxWaitMs: 2_000,
    })
    await worker.ready
    for (const _ of upTo(4)) await append('a')
    await until(() => sizes.length === 1, { what: 'a full batch' })
    await append('a', 2)
    await until(() => sizes.length === 2, { what: 'a batch that is not full' })
    assert.equal(sizes, [4, 2])
    await append('a')
    await worker.stop() // it does not wait for more
  })

  test(`a batch that fails is split: one stream is parked, all others are handled once in order${how}`, async () => {
    const { append, process, parked } = given()
    for (const n of upTo(5))
      for (const streamId of ['a', 'b', 'c']) await append(streamId, n % 2 === 0 ? 2 : 1)
    const handled: string[] = []
    const calls: number[] = []
    const worker = process(
      (events) => {
        calls.push(events.length)
        if (events.some(({ streamId, version }) => streamId === 'b' && version === 3))
          throw new Error('b3 is bad')
        handled.push(...events.map(named))
      },
      { transactional, retry: { maxAttempts: 3, ...soon } },
    )
    await until(async () => (await parked()).length === 5, { what: 'b to be parked' })
    await until(() => handled.length === 19, { what: 'all others' })
    for (const [streamId, count] of [
      ['a', 8],
      ['b', 3],
      ['c', 8],
    ] as const)
      assert.equal(
        handled.filter((name) => name.startsWith(streamId)),
        upTo(count).map((version) => `${streamId}${version}`),
      )
    assert.equal(await parked(), ['b3', 'b4', 'b5', 'b6', 'b7'])
    assert.ok(calls.filter((size) => size > 1).length < 12, `innocent events fail seldom: ${calls}`)
    await worker.stop()
  })

  test(`onExhausted 'stop': what went before is kept, the worker ends with the error${how}`, async () => {
    const { name, append, process } = given()
    const events = await append('a', 6)
    const handled: string[] = []
    const worker = process(
      (batch) => {
        if (batch.some(({ version }) => version === 4)) throw new Error('no')
        handled.push(...batch.map(named))
      },
      { transactional, retry: { maxAttempts: 1 }, onExhausted: 'stop' },
    )
    const error = await worker.done.then(
      () => undefined,
      (error) => error,
    )
    assert.is(error?.message, 'no')
    assert.equal(handled, ['a0', 'a1', 'a2', 'a3'])
    assert.is((await checkpoint(name)).position, events[3]!.position)
  })

  test(`an outage parks nothing, and ends with the first success${how}`, async () => {
    const { append, subscription, parked, name } = given()
    for (const streamId of ['a', 'b', 'c', 'd']) await append(streamId, 2)
    let isDown = true
    const handled: string[] = []
    const own = subscription()
    const worker = own.processBatches(
      (events: RecordedEvent[]) => {
        if (isDown) throw new Error('the mail server is down')
        handled.push(...events.map(named))
      },
      { transactional, retry: { maxAttempts: 2, ...soon } } as BatchOptions,
    )
    await until(() => current(own.status$).state === 'failing', { what: 'the outage' })
    isDown = false
    await until(() => handled.length === 8, { what: 'all events' })
    // A transactional worker keeps streams that wait for their next attempt in the table of parked ones.
    await until(async () => (await parked()).length === 0, { what: 'nothing to be parked' })
    for (const streamId of ['a', 'b', 'c', 'd'])
      assert.equal(
        handled.filter((one) => one.startsWith(streamId)),
        [`${streamId}0`, `${streamId}1`],
      )
    await worker.stop()
    assert.is((await meow.subscriptions()).find((one) => one.name === name)?.lag, 0)
  })

  test(`random failures, parking, replays, restarts: each stream in order, nothing lost${how}`, async () => {
    const dice = seeded(`batches${how}`)
    const { category, name, append, process, parked } = given({ maxInFlight: 40, partitions: 2 })
    if (transactional)
      await sql.query(`create table ${storeSchema}.seen_${name} (id bigserial, stream text, version bigint)`)
    const succeeded: string[] = []
    let failures = 0.05
    const handler: BatchHandler = async (events, { client }) => {
      for (const { streamId, version } of events) {
        if (client)
          await client.query(`insert into ${storeSchema}.seen_${name} (stream, version) values ($1, $2)`, [
            streamId,
            version,
          ])
        if (dice.chance(failures)) throw new Error('unlucky')
      }
      if (!client) succeeded.push(...events.map(named))
    }
    const start = () =>
      process(handler, {
        transactional,
        batchSize: dice.int(1, 30),
        maxWaitMs: dice.int(0, 3),
        retry: { maxAttempts: 2, ...soon },
      })
    let worker = start()
    const counts = new Map<string, number>()
    for (const _ of upTo(60)) {
      const streamId = `s${dice.int(0, 9)}_`
      const size = dice.int(1, 5)
      await append(streamId, size)
      counts.set(streamId, (counts.get(streamId) ?? 0) + size)
      if (dice.chance(0.2)) await meow.replayParked(name).catch(() => {})
      if (dice.chance(0.1)) {
        await worker.stop()
        worker = start()
      }
    }
    failures = 0.01
    const seen = async () =>
      transactional
        ? (
            await sql.query(`select stream || version as name from ${storeSchema}.seen_${name} order by id`)
          ).rows.map(({ name }) => name as string)
        : succeeded
    const total = [...counts.values()].reduce((a, b) => a + b, 0)
    await until(
      async () => {
        if (new Set(await seen()).size === total) return true
        await meow.replayParked(name)
        return false
      },
      { timeoutMs: 60_000, what: `all ${total} events of ${category}; parked ${await parked()}` },
    )
    await worker.stop()
    const names = await seen()
    if (transactional) assert.is(names.length, total, 'each effect once')
    for (const [streamId, count] of counts) {
      const own = [...new Set(names.filter((one) => one.startsWith(streamId)))]
      assert.equal(
        own,
        upTo(count).map((version) => `${streamId}${version}`),
      )
    }
  })
}

test('transactional: of a batch that fails nothing is kept, of the halves that succeed all, once', async () => {
  const { name, append, process, parked } = given()
  const table = `${storeSchema}.kept_${name}`
  await sql.query(`create table ${table} (name text primary key)`)
  await append('a', 3)
  await append('bad', 1)
  await append('c', 3)
  const worker = process(
    (events, { client }) =>
      client!.query(`insert into ${table} select unnest($1::text[])`, [
        events.map((event) => (event.streamId === 'bad' ? null : named(event))),
      ]),
    { transactional: true, retry: { maxAttempts: 2, ...soon } },
  )
  await until(async () => (await parked()).length === 1, { what: 'the bad one to be parked' })
  await until(async () => (await sql.query(`select from ${table}`)).rowCount === 6, { what: 'all others' })
  await worker.stop()
})

test('invalid options are refused, with their paths', async () => {
  const { subscription } = given()
  const refused = (handler: unknown, options: unknown, path: string) =>
    assert.throws(
      () => subscription().processBatches(handler as BatchHandler, options as BatchOptions),
      (error: { path?: string }) => error.path === path,
    )
  const handler = () => {}
  refused(undefined, {}, 'handler')
  refused(handler, { concurrency: 2 }, 'options.concurrency')
  refused(handler, { batchSize: 0 }, 'options.batchSize')
  refused(handler, { maxWaitMs: -1 }, 'options.maxWaitMs')
  refused(handler, { maxWaitMs: '1' }, 'options.maxWaitMs')
  refused(handler, { unknown: 1 }, 'options.unknown')
})

test('a batch is never larger than maxInFlight, which would never fill it', async () => {
  const { append, process } = given({ maxInFlight: 3 })
  await append('a', 7)
  const sizes: number[] = []
  const worker = process(({ length }) => void sizes.push(length), { maxWaitMs: 200 })
  await until(() => sizes.reduce((a, b) => a + b, 0) === 7, { what: 'all events' })
  assert.ok(sizes.every((size) => size <= 3))
  await worker.stop()
})

test.run()
