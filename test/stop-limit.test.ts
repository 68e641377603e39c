// @direct
// worker.stop({ timeoutMs }): a handler that never ends is given up. Its event is handled elsewhere at once, and whatever it
// does afterwards has no effect.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions, HandlerContext, Meow, RecordedEvent, Worker } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
import type { Message } from '../src/relay/index.ts'
import { relay } from '../src/relay/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { countingPool } from './support/counting-pool.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

/** Longer than any test takes: nothing here may wait for a lease to run out. */
const leaseMs = 600_000
const event = (data: unknown = {}) => ({ type: 'Happened', data })

/** A store whose warnings are kept. */
async function warned(options: ConnectOptions = {}): Promise<{ store: Meow; warnings: [any, string][] }> {
  const warnings: [any, string][] = []
  const warn = (...args: unknown[]) => void warnings.push(args as [any, string])
  const store = await openStore({ ...options, logger: { debug() {}, info() {}, warn, error: warn } })
  return { store, warnings }
}

/** Calls of a handler that settles when it is told to, or never. */
function stuckHandler() {
  const calls: {
    event: RecordedEvent
    context: HandlerContext
    settle(): void
    fail(error: unknown): void
  }[] = []
  const handler = (event: RecordedEvent, context: HandlerContext) =>
    new Promise<void>((resolve, reject) => {
      calls.push({ event, context, settle: resolve, fail: reject })
    })
  const begun = (count: number) => until(() => calls.length >= count, { what: `${count} calls of a handler` })
  return { calls, handler, begun }
}

/** All that a worker of another store handles, until `count` events are. */
async function handledElsewhere(name: string, category: string, count: number): Promise<number[]> {
  const handled: number[] = []
  const worker = meow
    .subscription(name, { category, leaseMs })
    .process(({ position }) => void handled.push(position))
  await until(() => handled.length >= count, { what: `${count} events to be handled elsewhere` })
  await worker.stop()
  return handled
}

test('a handler that hangs is given up: the log names it, and its event is handled elsewhere, but not the later acked ones', async () => {
  const name = uniqueName('limit')
  const { store, warnings } = await warned()
  const { calls, handler, begun } = stuckHandler()
  const worker = store.subscription(name, { category: name, leaseMs }).process(handler, { concurrency: 3 })
  const stuck = await store.append({ category: name, streamId: 'stuck' }, event())
  await store.append({ category: name, streamId: 'done' }, event())
  await store.append({ category: name, streamId: 'stuck' }, event())
  await begun(2)
  calls[1]!.settle()
  await worker.stop({ timeoutMs: 50 })
  await worker.done
  assert.ok(calls[0]!.context.signal.aborted)
  assert.is(calls.length, 2, 'what waits behind it is not begun')
  const [[fields, message] = [undefined, ''], ...more] = warnings.filter(([, text]) => /gave up/.test(text))
  assert.equal(more, [])
  const { position, category, streamId } = stuck.events[0]!
  assert.equal(
    {
      ...fields,
      subscription: name,
      position,
      category,
      streamId,
      type: 'Happened',
      attempt: 1,
      partition: 0,
    },
    fields,
  )
  assert.match(message, new RegExp(`position ${position} .*"${name}/stuck"`))
  calls[0]!.settle() // too late
  const handled = await handledElsewhere(name, name, 2)
  assert.equal(
    handled,
    [stuck.position, stuck.position + 2],
    'the two of that stream, in order, and nothing twice',
  )
})

test('what such a handler does later counts for nothing, be it success or failure', async () => {
  for (const late of ['settle', 'fail'] as const) {
    const name = uniqueName('limit')
    const { calls, handler, begun } = stuckHandler()
    const { store, warnings } = await warned()
    const retry = { maxAttempts: 1 }
    const worker = store
      .subscription(name, { category: name, leaseMs })
      .process(handler, { retry, onExhausted: 'stop' })
    const { position } = await store.append({ category: name, streamId: 'a' }, event())
    await begun(1)
    await worker.stop({ timeoutMs: 0 })
    calls[0]![late](new Error('too late'))
    await worker.done
    assert.ok((await checkpoint(name)).position < position)
    assert.equal(await handledElsewhere(name, name, 1), [position])
    assert.equal(await store.parked(name), [])
    assert.is(warnings.length, 1)
  }
})

