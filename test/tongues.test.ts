// @direct
// Nothing depends on messages of the server, which may be translated: with a server in another language everything has the same
// result.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions } from '../src/index.ts'
import {
  ConnectionError,
  connect,
  DuplicateEventError,
  MeowError,
  SchemaError,
  SubscriptionMismatchError,
  VersionConflictError,
} from '../src/index.ts'
import { cli } from './support/cli.ts'
import { errorMessage, startForeignProxy } from './support/foreign-tongue.ts'
import { rejects } from './support/rejects.ts'
import { current, listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

/** By which code the server panics when a command is complete next. */
let panics: string | undefined
const proxy = await startForeignProxy(databaseUrl(), (type) => {
  if (type !== 'C' || !panics) return undefined
  const message = errorMessage('PANIC', panics)
  panics = undefined
  return message
})
const meow = await openStore() // migrates
const sql = await pgClient()
const [parents, children] = [`${storeSchema}.parents`, `${storeSchema}.children`]
await sql.query(`create table ${parents} (id text primary key)`)
await sql.query(
  `create table ${children} (id text, parent text references ${parents} deferrable initially deferred)`,
)
test.after(async () => {
  await closeAll()
  await proxy.close()
})

const event = { type: 'T', data: {} }
const foreign = (options: ConnectOptions = {}) => openStore({ connectionString: proxy.url, ...options })
const one = { maxConnections: 1, listen: false }
const orphan = (client: pg.ClientBase, id = uniqueName('orphan')) =>
  client.query(`insert into ${children} values ($1, 'nobody')`, [id])

test('the proxy speaks no English', async () => {
  const client = await pgClient({ connectionString: proxy.url })
  const error = await rejects(client.query('select 1 / 0'), pg.DatabaseError)
  assert.equal([error.severity, error.code], ['ОШИБКА', '22012'])
  assert.match(error.message, /^по-русски/)
})

test('a projection that hides the failure of its query: the cause is named, and the connection can be used again', async () => {
  const store = await foreign(one)
  const category = uniqueName('swallowed')
  const forget = store.project(category, async (_, client) => {
    await client.query('select 1 / 0').catch(() => {})
  })
  const error = await rejects(store.append({ category, streamId: 'a' }, event), MeowError)
  assert.is(error.code, 'ERR_PROJECTION')
  assert.is((error.cause as { code?: string }).code, '22012')
  assert.ok(error.message.includes((error.cause as Error).message), error.message)
  forget()
  for (const streamId of ['a', 'b']) await store.append({ category, streamId }, event)
  assert.is((await store.load({ category, streamId: 'a' })).length, 1)
  await store.close()
})

test('a projection that violates a deferred constraint: the append is refused, and the connection can be used again', async () => {
  const store = await foreign(one)
  const category = uniqueName('deferred')
  const forget = store.project(category, (_, client) => orphan(client))
  const error = await rejects(store.append({ category, streamId: 'a' }, event), Error)
  assert.is((error as { code?: string }).code, '23503')
  forget()
  await store.append({ category, streamId: 'a' }, event, { expectedVersion: 'no-stream' })
  assert.is((await store.load({ category, streamId: 'a' })).length, 1)
  await store.close()
})

test('in a transaction of the caller, only the effects of the failed projection are undone', async () => {
  const store = await foreign(one)
  const category = uniqueName('inside')
  store.project(category, async (events, client) => {
    if (events[0]!.streamId === 'bad') await client.query('select 1 / 0').catch(() => {})
  })
  const client = await pgClient({ connectionString: proxy.url })
  await client.query('begin')
  const error = await rejects(store.append({ category, streamId: 'bad' }, event, { client }), MeowError)
  assert.is(error.code, 'ERR_PROJECTION')
  await store.append({ category, streamId: 'good' }, event, { client })
  await rejects(
    store.append({ category, streamId: 'good' }, event, { client, expectedVersion: 5 }),
    VersionConflictError,
  )
  await client.query('commit')
  assert.equal(
    (await store.read({ category })).events.map(({ streamId }) => streamId),
    ['good'],
  )
  await store.close()
})

test('a transactional handler that violates a deferred constraint is parked, and so is one that keeps a failure to itself', async () => {
  const store = await foreign()
  const category = uniqueName('parks')
  const streams = ['a', 'orphan', 'b', 'swallows', 'c']
  await store.appendAll(streams.map((streamId) => ({ stream: { category, streamId }, events: event })))
  for (const batchSize of [1, 100]) {
    const name = uniqueName('parks')
    const handled: string[] = []
    const worker = store.subscription(name, { category }).process(
      async ({ streamId }, { client }) => {
        if (streamId === 'orphan') await orphan(client)
        if (streamId === 'swallows') await client.query('select 1 / 0').catch(() => {})
        else await client.query('select 1') // which fails, too, in a transaction that is aborted
        handled.push(streamId)
      },
      { transactional: true, batchSize, retry: { maxAttempts: 1 } },
    )
    const info = async () => (await store.subscriptions()).find((one) => one.name === name)
    await until(async () => (await info())?.lag === 0, { what: 'all to be dealt with' })
    assert.is(await Promise.race([worker.done.then(() => 'ended'), Promise.resolve('works')]), 'works')
    await worker.stop()
    const parked = Object.fromEntries(
      (await store.parked(name)).map(({ event, error }) => [event.streamId, error!]),
    )
    assert.equal(Object.keys(parked).sort(), ['orphan', 'swallows'])
    assert.match(parked.swallows!, /did not throw its error: по-русски/)
    assert.is(handled.filter((streamId) => streamId === 'swallows').length, 1, 'maxAttempts')
  }
  await store.close()
})

test('logins that are refused say why', async () => {
  const nobody = new URL(proxy.url)
  nobody.username = uniqueName('nobody')
  const elsewhere = new URL(proxy.url)
  elsewhere.pathname = uniqueName('nowhere')
  for (const [url, says] of [
    [nobody, /refused the login/],
    [elsewhere, /create it, or check the database name/],
  ] as const) {
    const failing = async () => {
      await using store = await connect({ connectionString: url.href, schema: storeSchema, listen: false })
      await store.load({ category: 'c', streamId: 's' })
    }
    assert.match((await rejects(failing(), ConnectionError)).message, says)
  }
})

test('appends are refused, deduplicated, and run again after a race', async () => {
  const store = await foreign()
  const stream = { category: uniqueName('race'), streamId: 's' }
  const id = crypto.randomUUID()
  await store.append(stream, { ...event, id })
  assert.ok((await store.append(stream, { ...event, id })).deduplicated)
  await rejects(store.append(stream, { ...event, id, type: 'Other' }), DuplicateEventError)
  await rejects(store.append(stream, event, { expectedVersion: 5 }), VersionConflictError)
  const others = await Promise.all([foreign(one), foreign(one), foreign(one)])
  await Promise.all(others.flatMap((other) => Array.from({ length: 20 }, () => other.append(stream, event))))
  assert.is((await store.load(stream)).length, 61)
  await Promise.all([store, ...others].map((one) => one.close()))
})

test('a server that panics when it should answer a commit: the append is looked up', async () => {
  const category = uniqueName('panic')
  for (const [code, projected] of [
    ['53100', false],
    ['XX000', false],
    ['58030', true],
  ] as const) {
    const store = await foreign(one)
    const stream = { category, streamId: code }
    await store.load(stream) // it is connected
    const panic = () => {
      panics = code
    }
    if (projected)
      store.project(category, panic) // so the next is the commit
    else panic()
    const result = await store.append(stream, event)
    assert.is(result.deduplicated, false)
    assert.is((await meow.load(stream)).length, 1, code)
    await store.close()
  }
})

test('what is read says what is missing', async () => {
  const store = await connect({ connectionString: proxy.url, schema: uniqueName('bare'), listen: false })
  await rejects(store.load({ category: 'c', streamId: 's' }), SchemaError)
  await rejects(store.read({}), SchemaError)
  await rejects(store.subscription('s', {}).process(() => {}).done, SchemaError)
  await store.close()
  const name = uniqueName('mismatch')
  const other = await foreign({ listen: false })
  const worker = other.subscription(name, { category: 'a' }).process(() => {})
  await worker.ready
  await rejects(other.subscription(name, { category: 'b' }).process(() => {}).done, SubscriptionMismatchError)
  await other.close()
})

test('sessions that are ended: workers, the listener and readers go on', async () => {
  const store = await foreign()
  await listening(store)
  const category = uniqueName('ended')
  const [handled, seen]: [number[], number[]] = [[], []]
  const workers = [false, true].map((transactional) =>
    store
      .subscription(uniqueName('ended'), { category })
      .process(({ position }) => void handled.push(position), { transactional }),
  )
  const subscription = store.events({ category }).subscribe(({ position }) => void seen.push(position))
  await Promise.all(workers.map(({ ready }) => ready))
  await sql.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where application_name in ($1, $2)',
    [`meowmx ${storeSchema}`, `meowmx listener ${storeSchema}`],
  )
  await meow.append({ category, streamId: 'a' }, event)
  await until(() => handled.length >= 2 && seen.length === 1, { what: 'all of them' })
  await until(() => current(store.status$).state === 'listening', { what: 'push' })
  subscription.unsubscribe()
  await store.close()
})

test('the command says the same', async () => {
  const { code, stderr } = await cli(['subscriptions', '--schema', uniqueName('bare')], {
    env: { DATABASE_URL: proxy.url },
  })
  assert.is.not(code, 0)
  assert.match(stderr, /is not migrated/)
})

test.run()
