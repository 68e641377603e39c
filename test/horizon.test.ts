// An event is held back only if another could still appear below it: an open append holds back its own category, a raw INSERT
// all categories, a foreign transaction none. Polls are a minute apart here: events that were held back come because their tail
// fetches the horizon again.
import { map } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { heard } from './support/listens.ts'
import { listening } from './support/status.ts'
import { closeAll, directUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { unless, withoutPush } from './support/ways.ts'

const pushed = unless(withoutPush, test)
const event = { type: 'Happened', data: {} }
const pollIntervalMs = 60_000

test.after(closeAll)

test('an open append holds back its own category and the store, no other category', async () => {
  const { meow, schema, own, other } = await fresh()
  const seen = [{ category: own }, { category: other }, {}].map((selector) => collect(meow.events(selector)))
  const [inOwn, inOther, inAll] = seen as [(typeof seen)[0], (typeof seen)[0], (typeof seen)[0]]
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category: own, streamId: 'slow' }, event, { client })
  const held = await meow.append({ category: own, streamId: 'quick' }, event)
  const free = await meow.append({ category: other, streamId: 'quick' }, event)

  await inOther.has(1)
  assert.equal(await horizons(client, schema, own, other), [0, free.position])
  const page = await meow.read({ category: own })
  assert.equal([page.events, page.horizon], [[], 0])
  assert.is((await meow.read({})).events.length, 0)
  assert.is((await meow.read({ category: other })).events.length, 1)
  assert.equal([inOwn.all, inAll.all], [[], []])

  await client.query('commit')
  await inOwn.has(2)
  await inAll.has(3)
  assert.equal(
    inOwn.all.map(({ streamId }) => streamId),
    ['slow', 'quick'],
  )
  assert.is(inOwn.all[1]!.position, held.position)
  assert.equal(
    inAll.all.map(({ position }) => position),
    [held.position - 1, held.position, free.position],
  )
})

test('a rolled-back append frees what it held, though nothing is notified then', async () => {
  const { meow, own } = await fresh()
  const [inOwn, inAll] = [collect(meow.events({ category: own })), collect(meow.events({}))]
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category: own, streamId: 'slow' }, event, { client })
  const { position } = await meow.append({ category: own, streamId: 'quick' }, event)
  assert.is((await meow.read({ category: own })).events.length, 0)
  await client.query('rollback')
  await inOwn.has(1)
  await inAll.has(1)
  assert.equal(
    [...inOwn.all, ...inAll.all].map((event) => event.position),
    [position, position],
  )
})