test('without a limit it waits; a later call shortens the limit, and never lengthens it', async () => {
  const name = uniqueName('limit')
  const { calls, handler, begun } = stuckHandler()
  const worker = meow.subscription(name, { category: name, leaseMs }).process(handler)
  await meow.append({ category: name, streamId: 'a' }, event())
  await begun(1)
  let ended = 0
  const stops = [undefined, {}, { timeoutMs: 2_147_483_647 }].map((options) =>
    worker.stop(options).then(() => ended++),
  )
  await meow.read({ category: name })
  assert.is(ended, 0)
  const short = worker.stop({ timeoutMs: 20 })
  const long = worker.stop({ timeoutMs: 3_600_000 })
  await Promise.all([short, long, ...stops])
  assert.is(calls.length, 1)
  await worker.stop({ timeoutMs: 1 }) // it has ended
})

test('a handler that ends in time is acked, and nothing is said', async () => {
  const name = uniqueName('limit')
  const { store, warnings } = await warned()
  const { calls, handler, begun } = stuckHandler()
  const worker = store.subscription(name, { category: name, leaseMs }).process(handler)
  const { position } = await store.append({ category: name, streamId: 'a' }, event())
  await begun(1)
  const stopped = worker.stop({ timeoutMs: 600_000 })
  calls[0]!.settle()
  await stopped
  assert.is((await checkpoint(name)).position, position)
  assert.equal(warnings, [])
})

test('a handler may even wait for the end of its own worker, which gives it up', async () => {
  const name = uniqueName('limit')
  let ended = false
  const worker: Worker = meow.subscription(name, { category: name, leaseMs }).process(async () => {
    await worker.stop({ timeoutMs: 20 })
    ended = true
  })
  const { position } = await meow.append({ category: name, streamId: 'a' }, event())
  await worker.done
  await until(() => ended, { what: 'stop() to resolve inside the handler' })
  assert.equal(await handledElsewhere(name, name, 1), [position])
})

test('a replayed event whose handler hangs is replayed elsewhere', async () => {
  const name = uniqueName('limit')
  const subscription = meow.subscription(name, { category: name, leaseMs })
  const failing = subscription.process(
    () => {
      throw new Error('parked')
    },
    { retry: { maxAttempts: 1 } },
  )
  const { position } = await meow.append({ category: name, streamId: 'a' }, event())
  await until(async () => (await meow.parked(name)).length === 1, { what: 'a parked event' })
  await failing.stop()
  await meow.replayParked(name)
  const { calls, handler, begun } = stuckHandler()
  const worker = subscription.process(handler)
  await begun(1)
  await worker.stop({ timeoutMs: 0 })
  calls[0]!.settle()
  assert.equal(await handledElsewhere(name, name, 1), [position])
  assert.equal(await meow.parked(name), [])
})

/** Sessions of this test that run a query or have an open transaction. */
const sessions = (name: string) =>
  `select from pg_stat_activity where query like '%${name}%' and state <> 'idle' and pid <> pg_backend_pid()`

