// @direct
// Two things that may be full at the server for a while: the queue of NOTIFY, which stays full after its cause is gone until
// somebody asks for its usage, and the lock table. Appends ask for it and try again; workers and Observables continue.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isQueueFull } from '../src/database/failures.ts'
import type { Meow } from '../src/index.ts'
import { connect } from '../src/index.ts'
import { ownServer } from './support/own-server.ts'
import { rejects } from './support/rejects.ts'
import { current } from './support/status.ts'
import { uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const server = await ownServer({
  max_notify_queue_pages: 64,
  max_locks_per_transaction: 10,
  max_connections: 30,
  autovacuum: false,
  fsync: false,
})
const logger = { debug() {}, info() {}, warn() {}, error() {} }
const open = () => connect({ connectionString: server.connectionString, pollIntervalMs: 100, logger })
const clients: pg.Client[] = []
const client = async () => {
  const one = new pg.Client({ connectionString: server.connectionString })
  one.on('error', () => {})
  await one.connect()
  clients.push(one)
  return one
}
const sql = await client()
const meow = await open()
await meow.migrate()
test.after(async () => {
  await meow.close()
  for (const one of clients) await one.end()
  await server.remove()
})

const event = { type: 'T', data: {} }

/** Fills the queue; as long as the returned session is in its open transaction, nothing frees it. */
async function fillQueue(): Promise<pg.Client> {
  const offender = await client()
  await offender.query('listen nothing')
  await offender.query('begin; select 1')
  const error = await rejects(
    (async () => {
      for (;;)
        await sql.query(`select pg_notify('nothing', repeat('x', 7000) || n) from generate_series(1, 20) n`)
    })(),
    pg.DatabaseError,
  )
  assert.is(error.code, '54000')
  assert.ok(isQueueFull(error))
  return offender
}

async function gone(offender: pg.Client): Promise<void> {
  const { rows } = await offender.query('select pg_backend_pid() as pid')
  await offender.end()
  clients.splice(clients.indexOf(offender), 1)
  const left = async () =>
    (await sql.query('select from pg_stat_activity where pid = $1', [rows[0].pid])).rowCount === 0
  await until(left, { what: 'the offender to be gone' })
}

test('appends alone, together and with a projection succeed although the queue stays full', async () => {
  const ways: Record<string, (store: Meow, category: string) => Promise<unknown>> = {
    alone: (store, category) => store.append({ category, streamId: 'a' }, event),
    together: (store, category) =>
      Promise.all(['a', 'b', 'c'].map((streamId) => store.append({ category, streamId }, [event, event]))),
    'all or none': (store, category) =>
      store.appendAll(['a', 'b'].map((streamId) => ({ stream: { category, streamId }, events: event }))),
    'with a projection': (store, category) => {
      store.project(category, (_, client) => client.query('select 1'))
      return store.append({ category, streamId: 'a' }, event)
    },
  }
  for (const [way, append] of Object.entries(ways)) {
    const store = await open()
    const category = uniqueName('queue')
    const offender = await fillQueue()
    assert.is(
      ((await rejects(store.append({ category, streamId: 'x' }, event), Error)) as { code?: string }).code,
      '54000',
      'while it is there, the server has the last word',
    )
    await gone(offender)
    await append(store, category)
    assert.ok((await meow.read({ category })).events.length > 0, way)
    await store.close()
  }
})

test('another limit has the same code: it is not taken for a full queue, and its append is not tried again', async () => {
  await sql.query('create table wide (text text unique)')
  const wide = `insert into wide select string_agg(md5(n::text), '') from generate_series(1, 1000) n`
  const store = await open()
  const category = uniqueName('limit')
  let calls = 0
  store.project(category, (_, client) => {
    calls++
    return client.query(wide)
  })
  const error = (await rejects(store.append({ category, streamId: 'a' }, event), Error)) as pg.DatabaseError
  assert.is(error.code, '54000', `${error}`)
  assert.not(isQueueFull(error))
  assert.is(calls, 1)
  await store.close()
})

test('workers start and continue after the queue was full; nothing is parked because of it', async () => {
  const category = uniqueName('queue')
  const store = await open()
  const handled: Record<string, number[]> = { plain: [], transactional: [] }
  const start = (way: string) =>
    store.subscription(`${category}_${way}`, { category, leaseMs: 900 }).process(
      async ({ position }, { client }) => {
        handled[way]!.push(position)
        await client?.query(`select pg_notify('somewhere', '')`) // the handler's own, refused at the commit
      },
      { transactional: way === 'transactional', retry: { maxAttempts: 1 } },
    )
  const offender = await fillQueue()
  const workers = ['plain', 'transactional'].map(start)
  const ended: unknown[] = []
  for (const { done } of workers) done.catch((error) => ended.push(error))
  await gone(offender)
  await Promise.all(workers.map(({ ready }) => ready))
  await meow.append({ category, streamId: 'a' }, event)
  await until(() => Object.values(handled).every(({ length }) => length > 0), { what: 'the first event' })
  const second = await fillQueue()
  await sql
    .query(
      `insert into meowmx.events (id, category, stream_id, version, type, data)
     values (gen_random_uuid(), $1, 'b', 0, 'T', '{}')`,
      [category],
    )
    .catch(() => {})
  await gone(second)
  const { position } = await meow.append({ category, streamId: 'c' }, event)
  await until(() => ended.length > 0 || Object.values(handled).every((all) => all.includes(position)), {
    what: 'the next',
    timeoutMs: 30_000,
  })
  assert.equal(ended, [])
  assert.equal(await meow.parked(`${category}_transactional`), [])
  await store.close()
})

test('the lock table is full for a while: afterwards workers and Observables continue', async () => {
  const category = uniqueName('locks')
  const store = await open()
  const handled: number[] = []
  const seen: number[] = []
  const ended: unknown[] = []
  const subscriptions = [false, true].map((transactional) => {
    const subscription = store.subscription(uniqueName('locks'), { category, leaseMs: 900 })
    const worker = subscription.process(({ position }) => void handled.push(position), { transactional })
    worker.done.catch((error) => ended.push(error))
    return { subscription, worker }
  })
  const observing = store
    .events({ category })
    .subscribe({ next: ({ position }) => void seen.push(position), error: (error) => ended.push(error) })
  await Promise.all(subscriptions.map(({ worker }) => worker.ready))
  await meow.append({ category, streamId: 'a' }, event)
  await until(() => handled.length === 2 && seen.length === 1, { what: 'the first event' })
  const hoarder = await client()
  // Those it got before it failed are its own until it ends.
  const error = await rejects(
    hoarder.query('select pg_advisory_lock(n) from generate_series(1, 1000000) n'),
    pg.DatabaseError,
  )
  assert.is(error.code, '53200')
  await until(
    () => subscriptions.some(({ subscription }) => current(subscription.status$).state === 'failing'),
    { what: 'somebody to be refused', timeoutMs: 30_000 },
  )
  await hoarder.end()
  clients.splice(clients.indexOf(hoarder), 1)
  const { position } = await meow.append({ category, streamId: 'a' }, event)
  await until(
    () =>
      ended.length > 0 || (seen.includes(position) && handled.filter((one) => one === position).length === 2),
    { what: 'the next event', timeoutMs: 30_000 },
  )
  assert.equal(ended, [])
  observing.unsubscribe()
  await store.close()
})

test.run()
