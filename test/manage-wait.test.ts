// waitFor() resolves as soon as a subscription has handled or parked an event. A notification wakes it: polls are a minute
// apart here.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { statements } from '../src/database/statements.ts'
import type { Meow, RecordedEvent, StreamRef } from '../src/index.ts'
import { ClosedError, SubscriptionNotFoundError, TimeoutError, ValidationError } from '../src/index.ts'
import { countingPool } from './support/counting-pool.ts'
import { heard } from './support/listens.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import type { SqlExecutor } from './support/sql-executor.ts'
import { createSubscription, partitionOf, sqlExecutor } from './support/sql-executor.ts'
import { listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { lastingTimers } from './support/timers.ts'
import { until } from './support/until.ts'
import { pushes } from './support/ways.ts'

const pollIntervalMs = 60_000
const timeoutMs = 60_000
const meow = await openStore({ pollIntervalMs })
await listening(meow)
const sql = await pgClient()
await sql.query(`set search_path = ${storeSchema}`)
test.after(closeAll)

interface SetUp {
  name: string
  stream: StreamRef
  executor: SqlExecutor
  events: RecordedEvent[]
}

/** A subscription of a category of its own, with an executor and three events. */
async function setUp({ partitions = 1, types = null as string[] | null } = {}): Promise<SetUp> {
  const [name, category] = [uniqueName('wait'), uniqueName('wait')]
  const stream = { category, streamId: 'a' }
  const { events } = await meow.append(
    stream,
    ['A', 'B', 'A'].map((type) => ({ type, data: null })),
  )
  await createSubscription(name, { categories: [category], types, partitions })
  return { name, stream, executor: await sqlExecutor(name), events }
}

/** A wait, and how it ended. */
function waiting(name: string, position: number, store: Meow = meow, options = {}) {
  const wait = { state: 'waiting', promise: store.waitFor(name, position, { timeoutMs, ...options }) }
  wait.promise.then(
    () => {
      wait.state = 'reached'
    },
    (error) => {
      wait.state = error.code ?? String(error)
    },
  )
  return wait
}

/** Waits until this many callers have registered in the store that they wait for this. */
async function entered(name: string, count = 1): Promise<void> {
  await until(
    async () => {
      const { rows } = await sql.query('select from waiters where subscription = $1', [name])
      return rows.length === count
    },
    { what: `${count} waiters` },
  )
}

/**
 * A caller that waits for something that never comes: it already listens to the channel, so later callers read again only if a
 * notification wakes them.
 */
async function listeningFor(name: string, position: number): Promise<ReturnType<typeof waiting>> {
  const { rows } = await sql.query('select waiting_channel($1) as channel', [name])
  const far = waiting(name, position)
  if (pushes) await heard('LISTEN', rows[0].channel)
  await entered(name)
  return far
}

/** The answer that reading the store would give. */
async function reached(name: string, position: number): Promise<boolean> {
  const { rows } = await sql.query(statements.reached.text.replaceAll('meowmx.', `${storeSchema}.`), [
    name,
    position,
  ])
  return rows[0].reached
}

test('at once if the checkpoint has reached the position', async () => {
  const { name, executor, events } = await setUp()
  await executor.advance(events[1]!.position)
  const { pool, queries } = countingPool()
  const other = await openStore({ pool, pollIntervalMs })
  queries.length = 0
  for (const { position } of events.slice(0, 2)) await other.waitFor(name, position)
  assert.is(queries.length, 2, 'a look each, and nothing else')
  await other.close()
  await pool.end()
})

test('not before the checkpoint gets there; then by its notification, and not by an earlier one', async () => {
  const { name, executor, events } = await setUp()
  const waits = events.map(({ position }) => waiting(name, position))
  await entered(name, 3)
  const states = () => waits.map(({ state }) => state)
  assert.equal(states(), ['waiting', 'waiting', 'waiting'])
  await executor.advance(events[1]!.position)
  await Promise.all([waits[0]!.promise, waits[1]!.promise])
  assert.is(await reached(name, events[2]!.position), false)
  assert.is(waits[2]!.state, 'waiting')
  await executor.advance(events[2]!.position)
  await waits[2]!.promise
  await entered(name, 0)
})

test('an uncommitted checkpoint does not count; its commit does, though it was written before anybody waited', async () => {
  const { name, executor, events } = await setUp()
  const { position } = events[0]!
  const heard: string[] = []
  const { rows } = await sql.query('select waiting_channel($1) as channel', [name])
  sql.on('notification', ({ channel, payload }) => channel === rows[0].channel && heard.push(payload!))
  await sql.query(`listen ${sql.escapeIdentifier(rows[0].channel)}`)
  const far = await listeningFor(name, position + 1_000_000)

  await executor.client.query('begin')
  await executor.advance(position)
  const wait = waiting(name, position)
  await entered(name, 2)
  assert.is(await reached(name, position), false)
  assert.is(wait.state, 'waiting')
  await executor.client.query('commit')
  await wait.promise
  await sql.query('select')
  assert.equal(heard, [], 'nobody was called')
  await executor.advance(position + 1_000_000)
  await far.promise
  await until(() => heard.length > 0, { what: 'the notification' })
  assert.equal(heard, [String(position + 1_000_000)])
})

test('the partition of the event counts, and no other', async () => {
  const { name, stream, executor, events } = await setUp({ partitions: 4 })
  const own = await partitionOf(stream, 4)
  const { position } = events[0]!
  const wait = waiting(name, position)
  await entered(name)
  for (const partition of [0, 1, 2, 3].filter((n) => n !== own))
    await executor.advance(position + 5, partition)
  assert.is(await reached(name, position), false)
  assert.is(wait.state, 'waiting')
  await executor.advance(position, own)
  await wait.promise
})

test('if the subscription has no event at the position, all partitions count', async () => {
  const { name, executor, events } = await setUp({ partitions: 2, types: ['A'] })
  const { position } = await meow.append(
    { category: uniqueName('other'), streamId: 'x' },
    { type: 'A', data: 1 },
  )
  const waits = [waiting(name, events[1]!.position), waiting(name, position)]
  await entered(name, 2)
  await executor.advance(position + 100, 0)
  assert.is(await reached(name, events[1]!.position), false)
  await executor.advance(position - 1, 1)
  await waits[0]!.promise
  assert.is(await reached(name, position), false)
  assert.is(waits[1]!.state, 'waiting')
  await executor.advance(position, 1)
  await waits[1]!.promise
})

test('parked events count as handled: the failed one and the later ones of its stream', async () => {
  {
    const { name, executor, events } = await setUp()
    const far = await listeningFor(name, events[2]!.position + 1_000_000)
    const waits = events.map(({ position }) => waiting(name, position))
    await entered(name, 4)
    await executor.park(events[1]!)
    await Promise.all([waits[1]!.promise, waits[2]!.promise])
    assert.is(await reached(name, events[0]!.position), false)
    assert.is(waits[0]!.state, 'waiting')
    await meow.waitFor(name, events[2]!.position, { timeoutMs })
    await executor.advance(events[0]!.position)
    await waits[0]!.promise
    assert.is(far.state, 'waiting')
    await meow.deleteSubscription(name)
    await rejects(far.promise, SubscriptionNotFoundError)
  }
})

test('a later position of another stream is not passed by what is parked', async () => {
  const { name, stream, executor, events } = await setUp()
  const { position } = await meow.append({ ...stream, streamId: 'b' }, { type: 'A', data: 1 })
  const wait = waiting(name, position)
  await entered(name)
  await executor.park(events[0]!)
  await meow.waitFor(name, events[2]!.position, { timeoutMs })
  assert.is(await reached(name, position), false)
  assert.is(wait.state, 'waiting')
  await executor.advance(position)
  await wait.promise
})

test('released, reset, deleted: waiting calls notice', async () => {
  const { name, executor, events } = await setUp()
  const { position } = events[2]!
  const first = waiting(name, position)
  await entered(name)
  await meow.resetSubscription(name, { after: position })
  await first.promise

  await meow.resetSubscription(name, 'start')
  await executor.claim()
  const second = waiting(name, position)
  await entered(name)
  await executor.client.query('select release($1, $2, $3, $4, $5, true)', [
    name,
    executor.owner,
    [0],
    [executor.epochs.get(0)],
    [position],
  ])
  await second.promise

  const third = waiting(name, position + 1)
  await entered(name)
  await meow.deleteSubscription(name)
  const error = await rejects(third.promise, SubscriptionNotFoundError)
  assert.is(error.subscription, name)
  await rejects(meow.waitFor(name, position), SubscriptionNotFoundError)
})

test('a position that does not exist yet is waited for until the timeout', async () => {
  const { name } = await setUp()
  const error = await rejects(meow.waitFor(name, Number.MAX_SAFE_INTEGER, { timeoutMs: 50 }), TimeoutError)
  assert.is(error.timeoutMs, 50)
  assert.match(error.message, name)
  assert.match(error.message, String(Number.MAX_SAFE_INTEGER))
  await entered(name, 0)
})

test('5 s unless told otherwise', async () => {
  const { name, events } = await setUp()
  const begin = performance.now()
  const { timeoutMs } = await rejects(meow.waitFor(name, events[0]!.position), TimeoutError)
  assert.is(timeoutMs, 5_000)
  assert.ok(performance.now() - begin >= 4_990)
})

test('an aborted signal rejects with its reason, before and during', async () => {
  const { name, events } = await setUp()
  const reason = new Error('enough')
  const wait = meow.waitFor(name, events[0]!.position, { signal: AbortSignal.abort(reason) })
  assert.is(await rejects(wait, Error), reason)
  const controller = new AbortController()
  const later = meow.waitFor(name, events[0]!.position, { timeoutMs, signal: controller.signal })
  later.catch(() => {})
  await entered(name)
  controller.abort(reason)
  assert.is(await rejects(later, Error), reason)
  await entered(name, 0)
})

test('closing the store ends it', async () => {
  const { name, events } = await setUp()
  const other = await openStore({ pollIntervalMs })
  const wait = waiting(name, events[0]!.position, other)
  await entered(name)
  await other.close()
  await rejects(wait.promise, ClosedError)
  await rejects(other.waitFor(name, events[0]!.position), ClosedError)
})

test('without push it is found by the poll', async () => {
  const { name, executor, events } = await setUp()
  const polling = await openStore({ listen: false, pollIntervalMs: 20 })
  const wait = waiting(name, events[0]!.position, polling)
  await entered(name)
  await executor.advance(events[0]!.position)
  await wait.promise
})

test('over a lost connection, and over a server that lost its waiters', async () => {
  const { name, executor, events } = await setUp()
  const proxy = await startProxy(databaseUrl())
  const other = await openStore({ connectionString: proxy.url, pollIntervalMs })
  await listening(other)
  const wait = waiting(name, events[0]!.position, other)
  await entered(name)
  await proxy.cut()
  await sql.query('delete from waiters where subscription = $1', [name])
  await executor.advance(events[0]!.position)
  assert.is(wait.state, 'waiting')
  await proxy.heal()
  await wait.promise
  await other.close()
  await proxy.close()
})

test('many at once; nothing is left behind', async () => {
  const { name, stream, executor } = await setUp()
  const narrow = await openStore({ pollIntervalMs, maxConnections: 2 })
  await listening(narrow)
  const before = await lastingTimers()
  const { events } = await meow.append(
    stream,
    Array.from({ length: 100 }, () => ({ type: 'A', data: null })),
  )
  const done: number[] = []
  const waits = events.map(async ({ position }) => {
    await narrow.waitFor(name, position, { timeoutMs })
    done.push(position)
  })
  await entered(name, 100)
  for (const { position } of events) await executor.advance(position)
  await Promise.all(waits)
  assert.equal(
    done.toSorted((a, b) => a - b),
    events.map(({ position }) => position),
  )
  await entered(name, 0)
  assert.ok((await lastingTimers()) <= before)
})

test('a waiter that was never heard of again is swept up', async () => {
  const { name, executor, events } = await setUp()
  await sql.query(
    `insert into waiters (subscription, position, id, until)
     values ($1, 1, gen_random_uuid(), clock_timestamp() - interval '1 ms')`,
    [name],
  )
  const wait = waiting(name, events[0]!.position)
  await entered(name, 1)
  await executor.advance(events[0]!.position)
  await wait.promise
})

test('invalid options are refused', async () => {
  const refused: [call: Promise<unknown>, path: string][] = [
    [meow.waitFor('', 1), 'name'],
    [meow.waitFor('x', -1), 'position'],
    [meow.waitFor('x', 1.5), 'position'],
    [meow.waitFor('x', '1' as unknown as number), 'position'],
    [meow.waitFor('x', 1, { timeoutMs: 0 }), 'options.timeoutMs'],
    [meow.waitFor('x', 1, { timeoutMs: Number.POSITIVE_INFINITY }), 'options.timeoutMs'],
    [meow.waitFor('x', 1, { signal: {} as AbortSignal }), 'options.signal'],
    [meow.waitFor('x', 1, { timeout: 1 } as object), 'options.timeout'],
  ]
  for (const [call, path] of refused) assert.is((await rejects(call, ValidationError)).path, path)
})

test.run()