for (const [what, hang] of [
  ['in itself', () => new Promise<never>(() => {})],
  ['in a query', ({ client }, name) => client!.query(`select pg_sleep(600), '${name}'`)],
] as [string, (context: HandlerContext, name: string) => Promise<unknown>][]) {
  for (const lent of [false, true]) {
    test(`a transaction whose handler hangs ${what} is rolled back, and its connection closed; lent pool: ${lent}`, async () => {
      const name = uniqueName('limit')
      const sql = await pgClient()
      await sql.query(`create table ${storeSchema}.${name} (position bigint primary key)`)
      const insert = `insert into ${storeSchema}.${name} values ($1)`
      const { pool } = countingPool()
      const { store, warnings } = await warned(lent ? { pool } : {})
      let begun = 0
      const worker = store.subscription(name, { category: name, leaseMs }).process(
        async ({ position, streamId }, context) => {
          await context.client!.query(insert, [position])
          begun++
          if (streamId === 'stuck') await hang(context, name)
        },
        { transactional: true },
      )
      await store.appendAll([
        { stream: { category: name, streamId: 'fine' }, events: event() },
        { stream: { category: name, streamId: 'stuck' }, events: event() },
      ])
      await until(() => begun === 2, { what: 'two handlers' })
      await worker.stop({ timeoutMs: 50 })
      const named = warnings.map(([fields]) => [fields.subscription, fields.streamId])
      assert.equal(named, [[name, 'stuck']], 'the one that hangs, not all of its transaction')
      // The server has been told to cancel, and a session needs a moment to end.
      const isOver = async () => (await sql.query(sessions(name))).rows.length === 0
      await until(isOver, { what: 'nothing of it to go on in the server' })
      const other = meow.subscription(name, { category: name, leaseMs }).process(
        async ({ position }, { client }) => {
          await client.query(insert, [position])
        },
        { transactional: true },
      )
      const rows = async () => (await sql.query(`select from ${storeSchema}.${name}`)).rows.length
      await until(async () => (await rows()) === 2, { what: 'both to be handled elsewhere, once' })
      await other.stop()
      await store.close()
      await pool.end() // which waits for all that is lent
    })
  }
}

for (const hangs of ['open', 'publish'] as const) {
  test(`a relay whose broker hangs in ${hangs}() ends, and another relay publishes the event`, async () => {
    const name = uniqueName('limit')
    const published: number[] = []
    const broker = {
      open: async () => {},
      publish: async ({ event }: Message) => void published.push(event.position),
      close: async () => {},
    }
    let hung = false
    const hang = () => {
      hung = true
      return new Promise<never>(() => {})
    }
    const stuck = relay(meow, name, { category: name, leaseMs, broker: { ...broker, [hangs]: hang } })
    const { position } = await meow.append({ category: name, streamId: 'a' }, event())
    await until(() => hung, { what: 'a broker that hangs' })
    await stuck.stop({ timeoutMs: 50 })
    await stuck.done
    const other = relay(meow, name, { category: name, leaseMs, broker })
    await until(() => published.includes(position), { what: 'the event to be published' })
    await other[Symbol.asyncDispose]()
    const error = await rejects(other.stop({ timeoutMs: -1 }), ValidationError)
    assert.is(error.path, 'options.timeoutMs')
  })
}

test('a server that does not answer delays the end by 5 s at most', async () => {
  const name = uniqueName('limit')
  const proxy = await startProxy(databaseUrl())
  const { store, warnings } = await warned({
    connectionString: proxy.url,
    queryTimeoutMs: 600_000,
    listen: false,
  })
  const { handler, begun } = stuckHandler()
  const worker = store.subscription(name, { category: name, leaseMs }).process(handler)
  await meow.append({ category: name, streamId: 'a' }, event())
  await begun(1)
  proxy.blackhole()
  const began = performance.now()
  await worker.stop({ timeoutMs: 100 })
  await store.close({ timeoutMs: 0 })
  await worker.done
  assert.ok(performance.now() - began < 60_000)
  assert.ok(warnings.some(([, text]) => /gave up/.test(text)))
  await proxy.close()
})

test('an invalid limit is refused, and stops nothing', async () => {
  const name = uniqueName('limit')
  const handled: number[] = []
  const store = await openStore()
  const worker = store
    .subscription(name, { category: name })
    .process(({ position }) => void handled.push(position))
  for (const [timeoutMs, shown] of [
    [Number.NaN, 'NaN'],
    [-1, '-1'],
    [1.5, '1.5'],
    ['10', '"10"'],
    [2_147_483_648, '2147483648'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [null, 'null'],
  ] as const) {
    for (const call of [worker.stop, store.close]) {
      const options = { timeoutMs } as { timeoutMs: number }
      const error = await rejects(call.call(call === worker.stop ? worker : store, options), ValidationError)
      assert.is(error.path, 'options.timeoutMs')
      assert.match(error.message, `got ${shown}`)
    }
  }
  const unknown = await rejects(worker.stop({ timeout: 5 } as object), ValidationError)
  assert.is(unknown.path, 'options.timeout')
  const { position } = await meow.append({ category: name, streamId: 'a' }, event())
  await until(() => handled.includes(position), { what: 'a worker that still runs' })
  await worker[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
})

test.run()
