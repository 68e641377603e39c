// If a crash sets the sequence back, positions are assigned twice, but no event is lost or repeated. PREPARE TRANSACTION is
// refused after an append; a prepared transaction of other writers holds the horizon back.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collect } from './support/collect.ts'
import type { OwnServer } from './support/own-server.ts'
import { ownServer } from './support/own-server.ts'
import { closeAll, openStore, pgClient } from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
const stream = { category: 'crash', streamId: '1' }
// Data that only a WAL writer would write stays in memory, and is lost in the crash.
const settings = { wal_writer_delay: '10s', max_prepared_transactions: 2, autovacuum: false }

let server: OwnServer

test.before(async () => {
  server = await ownServer(settings)
})
test.after(async () => {
  await closeAll()
  await server.remove()
})

async function crash(): Promise<void> {
  await server.kill()
  await server.start()
}

test('positions that a crash takes back are used again; live observers get each event once', async () => {
  const pool = new pg.Pool({ connectionString: server.connectionString })
  pool.on('error', () => {})
  let looks = 0
  pool.on('acquire', () => looks++)
  const meow = await openStore({ pool, schema: 'crash', pollIntervalMs: 20, listen: true })
  await meow.migrate()
  const observers = [{ category: 'crash' }, {}].map((selector) => collect(meow.events(selector)))
  const handled: number[] = []
  const worker = meow.subscription('crash', { category: 'crash', leaseMs: 60_000 }).process((event) => {
    handled.push(event.position)
  })
  /** Whether positions that `meow` had seen were handed out again. */
  async function crashAfterAppend(end: 'open' | 'rolled back'): Promise<boolean> {
    const kept = await meow.append(stream, [event, event, event])
    await until(() => handled.at(-1) === kept.position, { what: 'the subscription' })
    for (const observer of observers) await observer.has(handled.length)
    await meow.waitFor('crash', kept.position)

    const doomed = await pgClient(server)
    // Any commit would carry the positions to disk that the crash is to take back: a checkpoint's, or the claims of an
    // executor that nobody calls yet, one at each poll.
    let [written, since] = ['', looks]
    await until(
      async () => {
        const { rows } = await doomed.query('select pg_current_wal_insert_lsn() as lsn')
        if (rows[0].lsn !== written) [written, since] = [rows[0].lsn, looks]
        return looks >= since + 6
      },
      { what: 'nothing to be written' },
    )
    await doomed.query('begin')
    // Beyond the 32 positions that a sequence logs ahead.
    const lost = await meow.append({ ...stream, streamId: '2' }, Array(200).fill(event), { client: doomed })
    if (end === 'rolled back') await doomed.query('rollback')
    // Everybody sees the head that will be taken back.
    const before = looks
    await until(() => looks >= before + 6, { what: 'some polls' })
    assert.is((await meow.read({})).position, kept.position)
    await crash()
    await doomed.end().catch(() => {})

    const again = await until(
      () =>
        meow.append(stream, [event, event]).catch((error) => {
          if (error.code !== 'ERR_CONNECTION') throw error
        }),
      { what: 'the server to be back' },
    )
    assert.ok(again!.position > kept.position)
    const late = await meow.append(stream, Array(300).fill(event))
    await until(() => handled.at(-1) === late.position, { what: 'the subscription after the crash' })
    for (const observer of observers) await observer.has(handled.length)
    return again!.position <= lost.position
  }

  for (const end of ['open', 'rolled back'] as const) {
    // The server writes its data now and then by itself, and a crash does not undo that.
    let reused = false
    for (let tries = 0; tries < 5 && !reused; tries++) reused = await crashAfterAppend(end)
    assert.ok(reused, 'no position was handed out again: this test shows nothing')
  }

  const truth = (await meow.read({}, { limit: 10_000 })).events.map(({ position }) => position)
  for (const { all } of observers) {
    assert.equal(
      all.map(({ position }) => position),
      truth,
    )
  }
  assert.equal([...new Set(handled)], truth, 'each at least once, in order')
  await worker.stop()
  await meow.close()
  await pool.end()
})

test('PREPARE TRANSACTION after an append is refused, and nothing is written', async () => {
  const meow = await openStore({ connectionString: server.connectionString, schema: 'prepared' })
  const client = await pgClient(server)
  await client.query('begin')
  await meow.append(stream, event, { client })
  const refused = await client.query(`prepare transaction 'orphan'`).catch((error) => error)
  assert.match(refused.message, /PREPARE.*NOTIFY/)
  assert.equal(await meow.load(stream), [])
  await client.end()
  await meow.close()
})

test('a prepared transaction with an announcement holds its category back, even after a restart, until it ends', async () => {
  const { connectionString } = server
  const open = () => openStore({ connectionString, schema: 'prepared', pollIntervalMs: 100 })
  let meow = await open()
  const client = await pgClient(server)
  await client.query('begin')
  await client.query(
    `set local search_path = prepared; select announce('held'); prepare transaction 'orphan'`,
  )
  await client.end()
  const held = { category: 'held', streamId: '1' }
  await meow.append(held, event)
  assert.equal((await meow.read({ category: 'held' })).events, [])
  await meow.close()

  await crash()
  meow = await open()
  const inHeld = collect(meow.events({ category: 'held' }))
  const other = await meow.append({ category: 'other', streamId: '1' }, event)
  assert.is((await meow.read({ category: 'other' })).position, other.position)
  assert.equal((await meow.read({ category: 'held' })).events, [])
  assert.equal(inHeld.all, [])
  const admin = await pgClient(server)
  await admin.query(`rollback prepared 'orphan'`)
  await inHeld.has(1)
  await admin.end()
  await meow.close()
})

test.run()
