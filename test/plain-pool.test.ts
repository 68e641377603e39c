// A lent pool whose connections do not pipeline gets one query after the other: pg 8 queues queries that come meanwhile, and
// warns that pg 9 will not.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collect } from './support/collect.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
test.after(closeAll)

test('whatever a store does, no connection gets a query while another one runs on it', async () => {
  const pool = new pg.Pool({ connectionString: databaseUrl(), max: 5 })
  let asked = 0
  const early: string[] = []
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    const at = client as unknown as { _activeQuery: unknown; _queryQueue: unknown[] }
    client.query = ((...args: [{ text?: string } | string]) => {
      asked++
      const [what] = args
      if (at._activeQuery || at._queryQueue.length > 0)
        early.push(typeof what === 'string' ? what : (what.text ?? ''))
      return query(...args)
    }) as typeof client.query
  })
  const meow = await openStore({ pool, pollIntervalMs: 50 })
  const [category, other] = [uniqueName('plain'), uniqueName('plain')]
  const seen = [{ category }, {}].map((selector) => collect(meow.events(selector)))
  const handled: number[][] = [[], []]
  const workers = [
    meow
      .subscription(uniqueName('plain'), { category, partitions: 2 })
      .process((one) => handled[0]!.push(one.version)),
    meow.subscription(uniqueName('plain'), { category }).process(
      async ({ version }, { client }) => {
        await client.query('select 1')
        handled[1]!.push(version)
      },
      { transactional: true },
    ),
  ]
  await Promise.all(workers.map(({ ready }) => ready))
  // Interleaved categories have gaps, so that horizons and the pages after them are fetched.
  for (let round = 0; round < 20; round++) {
    await Promise.all([
      meow.append({ category, streamId: 'a' }, event),
      meow.append({ category, streamId: `${round}` }, [event, event]),
      meow.append({ category: other, streamId: 'a' }, event),
    ])
  }
  await Promise.all([meow.read({ category }), meow.load({ category, streamId: 'a' }), meow.categories()])
  await seen[0]!.has(60)
  await seen[1]!.has(80)
  await until(() => handled.every(({ length }) => length === 60), { what: 'both subscriptions' })
  for (const worker of workers) await worker.stop()
  await meow.close()
  await pool.end()
  assert.ok(asked > 100)
  assert.equal(early, [])
  const sql = await pgClient()
  const { rows } = await sql.query(`select count(*)::int from ${storeSchema}.events`)
  assert.is(rows[0].count, 80)
})

test.run()
