// An error shows its first cause: errors of clients other than pg's stay as they are, and a failed query that a handler hides
// is named and blamed on that handler alone. A consumer that retries ends with its store.
import { retry } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConnectionError, handle } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
test.after(closeAll)
const event = { type: 'T', data: {} }

test("what a client that is not pg's throws is passed on as it is", async () => {
  const stream = { category: uniqueName('foreign'), streamId: 'a' }
  const projected = { category: uniqueName('projected'), streamId: 'a' }
  meow.project(projected.category, () => {})
  for (const error of [
    new Error('the transaction was given up by the ORM'),
    Object.assign(new Error('P2028'), { code: 'P2028' }),
    new TypeError('not a query'),
  ]) {
    const client = { query: () => Promise.reject(error) } as never
    for (const call of [
      meow.append(stream, event, { client }),
      meow.append(stream, [event, event], { client }),
      meow.append(projected, event, { client }),
      meow.appendAll([{ stream, events: event }], { client }),
      meow.load(stream, { client }),
      meow.read({}, { client }),
    ])
      assert.is(await call.catch((failed) => failed), error)
  }
})

test("a client of pg's that is gone is said to be", async () => {
  const stream = { category: uniqueName('gone'), streamId: 'a' }
  const client = await pgClient()
  await client.query('begin')
  const sql = await pgClient()
  const { rows } = await client.query('select pg_backend_pid() as pid')
  await sql.query('select pg_terminate_backend($1)', [rows[0].pid])
  await rejects(meow.append(stream, event, { client }), ConnectionError)
})

for (const way of ['promise', 'callback', 'nobody waits'] as const)
  test(`transactional, ${way}: the query that failed is parked with its event, and with no other`, async () => {
    const name = uniqueName('first')
    const streams = ['a', 'bad', 'b', 'c']
    await meow.appendAll(streams.map((streamId) => ({ stream: { category: name, streamId }, events: event })))
    const calls: string[] = []
    const worker = meow.subscription(name, { category: name }).process(
      async ({ streamId }, { client }) => {
        calls.push(streamId)
        if (streamId === 'a') {
          // It failed too, but that was mended.
          await client.query('savepoint own')
          await client.query(`select 'no number'::int`).catch(() => {})
          await client.query('rollback to own')
        }
        if (streamId === 'bad') {
          if (way === 'callback')
            await new Promise<void>((done) => client.query('select 1 / 0', () => done()))
          else {
            const failing = client.query('select 1 / 0').catch(() => {})
            if (way === 'promise') await failing
          }
          await client.query('select 1').catch(() => {}) // what follows fails, and is not what went wrong
        } else {
          await client.query('select 1')
        }
      },
      { transactional: true, retry: { maxAttempts: 1 } },
    )
    await worker.ready
    const info = async () => (await meow.subscriptions()).find((one) => one.name === name)!
    await until(async () => (await info()).lag === 0, { what: 'all to be dealt with' })
    await worker.stop()
    const parked = await meow.parked(name)
    assert.equal(
      parked.map(({ event, attempts }) => [event.streamId, attempts]),
      [['bad', 1]],
    )
    assert.match(parked[0]!.error!, /division by zero/)
    assert.is(calls.filter((streamId) => streamId === 'bad').length, 1)
  })

test('a projection that hides it: the first cause, too', async () => {
  const category = uniqueName('first')
  meow.project(category, async (_, client) => {
    await client.query('select 1 / 0').catch(() => {})
    await client.query('select 1').catch(() => {})
  })
  const client = await pgClient()
  await client.query('begin')
  for (const options of [{}, { client }]) {
    const error = await rejects(meow.append({ category, streamId: 'a' }, event, options), Error)
    assert.match(error.message, /division by zero/)
    assert.is((error.cause as { code?: string }).code, '22012')
  }
  await client.query('commit')
})

test('deliveries() that are retried for ever end with their store', async () => {
  const category = uniqueName('retried')
  await meow.append({ category, streamId: 'a' }, event)
  const store = await openStore({ listen: false })
  let failures = 0
  let completed = false
  const subscription = store.subscription(uniqueName('retried'), { category })
  subscription
    .deliveries()
    .pipe(
      handle(() => {
        failures++
        throw new Error('never')
      }),
      retry(),
    )
    .subscribe({ complete: () => (completed = true) })
  await until(() => failures > 2, { what: 'it to fail' })
  await store.close()
  await until(() => completed, { what: 'it to complete' })
  let late = false
  subscription.deliveries().subscribe({ complete: () => (late = true) })
  assert.ok(late)
})

test.run()
