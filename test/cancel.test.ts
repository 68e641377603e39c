// @direct
// A query that takes too long is cancelled on the server, on every kind of connection; queries of others are not.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { QUERY_TIMEOUT } from '../src/database/failures.ts'
import { runQuery } from '../src/database/run-query.ts'
import { TimeoutError } from '../src/index.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
const watcher = await pgClient()
const locking = await pgClient()
test.after.each(async () => {
  await locking.query('rollback')
})
test.after(closeAll)

const TIME_MS = 1_500
const LONG = 'select pg_sleep(300)'

/** The queries of connections with this name, and which of them wait for a lock. */
async function running(application: string): Promise<string[]> {
  const { rows } = await watcher.query(
    `select query from pg_stat_activity where application_name = $1 and state = 'active'`,
    [application],
  )
  return rows.map(({ query }) => query)
}

const stopped = (application: string, query?: string) =>
  until(async () => !(await running(application)).some((one) => one === (query ?? one)), {
    what: `nothing of ${application} to run on`,
    timeoutMs: 30_000,
  })

/** Nobody else gets at these tables until the transaction is rolled back. */
const lock = (...tables: string[]) =>
  locking.query(
    `begin; ${tables.map((table) => `lock table ${storeSchema}.${table} in access exclusive mode`).join('; ')}`,
  )

const calls: Record<string, (store: typeof meow) => Promise<unknown>> = {
  'subscriptions()': (store) => store.subscriptions({ exact: true }),
  'categories()': (store) => store.categories(),
  'load()': (store) => store.load({ category: 'c', streamId: 's' }),
  'read()': (store) => store.read({}),
  'replayParked()': (store) => store.replayParked('nobody'),
}
const own = () => openStore({ listen: false, queryTimeoutMs: TIME_MS })
const lent: Record<string, () => Promise<{ store: typeof meow; application: string; end(): Promise<void> }>> =
  {
    'a pool of ours': async () => {
      const store = await own()
      return { store, application: `meowmx ${storeSchema}`, end: () => store.close() }
    },
    'a lent pool': async () => {
      const application = uniqueName('lent')
      const pool = new pg.Pool({ connectionString: databaseUrl(), application_name: application })
      pool.on('error', () => {})
      const store = await openStore({ pool, listen: false, queryTimeoutMs: TIME_MS })
      return {
        store,
        application,
        end: async () => {
          await store.close()
          await pool.end()
        },
      }
    },
  }
for (const [kind, open] of Object.entries(lent)) {
  for (const [name, call] of Object.entries(calls)) {
    test(`${name} on ${kind}`, async () => {
      const { store, application, end } = await open()
      await store.read({}) // its connection is checked before there is the lock
      await lock('events', 'subscriptions')
      const error = await rejects(call(store), TimeoutError)
      assert.match(error.message, /longer than 1500 ms/)
      await stopped(application) // while the lock that it waited for is still held
      await locking.query('rollback')
      await end()
    })
  }
}

test('a live read, which has several queries under way at once', async () => {
  const store = await own()
  const { category, streamId } = { category: uniqueName('live'), streamId: 's' }
  const got: unknown[] = []
  const subscription = store.events({ category }).subscribe((event) => got.push(event))
  await meow.append({ category, streamId }, { type: 'T', data: null })
  await until(() => got.length === 1, { what: 'the first event' })
  // If the sequence has not moved, no events are read.
  await locking.query(`begin; select count(*) from ${storeSchema}.append('${uniqueName('open')}', 's', '{"type": "T"}');
    lock table ${storeSchema}.events in access exclusive mode`)
  const application = `meowmx ${storeSchema}`
  await until(async () => (await running(application)).length > 0, { what: 'a look to wait' })
  subscription.unsubscribe()
  await stopped(application)
  await locking.query('rollback')
  await store.close()
})

test('the connection of a caller goes on: it gets its transaction back, and nothing else is cancelled', async () => {
  const client = await pgClient({ application_name: uniqueName('caller') })
  const behind = runQuery(client, { text: LONG }, TIME_MS).catch((error) => error)
  const [error, { rows }] = [await behind, await client.query('select 1 as one')]
  assert.equal([error.message, rows], [QUERY_TIMEOUT, [{ one: 1 }]])
})

test('a caller’s own query is not cancelled, even if our query waits too long for it', async () => {
  const application = uniqueName('caller')
  for (const pipeline of [false, true]) {
    const client = await pgClient({ application_name: application, pipeline } as pg.ClientConfig)
    const theirs = client.query('select pg_sleep(6), 7 as seven').catch((error) => error)
    const error = await rejects(runQuery(client, { text: 'select 1' }, TIME_MS), Error)
    assert.is(error.message, QUERY_TIMEOUT)
    assert.equal(await running(application), ['select pg_sleep(6), 7 as seven'])
    // A pipelined connection is closed with all of its queries; any other connection continues.
    if (!pipeline) assert.is((await theirs).rows[0].seven, 7)
    else assert.match((await theirs).message, /terminated/)
    await stopped(application)
  }
})

test('the query of a handler, on the connection of its transaction', async () => {
  const store = await own()
  const category = uniqueName('handled')
  await store.append({ category, streamId: 's' }, { type: 'T', data: null })
  const failed = new Promise<Error>((resolve) => {
    const handler = (_: unknown, { client }: { client?: pg.ClientBase }) =>
      client!.query(LONG).catch((error) => {
        resolve(error)
        throw error
      })
    const worker = store.subscription(category, { category }).process(handler, { transactional: true })
    worker.done.catch(() => {})
  })
  assert.is((await failed).message, QUERY_TIMEOUT)
  await stopped(`meowmx ${storeSchema}`, LONG)
  await store.close()
})

test('an append that is late is left to the server: it may only wait for a standby', async () => {
  const store = await own()
  await locking.query(`begin; lock table ${storeSchema}.events in share row exclusive mode`)
  const category = uniqueName('late')
  const appending = store
    .append({ category, streamId: 's' }, { type: 'T', data: null })
    .catch((error) => error)
  await until(async () => (await running(`meowmx ${storeSchema}`)).length > 0, { what: 'it to wait' })
  const error = await appending
  assert.ok(error instanceof Error, 'it does not wait for ever')
  assert.ok((await running(`meowmx ${storeSchema}`)).length > 0)
  await locking.query('rollback')
  await stopped(`meowmx ${storeSchema}`)
  assert.is((await meow.load({ category, streamId: 's' })).length, 1)
  await store.close()
})

test('a server that cannot be reached any more delays the error by at most the same time again', async () => {
  const proxy = await startProxy(databaseUrl())
  const store = await openStore({ connectionString: proxy.url, listen: false, queryTimeoutMs: TIME_MS })
  await store.categories()
  proxy.blackhole()
  await rejects(store.categories(), TimeoutError)
  await proxy.cut()
  await rejects(store.categories(), Error)
  await proxy.heal()
  await store.categories()
  await store.close()
  await proxy.close()
})

test.run()
