// @direct
// A connection whose rollback fails is closed: no other borrower gets it with the open transaction.
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { MeowError } from '../src/index.ts'
import { ConnectionError, connect } from '../src/index.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const QUERY_MS = 1_000
const event = { type: 'T', data: {} }

/** After the server has sent this code, it receives nothing more until `thaw`, so the rollback that follows gets no answer. */
let silentAfter: string | undefined
let isSilent = false
const proxy = await startProxy(databaseUrl(), () => ({
  there() {},
  back(chunk) {
    if (!silentAfter || !chunk.includes(`C${silentAfter}\0`)) return chunk
    silentAfter = undefined
    isSilent = true
    proxy.blackhole('there')
    return chunk
  },
}))
await openStore() // migrates
const sql = await pgClient()
await sql.query(
  `create table ${storeSchema}.unique_at_the_end (n int unique deferrable initially deferred);
   insert into ${storeSchema}.unique_at_the_end values (1)`,
)
test.after(async () => {
  await closeAll()
  await proxy.close()
})

/** The backends of the connections through the proxy. */
async function backends(): Promise<number[]> {
  const { rows } = await sql.query('select pid from pg_stat_activity where client_port = any ($1)', [
    proxy.ports,
  ])
  return rows.map(({ pid }) => pid)
}

const settings = { listen: false, maxConnections: 1, queryTimeoutMs: QUERY_MS }
const open = () => openStore({ connectionString: proxy.url, ...settings })

/** The rollback was sent in vain, and given up. */
async function thaw() {
  await until(() => isSilent, { what: 'the error that is rolled back' })
  await delay(3 * QUERY_MS)
  isSilent = false
  proxy.thaw()
}

const failures = {
  'a query that an inline projection keeps to itself': ['25P02', 'select 1 / 0'],
  'a constraint that is deferred until the commit': [
    '23505',
    `insert into ${storeSchema}.unique_at_the_end values (1)`,
  ],
} as const
for (const [what, [code, query]] of Object.entries(failures)) {
  test(`an append: ${what}`, async () => {
    const store = await open()
    const category = uniqueName('rollback')
    const forget = store.project(category, (_, client) => client.query(query).then(undefined, () => {}))
    const before = await backends()
    assert.is(before.length, 1)
    silentAfter = code
    const failed = rejects(store.append({ category, streamId: 'a' }, event), Error)
    await thaw()
    const error = (await failed) as MeowError & { code: string }
    assert.ok(['ERR_PROJECTION', code].includes(error.code), `${error}`)
    await until(async () => !(await backends()).includes(before[0]!), { what: 'the connection to be closed' })
    forget()
    await store.append({ category, streamId: 'a' }, event, { expectedVersion: 'no-stream' })
    await store.close()
  })

  test(`a transactional handler: ${what}`, async () => {
    const store = await open()
    const category = uniqueName('rollback')
    await store.append({ category, streamId: 'a' }, event)
    let used: number | undefined
    const handled: number[] = []
    const worker = store.subscription(category, { category }).process(
      async ({ position }, { client }) => {
        if (used === undefined) {
          used = Number((await client.query('select pg_backend_pid() as pid')).rows[0].pid)
          silentAfter = code
          await client.query(query).catch(() => {})
          if (code === '25P02') await client.query('select 1') // which fails, and so does the handler
        }
        handled.push(position)
      },
      { transactional: true },
    )
    await thaw()
    await until(async () => !(await backends()).includes(used!), { what: 'the connection to be closed' })
    const lag = async () => (await store.subscriptions({ names: [category] }))[0]!.lag
    await until(async () => (await lag()) === 0, { what: 'the event to be handled', timeoutMs: 30_000 })
    assert.ok(handled.length > 0)
    await worker.stop()
    await store.close()
  })
}

test('migrate(), of a role that may not', async () => {
  const role = uniqueName('role')
  await sql.query(`create role ${role} login password 'let me in'`)
  const url = new URL(proxy.url)
  ;[url.username, url.password] = [role, 'let me in']
  const store = await connect({ ...settings, connectionString: url.href, schema: uniqueName('schema') })
  const before = await backends()
  assert.is(before.length, 1)
  silentAfter = '42501'
  const failed = rejects(store.migrate(), ConnectionError)
  await thaw()
  assert.match((await failed).message, 'missing rights')
  await until(async () => !(await backends()).includes(before[0]!), { what: 'the connection to be closed' })
  await store.close()
  await sql.query(`drop role ${role}`)
})

test.run()
