// An append inside the caller's own transaction: it commits or rolls back with it, and leaves it usable.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { NewEvent, RecordedEvent } from '../src/index.ts'
import { DuplicateEventError, VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, fromNow, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const client = await pgClient()
const rival = await pgClient()
const observer = await pgClient()
const table = uniqueName('orders')
const newStream = () => ({ category: uniqueName('tx'), streamId: 'a' })
const event = (data: unknown, id?: string): NewEvent => ({ type: 'T', data, ...(id ? { id } : {}) })
await observer.query(`create table ${storeSchema}.${table} (name text)`)
test.after.each(async () => {
  await Promise.all([client.query('rollback'), rival.query('rollback')]) // what a failed test left open
})
test.after(closeAll)

async function note(name: string): Promise<void> {
  await client.query(`insert into ${storeSchema}.${table} values ($1)`, [name])
}

async function notes(name: string): Promise<number> {
  const { rowCount } = await observer.query(`select from ${storeSchema}.${table} where name = $1`, [name])
  return rowCount!
}

async function waitsForLock(who: pg.Client): Promise<void> {
  const { processID } = who as unknown as { processID: number }
  await until(
    async () => {
      const { rows } = await observer.query('select wait_event_type from pg_stat_activity where pid = $1', [
        processID,
      ])
      return rows[0].wait_event_type === 'Lock'
    },
    { what: 'the append to wait for the other transaction' },
  )
}

test('events and rows of the caller commit together', async () => {
  const stream = newStream()
  await client.query('begin')
  await note(stream.category)
  const result = await meow.append(stream, [event(1), event(2)], { client })
  const [second] = await meow.appendAll([{ stream, events: event(3), expectedVersion: 1 }], { client })
  assert.equal([result.version, second!.version], [1, 2])
  assert.is((await meow.load(stream, { client })).length, 3)
  assert.equal(await meow.load(stream), [])
  await client.query('commit')
  assert.equal(await meow.load(stream), [...result.events, ...second!.events])
  assert.is(await notes(stream.category), 1)
})

test('a rollback leaves nothing', async () => {
  const stream = newStream()
  await client.query('begin')
  await note(stream.category)
  await meow.append(stream, event(1), { client })
  await client.query('savepoint s')
  await meow.append(stream, [event(2), event(3)], { client })
  await client.query('rollback to s')
  assert.is((await meow.append(stream, event(4), { client, expectedVersion: 0 })).version, 1)
  assert.equal(
    (await meow.load(stream, { client })).map(({ data }) => data),
    [1, 4],
  )
  await client.query('rollback')
  assert.equal(await meow.load(stream), [])
  assert.is(await notes(stream.category), 0)
  const later = await meow.append(stream, event(5))
  assert.is(later.version, 0)
  assert.equal((await meow.read({ category: stream.category })).events, later.events)
})

test('a conflict or a duplicate leaves the transaction usable', async () => {
  const stream = newStream()
  const id = crypto.randomUUID()
  await meow.append(stream, event(0, id))
  await client.query('begin')
  for (const events of [event(1), [event(1), event(2)]]) {
    await note(stream.category)
    await rejects(meow.append(stream, events, { client, expectedVersion: 'no-stream' }), VersionConflictError)
    await rejects(meow.appendAll([{ stream, events, expectedVersion: 4 }], { client }), VersionConflictError)
  }
  await rejects(meow.append(stream, event('other', id), { client }), DuplicateEventError)
  await rejects(meow.append(stream, [event(1), event(0, id)], { client }), DuplicateEventError)
  assert.is((await meow.append(stream, event(0, id), { client })).deduplicated, true)
  await meow.append(stream, event('end'), { client, expectedVersion: 0 })
  await client.query('commit')
  assert.equal(
    (await meow.load(stream)).map(({ data }) => data),
    [0, 'end'],
  )
  assert.is(await notes(stream.category), 2)
})

// How the rival's commit affects an append that waited for it.
const many = (data: unknown) => [event(data), event(data)]
for (const [kind, events] of [
  ['one event', event('mine')],
  ['two events', many('mine')],
] as const) {
  test(`a version lost in a race, ${kind}`, async () => {
    const stream = newStream()
    await Promise.all([client.query('begin'), rival.query('begin')])
    await note(stream.category)
    await meow.append(stream, event('rival'), { client: rival })
    const lost = meow.append(stream, events, { client, expectedVersion: 'no-stream' })
    const refused = rejects(lost, VersionConflictError)
    await waitsForLock(client)
    await rival.query('commit')
    assert.equal([(await refused).expected, (await refused).actual], ['no-stream', 0])
    const { version } = await meow.append(stream, event('then'), { client, expectedVersion: 0 })
    await client.query('commit')
    assert.is(version, 1)
    assert.is((await meow.load(stream)).length, 2)
    assert.is(await notes(stream.category), 1)
  })

  test(`a race in mode any, ${kind}: it takes the version after`, async () => {
    const stream = newStream()
    await Promise.all([client.query('begin'), rival.query('begin')])
    await meow.append(stream, event('rival'), { client: rival })
    const appending = meow.append(stream, events, { client })
    await waitsForLock(client)
    await rival.query('commit')
    assert.is((await appending).events[0]!.version, 1)
    await client.query('commit')
    assert.equal((await meow.load(stream)).slice(1), (await appending).events)
  })

  test(`an id lost in a race, ${kind}`, async () => {
    const stream = newStream()
    const id = crypto.randomUUID()
    const mine = [events].flat().map((one, i) => (i === 0 ? { ...one, id } : one))
    await Promise.all([client.query('begin'), rival.query('begin')])
    await note(stream.category)
    await meow.append({ ...stream, streamId: 'b' }, event('rival', id), { client: rival })
    const refused = rejects(meow.append(stream, mine, { client }), DuplicateEventError)
    await waitsForLock(client)
    await rival.query('commit')
    assert.is((await refused).id, id)
    await meow.append(stream, event('then'), { client, expectedVersion: 'no-stream' })
    await client.query('commit')
    assert.is((await meow.load(stream)).length, 1)
    assert.is(await notes(stream.category), 1)
  })

  test(`the rival rolls back, ${kind}`, async () => {
    const stream = newStream()
    await Promise.all([client.query('begin'), rival.query('begin')])
    await meow.append(stream, event('rival'), { client: rival })
    const appending = meow.append(stream, events, { client, expectedVersion: 'no-stream' })
    await waitsForLock(client)
    await rival.query('rollback')
    assert.is((await appending).events[0]!.version, 0)
    await client.query('commit')
    assert.equal(await meow.load(stream), (await appending).events)
  })
}

test('the last of several streams lost in a race: nothing of the group, and the transaction is usable', async () => {
  const { category } = newStream()
  const stream = (i: number) => ({ category, streamId: `s${i}` })
  await Promise.all([client.query('begin'), rival.query('begin')])
  await meow.append(stream(2), event('rival'), { client: rival })
  const refused = rejects(
    meow.appendAll(
      [0, 1, 2].map((i) => ({ stream: stream(i), events: event(i), expectedVersion: 'no-stream' as const })),
      { client },
    ),
    VersionConflictError,
  )
  await waitsForLock(client)
  await rival.query('commit')
  assert.equal((await refused).stream, stream(2))
  assert.equal(await meow.load(stream(0), { client }), [])
  await meow.append(stream(0), event('then'), { client, expectedVersion: 'no-stream' })
  await client.query('commit')
  assert.is((await meow.read({ category })).events.length, 2)
})

test('a client of a pool works too; outside a transaction, an append commits by itself', async () => {
  const stream = newStream()
  await meow.append(stream, event(0), { client })
  await meow.append(stream, [event(1), event(2)], { client })
  assert.is((await meow.load(stream)).length, 3)
})

/** Appends in one transaction, pipelined; then how many advisory locks it holds. */
async function fill(appends: number, place: (i: number) => { category: string; streamId: string }) {
  const writer = await pgClient({ pipeline: true } as pg.ClientConfig)
  await writer.query('begin')
  await Promise.all(
    Array.from({ length: appends }, (_, i) => meow.append(place(i), event(i), { client: writer })),
  )
  const { rows } = await writer.query(
    `select count(*)::int as n from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'`,
  )
  return { writer, locks: rows[0].n as number }
}

test('9,000 appends to 9,000 streams in one transaction hold two locks, and are delivered after the commit', async () => {
  const { category } = newStream()
  const seen: RecordedEvent[] = []
  const subscription = meow.events({ category }).subscribe((one) => seen.push(one))
  const { writer, locks } = await fill(9_000, (i) => ({ category, streamId: `s${i}` }))
  assert.is(locks, 2)
  assert.is(seen.length, 0)
  await writer.query('commit')
  await until(() => seen.length >= 9_000, { what: '9,000 events' })
  subscription.unsubscribe()
  assert.equal(
    seen.map(({ data }) => data),
    seen.map((_, i) => i),
  )
})

test('6,500 categories in one transaction hold a few locks, and are delivered after the commit', async () => {
  const prefix = uniqueName('wide')
  const seen: RecordedEvent[] = []
  const all = meow.events({}, await fromNow(meow)).subscribe((one) => {
    if (one.category.startsWith(prefix)) seen.push(one)
  })
  const last: RecordedEvent[] = []
  const one = meow.events({ category: `${prefix}_6499` }).subscribe((e) => last.push(e))
  const before = await meow.read({})
  const { writer, locks } = await fill(6_500, (i) => ({ category: `${prefix}_${i}`, streamId: 'a' }))
  assert.ok(locks <= 18, `${locks} locks`)
  await meow.append(newStream(), event('meanwhile'))
  assert.equal([seen.length, last.length], [0, 0])
  assert.is((await meow.read({})).horizon, before.horizon)
  await writer.query('commit')
  await until(() => seen.length >= 6_500 && last.length > 0, { what: '6,500 events' })
  all.unsubscribe()
  one.unsubscribe()
  assert.equal(
    seen.map(({ data }) => data),
    seen.map((_, i) => i),
  )
})

test.run()
