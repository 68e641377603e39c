// PgBouncer in transaction mode: no two transactions need the same session, and only LISTEN bypasses it. `npm run
// test:pgbouncer` runs the whole suite in this way.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions, Meow } from '../src/index.ts'
import { ConnectionError, connect } from '../src/index.ts'
import { collect } from './support/collect.ts'
import type { PgBouncer } from './support/pgbouncer.ts'
import { findPgBouncer, startPgBouncer } from './support/pgbouncer.ts'
import { current } from './support/status.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'
import { unless } from './support/ways.ts'

const program = findPgBouncer()
const pooled = unless(!program && 'there is no pgbouncer here (Debian: apt-get install pgbouncer)', test)

const event = { type: 'Happened', data: {} }
const opened: PgBouncer[] = []
let pooler: PgBouncer
test.before(async () => {
  if (!program) return
  pooler = await startPgBouncer(program, directUrl())
  opened.push(pooler)
})
test.after(async () => {
  await closeAll()
  for (const { stop } of opened) await stop()
})

/** Queries go through the pooler, LISTEN goes round it. */
const options = () => ({
  connectionString: pooler.url,
  listenConnectionString: directUrl(),
  listen: true,
  prepare: false,
  pollIntervalMs: 60_000,
})
const open = (more: ConnectOptions = {}): Promise<Meow> => openStore({ ...options(), ...more })

pooled('LISTEN goes round it: what is appended through it is pushed', async () => {
  const [meow, writer] = [await open(), await open()]
  await until(() => current(meow.status$).state === 'listening', { what: 'push' })
  const category = uniqueName('pooled')
  const seen = collect(meow.events({ category }))
  const handled: number[] = []
  const worker = meow.subscription(category, { category, partitions: 2 }).process((event) => {
    handled.push(event.position)
  })
  await worker.ready
  for (const n of upTo(20)) {
    const { position } = await writer.append({ category, streamId: `${n}` }, event)
    await seen.has(n + 1)
    await meow.waitFor(category, position)
  }
  assert.is(handled.length, 20)
  await worker.stop()
})

pooled(
  'transactions keep together: effects exactly once, the caller’s own, a conflict that leaves it usable',
  async () => {
    const meow = await open()
    const category = uniqueName('pooled')
    const table = `${storeSchema}.${uniqueName('effects')}`
    const sql = await pgClient()
    await sql.query(`create table ${table} (position bigint)`)
    await Promise.all(upTo(300).map((n) => meow.append({ category, streamId: `${n % 7}` }, event)))
    let failed = 0
    const worker = meow.subscription(category, { category, partitions: 4 }).process(
      async ({ position }, { client }) => {
        await client.query(`insert into ${table} values ($1)`, [position])
        if (position % 50 === 0 && failed++ < 5) throw new Error('now and then')
      },
      { transactional: true, batchSize: 10, retry: { minDelayMs: 1, maxDelayMs: 1 } },
    )
    await worker.ready
    const client = new pg.Client(pooler.url)
    await client.connect()
    await client.query('begin')
    const mine = { category, streamId: 'mine' }
    await meow.append(mine, event, { client })
    const conflict = await meow
      .append(mine, event, { client, expectedVersion: 'no-stream' })
      .catch(({ code }) => code)
    assert.is(conflict, 'ERR_VERSION_CONFLICT')
    const { position } = await meow.append(mine, event, { client })
    await client.query('commit')
    await client.end()
    await meow.waitFor(category, position, { timeoutMs: 15_000 })
    const caughtUp = async () => (await meow.subscriptions()).find(({ name }) => name === category)!.lag === 0
    await until(caughtUp, { what: 'the subscription' })
    await worker.stop()
    assert.ok(failed > 0)
    const { rows } = await sql.query(`select position::int from ${table} order by 1`)
    const all = await meow.read({ category })
    assert.equal(
      rows.map(({ position }) => position),
      all.events.map(({ position }) => position),
    )
  },
)

pooled('what is late is cancelled on the server, through the pooler', async () => {
  const meow = await open({ listen: false, queryTimeoutMs: 1_500 })
  await meow.read({})
  const sql = await pgClient()
  await sql.query(`begin; lock table ${storeSchema}.events in access exclusive mode`)
  const waiting = async () => {
    const { rows } = await sql.query(
      `select pid from pg_locks where relation = '${storeSchema}.events'::regclass and not granted`,
    )
    return rows.length
  }
  const late = meow.categories().catch((error) => error)
  await until(async () => (await waiting()) > 0, { what: 'the query to wait' })
  assert.is((await late).code, 'ERR_TIMEOUT')
  await until(async () => (await waiting()) === 0, { what: 'the query to end' })
  await sql.query('rollback')
  await meow.close()
})

pooled(
  'a client gets another session for each transaction, and migrate() by ten at once runs once',
  async () => {
    const pool = new pg.Pool({ connectionString: pooler.url, max: 10 })
    await Promise.all(upTo(10).map(() => pool.query('select pg_sleep(0.1)')))
    await pool.end()
    const client = new pg.Client(pooler.url)
    await client.connect()
    const pids = []
    for (const _ of upTo(4)) pids.push((await client.query('select pg_backend_pid() as pid')).rows[0].pid)
    await client.end()
    assert.is(new Set(pids).size, 4, 'else these tests show nothing')

    const schema = uniqueName('pooled')
    const stores = await Promise.all(upTo(5).map(() => connect({ ...options(), schema })))
    const results = await Promise.all([...stores, ...stores].map((store) => store.migrate()))
    assert.is(results.filter(({ applied }) => applied.length > 0).length, 1)
    await stores[0]!.append({ category: 'a', streamId: '1' }, event)
    for (const store of stores) {
      assert.is((await store.read({})).events.length, 1)
      await store.close()
    }
    await (await pgClient()).query(`drop schema ${schema} cascade`)
  },
)

pooled('named statements that it loses are an error that says what to do', async () => {
  const meow = await open({ prepare: true, maxConnections: 1 })
  const refused = async () => {
    const error = await meow.append({ category: uniqueName('named'), streamId: '1' }, event).then(
      () => undefined,
      (error) => error,
    )
    return error
  }
  const error = await until(refused, { what: 'a session that does not know the statement' })
  assert.instance(error, ConnectionError)
  assert.match(error.message, 'prepare: false')
})

test.run()