pushed(
  'so it does for who began while it was held back, or whose listener was away when it was notified',
  async () => {
    const { meow, schema, own } = await fresh()
    const sql = await pgClient()
    // One for all stores of this process, named after one of them.
    const listeners = schemas.map((name) => `'meowmx listener ${name}'`).join()
    const hold = async () => {
      const client = await pgClient()
      await client.query('begin')
      await meow.append({ category: own, streamId: 'slow' }, event, { client })
      return client
    }
    const beginning = await hold()
    await meow.append({ category: own, streamId: 'quick' }, event)
    const inOwn = collect(meow.events({ category: own }))
    await heard('LISTEN', own)
    await meow.read({ category: own })
    await beginning.query('rollback')
    await inOwn.has(1)

    const states = collect(meow.status$.pipe(map(({ state }) => state)))
    const away = await hold()
    await sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name in (${listeners});
     select from ${schema}.append('${own}', 'quick', '{"type": "Happened", "data": {}}')`,
    )
    await until(() => states.all.slice(-2).join() === 'reconnecting,listening', { what: 'the listener' })
    await meow.read({ category: own })
    assert.is(inOwn.all.length, 1)
    await away.query('rollback')
    await inOwn.has(2)
  },
)

test('so does a rollback to a savepoint, while its transaction stays open', async () => {
  const { meow, schema, own, other } = await fresh()
  const inOwn = collect(meow.events({ category: own }))
  const client = await pgClient()
  await client.query('begin; savepoint a')
  await meow.append({ category: own, streamId: 'undone' }, event, { client })
  const { position } = await meow.append({ category: own, streamId: 'quick' }, event)
  assert.is((await meow.read({ category: own })).events.length, 0)
  await client.query('rollback to a')
  await inOwn.has(1)
  // It holds nothing, but what it appends from now on lies above.
  await meow.append({ category: own, streamId: 'late' }, event, { client })
  const [horizon] = await horizons(client, schema, own, other)
  assert.is(horizon, position)
  await client.query('commit')
  await inOwn.has(2)
  assert.ok(inOwn.all[1]!.position > position)
})

test('an append that begins later does not hold back earlier events', async () => {
  const { meow, own } = await fresh()
  const { position } = await meow.append({ category: own, streamId: 'first' }, event)
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category: own, streamId: 'slow' }, event, { client })
  const page = await meow.read({ category: own })
  assert.is(page.events.length, 1)
  assert.is(page.horizon, position)
  await client.query('rollback')
})

test('an open raw INSERT holds back every category, until it ends', async () => {
  const { meow, schema, own, other } = await fresh()
  const seen = [own, other].map((category) => collect(meow.events({ category })))
  for (const end of ['commit', 'rollback']) {
    const before = seen.map(({ all }) => all.length) as [number, number]
    const client = await pgClient()
    await client.query('begin')
    await client.query(
      `insert into ${schema}.events (category, stream_id, version, type, data) values ($1, $2, 0, 'Raw', '1')`,
      [own, `raw ${end}`],
    )
    const { position } = await meow.append({ category: other, streamId: end }, event)
    assert.ok((await meow.read({ category: other })).horizon < position)
    assert.ok((await meow.read({})).horizon < position)
    assert.is(seen[1]!.all.length, before[1])
    await client.query(end)
    await seen[1]!.has(before[1] + 1)
    await seen[0]!.has(before[0] + (end === 'commit' ? 1 : 0))
    assert.is((await meow.read({ category: other })).horizon, position)
  }
  assert.is(seen[0]!.all.length, 1)
})

test('after 16 categories a transaction holds back every category', async () => {
  const { meow, other } = await fresh()
  const client = await pgClient()
  await client.query('begin')
  const append = (category: string) => meow.append({ category, streamId: '1' }, event, { client })
  for (let i = 0; i < 16; i++) await append(`many ${i}`)
  const { position } = await meow.append({ category: other, streamId: '1' }, event)
  assert.is((await meow.read({ category: other })).horizon, position)
  await append('one more')
  const later = await meow.append({ category: other, streamId: '1' }, event)
  assert.is((await meow.read({ category: other })).horizon, position)
  const { rows } = await client.query(
    `select count(*)::int as locks from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()`,
  )
  assert.ok(rows[0].locks <= 18, `${rows[0].locks} locks`)
  await client.query('commit')
  assert.is((await meow.read({ category: other })).horizon, later.position)
  assert.is((await meow.read({})).events.length, 19)
})

test('with several open appends the horizon goes up step by step', async () => {
  const { meow, schema, own, other } = await fresh()
  const clients = []
  const positions: number[] = []
  for (let i = 0; i < 3; i++) {
    const client = await pgClient()
    await client.query('begin')
    await meow.append({ category: own, streamId: `slow ${i}` }, event, { client })
    positions.push((await meow.append({ category: own, streamId: `quick ${i}` }, event)).position)
    clients.push(client)
  }
  const [first, second, third] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]]
  const horizon = async () => (await horizons(await pgClient(), schema, own, other))[0]
  assert.is(await horizon(), 0)
  await second.query('commit')
  assert.is(await horizon(), 0)
  await first.query('rollback')
  assert.is(await horizon(), positions[1])
  await third.query('commit')
  assert.is(await horizon(), positions[2])
})

test('the horizon is a committed position: never that of an event that was rolled back', async () => {
  const { meow, own } = await fresh()
  const { position } = await meow.append({ category: own, streamId: '1' }, event)
  const client = await pgClient()
  await client.query('begin')
  const undone = await meow.append({ category: own, streamId: '1' }, [event, event, event], { client })
  await client.query('rollback')
  assert.ok(undone.position > position)
  const page = await meow.read({ category: own })
  assert.equal([page.horizon, page.position], [position, position])
})

test('foreign transactions with advisory locks, here and in another database: nothing waits', async () => {
  const { meow, own } = await fresh()
  const inOwn = collect(meow.events({ category: own }))
  const here = await pgClient()
  const database = uniqueName('foreign')
  await here.query(`create database ${database}`)
  const url = new URL(directUrl())
  url.pathname = `/${database}`
  const there = await pgClient({ connectionString: url.href })
  for (const client of [here, there]) {
    await client.query('begin')
    await client.query(`create table ${uniqueName('foreign')} (n int)`)
    // The same kind of lock as an announcement has, without the store's: no announcement.
    await client.query('select pg_advisory_xact_lock_shared(7, 0), pg_advisory_xact_lock(7)')
  }
  for (let i = 1; i <= 3; i++) {
    await meow.append({ category: own, streamId: '1' }, event)
    await inOwn.has(i)
  }
  for (const client of [here, there]) await client.query('rollback')
  await there.end()
  await here.query(`drop database ${database}`)
})

test('a store in another database is another store, though all its numbers are the same', async () => {
  const [original, copy] = [uniqueName('db'), uniqueName('db')]
  const admin = await pgClient()
  await admin.query(`create database ${original}`)
  const at = (database: string) => {
    const url = new URL(directUrl())
    url.pathname = `/${database}`
    return { connectionString: url.href, schema: 'twin', pollIntervalMs }
  }
  const first = await openStore(at(original))
  await first.close()
  await admin.query(`create database ${copy} template ${original}`)
  const [here, there] = await Promise.all([openStore(at(original)), openStore(at(copy))])
  const client = await pgClient(at(copy))
  await client.query('begin')
  await there.append({ category: 'same', streamId: '1' }, event, { client })
  const { position } = await here.append({ category: 'same', streamId: '1' }, event)
  assert.is((await here.read({ category: 'same' })).horizon, position)
  await client.end()
  await Promise.all([here.close(), there.close()])
  for (const database of [original, copy]) await admin.query(`drop database ${database} with (force)`)
})

test("a stranger's lock on a category's own key counts for nothing without the store's", async () => {
  const { meow, schema, own } = await fresh()
  const client = await pgClient()
  await client.query('begin')
  const { rows } = await client.query(`select ${schema}.category_key($1) as key`, [own])
  await client.query('select pg_advisory_xact_lock_shared($1, 0)', [rows[0].key])
  const { position } = await meow.append({ category: own, streamId: '1' }, event)
  assert.is((await meow.read({ category: own })).horizon, position)
  await client.query('rollback')
})

test('it refuses to be asked inside one snapshot', async () => {
  const { meow, own } = await fresh()
  const client = await pgClient()
  for (const level of ['repeatable read', 'serializable']) {
    await client.query(`begin isolation level ${level}`)
    const refused = await meow.read({ category: own }, { client }).catch((error) => error)
    assert.is(refused.code, 'ERR_SCHEMA')
    assert.match(refused.message, level)
    await client.query('rollback')
  }
})

/** A store with a schema, and so an order, of its own. */
const schemas: string[] = []

async function fresh(): Promise<{ meow: Meow; schema: string; own: string; other: string }> {
  const schema = uniqueName('horizon')
  schemas.push(schema)
  const meow = await openStore({ schema, pollIntervalMs })
  await listening(meow)
  return { meow, schema, own: uniqueName('own'), other: uniqueName('other') }
}

async function horizons(client: { query: any }, schema: string, ...categories: string[]): Promise<number[]> {
  const found = []
  for (const category of categories) {
    const { rows } = await client.query(`select ${schema}.horizon($1) as at`, [category])
    found.push(Number(rows[0].at))
  }
  return found
}

test.run()
