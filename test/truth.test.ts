// An append's answer is true: done, refused, or unknown and decided by its ids. Answers get lost on the way back here.
import pg from 'pg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { OutcomeUnknownError, TimeoutError, VersionConflictError } from '../src/index.ts'
import { startProxy } from './support/proxy.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const truth = suite('truth: the answer to an append, when it is lost on its way')
let direct: Meow

truth.before(async () => {
  direct = await openStore()
})
truth.after(closeAll)

/** Blocks appends to a stream after they were sent: another transaction has taken its next version. */
async function occupied(stream: { category: string; streamId: string }): Promise<{ free(): Promise<void> }> {
  const client = await pgClient()
  await client.query('begin')
  await direct.append(stream, { type: 'Occupied', data: {} }, { client })
  return { free: async () => void (await client.query('rollback')) }
}

const waiting = async (count: number) => {
  const client = await pgClient()
  const { rows } = await client.query(
    `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%append_%' and application_name = $1`,
    [`meowmx ${storeSchema}`],
  )
  await client.end()
  return rows.length >= count
}

truth('a query that times out is looked up: the append is done, once', async () => {
  const stream = { category: uniqueName('slow'), streamId: '1' }
  const far = await openStore({ queryTimeoutMs: 1_000 })
  const lock = await occupied(stream)
  const append = far.append(stream, { type: 'Happened', data: 1 }, { expectedVersion: 'no-stream' })
  await until(() => waiting(2), { what: 'the second try to wait behind the first' })
  await lock.free()
  const { version, deduplicated } = await append
  assert.is(version, 0)
  assert.is(deduplicated, false)
  assert.is((await direct.load(stream)).length, 1)
})

truth('a connection that is cut before the answer: the append is done, once', async () => {
  const stream = { category: uniqueName('cut'), streamId: '1' }
  const proxy = await startProxy(databaseUrl())
  const far = await openStore({ connectionString: proxy.url })
  const lock = await occupied(stream)
  const append = far.append(stream, { type: 'Happened', data: 1 }, { expectedVersion: 'no-stream' })
  await until(() => waiting(1), { what: 'the append to be sent' })
  await proxy.cut()
  await lock.free()
  await proxy.heal()
  assert.is((await append).version, 0)
  assert.is((await direct.load(stream)).length, 1)
  await proxy.close()
})

truth('an answer that stays away is unknown, and its events can be appended again', async () => {
  const stream = { category: uniqueName('unknown'), streamId: '1' }
  const proxy = await startProxy(databaseUrl())
  const far = await openStore({ connectionString: proxy.url, queryTimeoutMs: 1_500 })
  const lock = await occupied(stream)
  const append = far.append(stream, [{ type: 'Happened', data: { n: 1 } }], { expectedVersion: 'no-stream' })
  await until(() => waiting(1), { what: 'the append to be sent' })
  await proxy.cut()
  const error = await append.catch((error) => error)
  assert.instance(error, OutcomeUnknownError)
  assert.equal(error.stream, stream)
  assert.equal(error.events[0].data, { n: 1 })
  await lock.free()
  await until(async () => (await direct.load(stream)).length === 1, { what: 'the first try to end' })
  const again = await direct.append(stream, error.events, { expectedVersion: 'no-stream' })
  assert.is(again.deduplicated, true)
  assert.is((await direct.load(stream)).length, 1)
  await proxy.close()
})

truth('a refusal is a refusal: nothing is looked up, nothing is unknown', async () => {
  const stream = { category: uniqueName('refused'), streamId: '1' }
  const error = await direct
    .append(stream, { type: 'Happened', data: 1 }, { expectedVersion: 3 })
    .catch((error) => error)
  assert.instance(error, VersionConflictError)
})

truth(
  'a pool of the caller that has no connection left: an error in time, and the late connection goes back',
  async () => {
    const pool = new pg.Pool({ connectionString: databaseUrl(), max: 1 })
    const borrowed = await openStore({ pool, queryTimeoutMs: 1_000, listen: false })
    const held = await pool.connect()
    const error = await borrowed.categories().catch((error) => error)
    assert.instance(error, TimeoutError)
    held.release()
    await until(() => pool.idleCount === 1 && pool.waitingCount === 0, {
      what: 'the connection to be given back',
    })
    await borrowed.close()
    await pool.end()
  },
)

truth.run()
