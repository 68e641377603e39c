// An erasure misses nothing that is appended, decided or saved as a snapshot at the same time.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { customer, emptied, joined, named, snapshotsOf } from './support/customer.ts'
import { holdingPool } from './support/holding-pool.ts'
import { closeAll, openStore, pgClient, storeSchema } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
const rival = await pgClient()
test.after.each(async () => {
  await Promise.all([sql.query('rollback'), rival.query('rollback')]) // what a failed test left open
})
test.after(closeAll)

const { processID } = sql as unknown as { processID: number }

async function waits(pid: number): Promise<void> {
  const isWaiting = async () => {
    const { rows } = await rival.query(
      'select wait_event_type as what from pg_stat_activity where pid = $1',
      [pid],
    )
    return rows[0].what === 'Lock'
  }
  await until(isWaiting, { what: 'the erasure to wait', timeoutMs: 30_000 })
}

test('a decision that is running does not save its snapshot again', async () => {
  const { pool, hold } = holdingPool()
  const far = await openStore({ pool, listen: false })
  const stream = customer()
  const decider = { ...joined, category: stream.category }
  const held = hold('insert into', (values) => values[0] === stream.category, 'query')
  const deciding = far.decide(decider, '42', 'Ada')
  await held.some() // the event is appended, the snapshot is not saved
  assert.is((await meow.eraseStream(stream)).events, 1)
  held.release()
  assert.is((await deciding).state, ' Ada')
  assert.equal(await snapshotsOf(rival, stream.category), [])
  await far.close()
  await pool.end()
})

test('an erasure waits for a snapshot that is being saved, and deletes it', async () => {
  const stream = customer()
  const { events } = await meow.append(stream, named())
  await sql.query('begin')
  await sql.query(
    `insert into ${storeSchema}.snapshots (category, stream_id, name, snapshot_version, version, event_id, state)
     values ($1, '42', 'late', 1, 0, $2, '"Ada"')`,
    [stream.category, events[0]!.id],
  )
  const erasing = meow.eraseStream(stream)
  const isWaiting = async () => {
    const { rows } = await rival.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1`,
      [`meowmx ${storeSchema}`],
    )
    return rows.length === 1
  }
  await until(isWaiting, { what: 'the erasure to wait', timeoutMs: 30_000 })
  await sql.query('commit')
  assert.is((await erasing).events, 1)
  assert.equal(await snapshotsOf(rival, stream.category), [])
})

test('an erasure waits for an append that is running, and empties its events', async () => {
  const stream = customer()
  await meow.append(stream, named())
  for (const end of ['commit', 'rollback']) {
    await rival.query('begin')
    await meow.append(stream, [named(), named()], { client: rival })
    await sql.query('begin')
    const erasing = meow.eraseStream(stream, { client: sql })
    const { pid } = (await meow.stallers()).find(({ category }) => category === stream.category)!
    assert.type(pid, 'number')
    await waits(processID)
    await rival.query(end)
    assert.is((await erasing).events, end === 'commit' ? 3 : 1)
    await sql.query('commit')
    await meow.append(stream, named())
  }
  const events = await meow.load(stream)
  assert.equal(
    events.filter(({ type }) => type === '$erased').map(({ version }) => version),
    [3, 5],
  )
})

test('appends, decisions and erasures at the same time: all events below the last tombstone are empty, and none is lost', async () => {
  const stream = customer()
  const other = await openStore({ listen: false })
  const decider = { ...joined, category: stream.category }
  let [appended, erased] = [0, 0]
  const append = async (store = meow) => {
    for (let n = 0; n < 15; n++) {
      const tagged = () => ({ ...named(), tags: [`mail:${stream.category}:${n}`] })
      const one = await store.append(stream, [tagged(), tagged()])
      appended += one.events.length
    }
  }
  const decide = async () => {
    for (let n = 0; n < 10; n++) {
      await meow.decide(decider, '42', 'Ada', { retries: 100 })
      appended++
    }
  }
  const erase = async (store = meow) => {
    for (let n = 0; n < 8; n++) {
      const { events } = await store.eraseStream(stream)
      erased += events
    }
  }
  await Promise.all([append(), append(other), decide(), erase(), erase(other)])
  const { events: rest } = await meow.eraseStream(stream)
  erased += rest
  assert.is(appended, 70)
  assert.is(erased, appended)
  const { rows: tags } = await sql.query(`select tag from ${storeSchema}.event_tags where tag like $1`, [
    `mail:${stream.category}:%`,
  ])
  assert.equal(tags, [], 'tags of erased events are gone, too')
  const events = await meow.load(stream)
  const named_ = events.filter(({ type }) => type === 'Named')
  assert.equal(named_, emptied(named_))
  assert.is(named_.length, 70)
  assert.equal(
    events.map(({ version }) => version),
    events.map((_, i) => i),
  )
  let sum = 0
  for (const { type, data } of events) if (type === '$erased') sum += data.events
  assert.is(sum, 70)
  assert.equal(await snapshotsOf(rival, stream.category), [])
})

test.run()
