// stallers() lists everything that holds a horizon back: open appends, raw INSERTs, prepared transactions, strangers' locks.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startPostgres } from '../src/embedded/index.ts'
import type { Meow, Staller } from '../src/index.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const meow = await openStore({ listen: false })
const event = { type: 'T', data: null }
const cleanups: (() => Promise<unknown>)[] = []
test.after(async () => {
  await closeAll()
  for (const cleanup of cleanups) await cleanup()
})

/** A connection that calls itself `name`, in a transaction; `pid` and when that began. */
async function transaction(name: string): Promise<{ client: pg.Client; pid: number; since: Date }> {
  const client = await pgClient({ application_name: name })
  await client.query('begin')
  const { rows } = await client.query('select pg_backend_pid() as pid, now() as since')
  return { client, ...(rows[0] as { pid: number; since: Date }) }
}

async function committed(): Promise<string> {
  const category = uniqueName('staller')
  await meow.append({ category, streamId: 'a' }, event)
  return category
}

test('empty; then an open transaction that appends, until it ends', async () => {
  assert.equal(await meow.stallers(), [])
  const [category, application] = [await committed(), uniqueName('app')]
  const { client, pid, since } = await transaction(application)
  assert.equal(await meow.stallers(), [], 'it has appended nothing')
  await meow.append({ category, streamId: 'slow' }, event, { client })
  await client.query('select 1 as "the last query"')
  const { rows } = await client.query('select current_database() as database')
  const query = 'select current_database() as database'
  const { database } = rows[0]
  const expected: Staller = { pid, application, database, since, query, category, everyCategory: false }
  assert.equal(await meow.stallers(), [expected])
  assert.is((await meow.read({ category })).events.length, 1)
  const quick = await meow.append({ category, streamId: 'quick' }, event)
  assert.ok((await meow.read({ category })).horizon < quick.position, 'it does hold back')
  assert.equal(await meow.stallers(), [expected])
  await client.query('rollback')
  assert.equal(await meow.stallers(), [])
  assert.is((await meow.read({ category })).horizon, quick.position)
})

test('the oldest first, each with every category that it holds back', async () => {
  const [a, b] = [await committed(), await committed()].toSorted() as [string, string]
  const first = await transaction('first')
  const second = await transaction('second')
  await meow.append({ category: a, streamId: 'x' }, event, { client: second.client })
  await meow.append({ category: b, streamId: 'x' }, event, { client: first.client })
  await meow.append({ category: a, streamId: 'y' }, event, { client: first.client })
  assert.equal(
    (await meow.stallers()).map(({ application, category }) => [application, category]),
    [
      ['first', a],
      ['first', b],
      ['second', a],
    ],
  )
  await first.client.query('rollback')
  await second.client.query('rollback')
})

test('a raw INSERT holds every category back; a category without a committed event has no name', async () => {
  const category = await committed()
  for (const act of [
    (client: pg.Client) =>
      client.query(
        `insert into ${storeSchema}.events (version, category, stream_id, type, data)
         values (0, '${category}', 'raw', 'T', '1')`,
      ),
    (client: pg.Client) => meow.append({ category: uniqueName('new'), streamId: 'a' }, event, { client }),
  ]) {
    const { client, pid } = await transaction('raw')
    await act(client)
    assert.equal(
      (await meow.stallers()).map(({ pid, category }) => [pid, category]),
      [[pid, null]],
    )
    await client.query('rollback')
  }
})

test("a stranger's lock counts where the horizon counts it, and only there", async () => {
  const category = await committed()
  const stranger = await transaction('stranger')
  const { client, pid } = stranger
  const key = `${storeSchema}.category_key('${category}')`
  const store = `${storeSchema}.store_key()`
  const { rows } = await client.query(
    `select last_value::int as head from ${storeSchema}.events_position_seq`,
  )
  const { head } = rows[0] as { head: number }
  const stalls = async () => (await meow.stallers()).map(({ pid, category }) => [pid, category])
  const horizons = async () => [
    (await meow.read({ category }, { after: head })).horizon > head,
    (await meow.read({}, { after: head })).horizon > head,
  ]

  await client.query(`select pg_advisory_xact_lock_shared(${key}, ${head})`)
  await client.query('select pg_advisory_xact_lock(4711)')
  await meow.append({ category, streamId: 'b' }, event)
  assert.equal(await stalls(), [])
  assert.equal(await horizons(), [true, true])

  await client.query(`savepoint a; select pg_advisory_xact_lock_shared(${store}, ${head})`)
  assert.equal(await stalls(), [[pid, category]])
  assert.equal(await horizons(), [false, false])
  await client.query('rollback')

  // Of a session, outside any transaction; of the store alone.
  await client.query(`select pg_advisory_lock(${store}, ${head})`)
  assert.equal(await stalls(), [[pid, null]])
  assert.equal(await horizons(), [true, false])
  assert.instance((await meow.stallers())[0]!.since, Date)
  await client.end()
})

test('another store in the same database is another matter', async () => {
  const other: Meow = await openStore({ schema: uniqueName('other'), listen: false })
  const { client } = await transaction('other')
  await other.append({ category: 'a', streamId: 'a' }, event, { client })
  assert.equal(await meow.stallers(), [])
  assert.is((await other.stallers()).length, 1)
  await client.query('rollback')
})

test('a prepared transaction has no process, but a name', async () => {
  const server = await startPostgres({ settings: { fsync: false, max_prepared_transactions: 2 } })
  cleanups.push(() => server.stop())
  const { connectionString } = server
  const store = await openStore({ connectionString, schema: 'prepared', listen: false })
  await store.append({ category: 'held', streamId: 'a' }, event)
  const client = await pgClient({ connectionString })
  const text = `begin; set local search_path = prepared; select announce('held'); prepare transaction 'it''s';`
  await client.query(text)
  const { rows } = await client.query(
    'select prepared, current_database() as database from pg_prepared_xacts',
  )
  const [{ prepared, database }] = rows as [{ prepared: Date; database: string }]
  const query = `PREPARE TRANSACTION 'it''s'`
  assert.equal(await store.stallers(), [
    {
      pid: null,
      application: null,
      database,
      since: prepared,
      query,
      category: 'held',
      everyCategory: false,
    },
  ])
  await client.query(`rollback prepared 'it''s'`)
  assert.equal(await store.stallers(), [])
  await client.end()
  await store.close()
})

test('a role with few privileges still gets the process id', async () => {
  const [category, role] = [await committed(), uniqueName('role')]
  const admin = await pgClient()
  await admin.query(`create role ${role}; grant usage on schema ${storeSchema} to ${role};
    grant select on all tables in schema ${storeSchema} to ${role};
    grant select on all sequences in schema ${storeSchema} to ${role}`)
  const url = new URL(directUrl())
  url.searchParams.set('options', `-c role=${role}`)
  const limited = await openStore({ connectionString: url.href, listen: false })
  const { client, pid, since } = await transaction('hidden')
  await meow.append({ category, streamId: 'slow' }, event, { client })
  const seen = async (store: Meow) =>
    (await store.stallers()).map(({ pid, category, since }) => [pid, category, since])
  assert.equal(await seen(limited), [[pid, category, null]])
  assert.equal(await seen(meow), [[pid, category, since]])
  await client.query('rollback')
  await limited.close()
  await admin.query(`drop owned by ${role}; drop role ${role}`)
})

test.run()
