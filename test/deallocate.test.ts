// @direct: a pooler lends sessions, and statements there have no names.
// Prepared statements that somebody deallocates are prepared again without an error. In a caller's transaction, which is
// aborted by this, one error says what to do.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions, Meow } from '../src/index.ts'
import { ConnectionError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
const MAX = 3
const pools: pg.Pool[] = []
test.after(async () => {
  await closeAll()
  await Promise.all(pools.map((pool) => pool.end()))
})

function lentPool(config: object): pg.Pool {
  const pool = new pg.Pool({ connectionString: directUrl(), max: MAX, ...config })
  pool.on('error', () => {})
  pools.push(pool)
  return pool
}
const open = (options: ConnectOptions): Promise<Meow> => openStore({ pollIntervalMs: 50, ...options })

/** On each connection of the pool. */
async function onAll(pool: pg.Pool, run: (client: pg.PoolClient) => Promise<unknown>): Promise<void> {
  const clients = await Promise.all(Array.from({ length: MAX }, () => pool.connect()))
  for (const client of clients) await run(client)
  for (const client of clients) client.release()
}

const prepared = async (client: pg.ClientBase): Promise<{ name: string; statement: string }[]> =>
  (await client.query(`select name, statement from pg_prepared_statements where name like 'meowmx%'`)).rows

const ways: Record<string, (client: pg.ClientBase) => Promise<unknown>> = {
  'deallocate all': (client) => client.query('deallocate all'),
  'discard all': (client) => client.query('discard all'),
  'deallocate of each by its name': async (client) => {
    for (const { name } of await prepared(client)) await client.query(`deallocate "${name}"`)
  },
  'deallocate of every other': async (client) => {
    const names = (await prepared(client)).filter((_, i) => i % 2 === 0)
    for (const { name } of names) await client.query(`deallocate "${name}"`)
  },
}
for (const pipeline of [true, false])
  for (const [way, deallocate] of Object.entries(ways))
    test(`a lent pool${pipeline ? ' of pipelines' : ''}, ${way}: observers, workers and calls go on`, async () => {
      const pool = lentPool({ pipeline })
      const meow = await open({ pool })
      const [category, other, name] = [uniqueName('lost'), uniqueName('lost'), uniqueName('lost')]
      const seen = collect(meow.events({ category }))
      const handled: number[] = []
      const worker = meow
        .subscription(name, { category, partitions: 2 })
        .process(({ position }) => void handled.push(position))
      let ended: unknown
      worker.done.catch((error) => {
        ended = error
      })
      await worker.ready
      let count = 0
      for (let round = 0; round < 4; round++) {
        for (let n = 0; n < 3; n++) {
          const stream = { category, streamId: `${n}` }
          await meow.append({ category: other, streamId: 'a' }, event) // gaps: the horizon has to be asked
          const { position } = await meow.append(stream, [event, event])
          count += 2
          assert.is((await meow.load(stream)).length, 2 * round + 2)
          assert.is((await meow.read({ category }, { after: position - 1 })).events.length, 1)
          await meow.waitFor(name, position)
        }
        await seen.has(count)
        assert.is(handled.length, count)
        let lost = 0
        await onAll(pool, async (client) => {
          lost += (await prepared(client)).length
          await deallocate(client)
        })
        assert.ok(lost > 0, 'nothing was prepared')
      }
      await meow.append({ category, streamId: '0' }, event)
      await seen.has(count + 1)
      await worker.stop()
      assert.is(ended, undefined)
      assert.is(seen.error, undefined)
      await meow.close()
    })

test('queries that are sent together keep their order: a page is read after its horizon, and read again if necessary', async () => {
  const { pool, answers } = countingPool({ connectionString: directUrl(), max: MAX })
  pools.push(pool)
  const meow = await open({ pool })
  const [category, other] = [uniqueName('lost'), uniqueName('lost')]
  const seen = collect(meow.events({ category }))
  const isLook = (text: string) => /horizons\(/.test(text)
  let asked = 0
  for (let round = 1; round <= 10; round++) {
    await onAll(pool, async (client) => {
      for (const { name, statement } of await prepared(client))
        if (isLook(statement)) await client.query(`deallocate "${name}"`)
    })
    answers.length = 0
    await meow.append({ category: other, streamId: 'a' }, event) // a gap: the horizon has to be asked
    await meow.append({ category, streamId: 'a' }, event)
    await seen.has(round)
    const look = answers.findIndex(({ text }) => isLook(text))
    if (look < 0) continue
    asked++
    const page = answers.findLastIndex(({ text, rows }) => /limit \(select \$3/.test(text) && rows > 0)
    assert.ok(page > look, answers.map(({ text, rows }) => `${rows} ${text.slice(0, 80)}`).join('\n'))
  }
  assert.ok(asked > 0, 'the horizon was never asked for')
  await meow.close()
})

test('a pool of our own, transactional handlers that deallocate each time: each effect once, and no event is parked', async () => {
  const meow = await open({ connectionString: directUrl(), maxConnections: 3 })
  const [category, effects] = [uniqueName('lost'), uniqueName('lost')]
  const attempts: number[] = []
  const worker = meow.subscription(uniqueName('lost'), { category, partitions: 2 }).process(
    async ({ streamId }, { client, attempt }) => {
      attempts.push(attempt)
      await client!.query('deallocate all')
      await meow.append({ category: effects, streamId }, event, { client: client! })
      await client!.query('deallocate all')
    },
    { transactional: true, batchSize: 3, retry: { maxAttempts: 1 } },
  )
  await worker.ready
  for (let n = 0; n < 30; n++) await meow.append({ category, streamId: `${n}` }, event)
  await until(async () => (await meow.read({ category: effects })).events.length >= 30, {
    what: 'the effects',
  })
  await worker.stop()
  assert.is((await meow.read({ category: effects })).events.length, 30)
  // A transaction that lost our statements is run again, and each call of a handler is an attempt.
  assert.ok(attempts.every((attempt) => attempt <= 2))
  await meow.close()
})

test('an inline projection that deallocates', async () => {
  const meow = await open({ connectionString: directUrl(), maxConnections: 2 })
  const category = uniqueName('lost')
  let projected = 0
  const stop = meow.project(category, async (events, client) => {
    projected += events.length
    await client.query('deallocate all')
  })
  for (let n = 0; n < 5; n++)
    await Promise.all([1, 2, 3].map((i) => meow.append({ category, streamId: `${i}` }, event)))
  stop()
  assert.ok(projected >= 15, `${projected}`)
  assert.is((await meow.read({ category })).events.length, 15)
  await meow.close()
})

for (const pipeline of [true, false])
  test(`a caller’s transaction${pipeline ? ' on a pipeline' : ''} is aborted by it: one error says so, and the next one works`, async () => {
    const meow = await open({})
    const client = await pgClient({ pipeline } as pg.ClientConfig)
    const stream = { category: uniqueName('lost'), streamId: 'a' }
    const mine = { name: 'mine', text: 'select 1 as one' }
    await client.query('begin')
    await meow.append(stream, event, { client })
    await meow.load(stream, { client })
    await client.query('commit')
    await client.query(mine)
    for (const { name } of await prepared(client)) await client.query(`deallocate "${name}"`)
    await client.query('begin')
    const error = await rejects(meow.append(stream, event, { client }), ConnectionError)
    assert.match(error.message, 'roll it back and run it again')
    assert.match(error.message, 'DEALLOCATE')
    await client.query('rollback')
    assert.equal((await client.query(mine)).rows, [{ one: 1 }], 'what was prepared by others is still there')
    await client.query('begin')
    await meow.append(stream, event, { client })
    assert.is((await meow.load(stream, { client })).length, 2)
    await client.query('deallocate all')
    await meow.append(stream, event, { client }) // once burnt
    await client.query('commit')
    assert.is((await meow.load(stream)).length, 3)
  })

for (const pipeline of [true, false])
  test(`a statement that is prepared already${pipeline ? ', on a pipeline' : ''}`, async () => {
    const known = lentPool({ pipeline, max: 1 })
    const first = await open({ pool: known, listen: false })
    const stream = { category: uniqueName('lost'), streamId: 'a' }
    const use = async (meow: Meow) => {
      await meow.append(stream, event)
      await meow.load(stream)
      await meow.read({ category: stream.category })
    }
    await use(first)
    const client = await known.connect()
    const statements = await prepared(client)
    client.release()
    assert.ok(statements.length > 3)
    const pool = lentPool({ pipeline, max: 1 })
    for (const { name, statement } of statements) await pool.query(`prepare "${name}" as ${statement}`)
    const second = await open({ pool, listen: false })
    await use(second)
    assert.is((await second.load(stream)).length, 2)
    await first.close()
    await second.close()
  })

test('a missing statement of the user’s own is the user’s error, and is run once', async () => {
  const meow = await open({})
  const sql = await pgClient()
  const table = `${storeSchema}.${uniqueName('calls')}`
  await sql.query(`create table ${table} (n int)`)
  const category = uniqueName('lost')
  let calls = 0
  const stop = meow.project(category, async (_, client) => {
    calls++
    await client.query('execute nobody')
  })
  const error: any = await rejects(meow.append({ category, streamId: 'a' }, event), Error)
  assert.match(`${error.message} ${error.cause?.message}`, 'nobody')
  assert.is(calls, 1)
  stop()
})

test.run()
