// transactional: deferred constraints are checked after each event, and stay deferred for the next ones.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

/**
 * A worker whose handler writes the child before its parent, in one batch of an event for each of these streams: `bad`
 * throws, `orphan` writes no parent. The events that are parked in the end, and the rows that are written.
 */
async function outcome(streams: string[]): Promise<{ parked: Record<string, string>; written: string[] }> {
  const name = uniqueName('deferred')
  const [parents, children] = [`${storeSchema}.${name}_p`, `${storeSchema}.${name}_c`]
  const sql = await pgClient()
  await sql.query(`create table ${parents} (id text primary key)`)
  await sql.query(
    `create table ${children} (id text references ${parents} deferrable initially deferred, seq serial)`,
  )
  const write = async (streamId: string, client: pg.ClientBase) => {
    await client.query(`insert into ${children} values ($1)`, [streamId])
    if (streamId !== 'orphan') await client.query(`insert into ${parents} values ($1)`, [streamId])
    if (streamId === 'bad') throw new Error('bad')
  }
  const happened = { type: 'Happened', data: {} }
  await meow.appendAll(
    streams.map((streamId) => ({ stream: { category: name, streamId }, events: [happened] })),
  )
  const worker = meow
    .subscription(name, { category: name })
    .process(({ streamId }, { client }) => write(streamId, client), {
      transactional: true,
      retry: { maxAttempts: 1 },
    })
  await worker.ready
  const last = async () => (await meow.subscriptions()).find((one) => one.name === name)!
  await until(async () => (await last()).lag === 0, { what: 'all to be dealt with' })
  await worker.stop()
  const parked = (await meow.parked(name)).map(({ event, error }) => [event.streamId, error])
  const { rows } = await sql.query(`select id from ${children} order by seq`)
  return { parked: Object.fromEntries(parked), written: rows.map(({ id }) => id) }
}

test('one that fails leaves them deferred for those of its batch', async () => {
  const { parked, written } = await outcome(['a', 'b', 'c', 'bad', 'd'])
  assert.equal(Object.keys(parked), ['bad'])
  assert.equal(written, ['a', 'b', 'c', 'd'])
})

test('a handler that leaves one violated fails alone', async () => {
  const { parked, written } = await outcome(['a', 'orphan', 'b'])
  assert.equal(Object.keys(parked), ['orphan'])
  assert.match(parked.orphan!, /foreign key/)
  assert.equal(written, ['a', 'b'])
})

test.run()
