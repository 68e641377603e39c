// @direct
// Fetching the horizon costs in proportion to the number of advisory locks, whoever holds them. The rows of an open bulk append
// are skipped once, however many keys are announced.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

let sql: pg.Client
test.before(async () => {
  await openStore({ listen: false })
  sql = await pgClient()
  await sql.query(`set search_path = ${storeSchema}`)
})
test.after(closeAll)

/** The least of some times, in ms: what it costs if nothing comes between. */
async function least(query: string): Promise<number> {
  let least = Infinity
  for (let i = 0; i < 7; i++) {
    const began = performance.now()
    await sql.query(query)
    least = Math.min(least, performance.now() - began)
  }
  return least
}

for (const query of ['select * from horizons()', 'select * from stallers()', 'select waiting_for_notify()']) {
  test(`beside 8 times as many locks of a stranger it takes about 8 times as long, not 64: ${query}`, async () => {
    const stranger = await pgClient()
    const times: number[] = []
    for (const [from, to] of [
      [1, 1_000],
      [1_001, 8_000],
    ]) {
      await stranger.query('select pg_advisory_lock(7, i) from generate_series($1::int, $2) i', [from, to])
      times.push(await least(query))
    }
    // Reading pg_locks itself is the only cost.
    const itself = await least('select count(*) from pg_locks')
    await stranger.query('select pg_advisory_unlock_all()')
    await stranger.end()
    assert.ok(times[1]! < 24 * times[0]! || times[1]! < 4 * itself, `${times[0]} ms, then ${times[1]} ms`)
  })
}

test('the rows of an open bulk append are read once for all announced keys', async () => {
  const [bulk, small] = [await pgClient(), await pgClient()]
  for (const client of [bulk, small]) await client.query(`set search_path = ${storeSchema}; begin`)
  const category = uniqueName('bulk')
  await bulk.query(
    `select count(*) from append($1, '1', (select json_agg(json_build_object('type', 'T')) from generate_series(1, 5000)))`,
    [category],
  )
  const blocksOf = async () => {
    const { rows } = await sql.query('explain (analyze, buffers, format json) select * from horizons()')
    const plan = rows[0]['QUERY PLAN'][0].Plan
    return plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
  }
  await blocksOf() // what is planned and read for the first time
  const one = await blocksOf()
  const others: pg.Client[] = []
  for (let i = 0; i < 12; i++) {
    const other = await pgClient()
    others.push(other)
    await other.query(`set search_path = ${storeSchema}; begin`)
    await other.query(`select append($1, '1', '{"type": "T"}')`, [uniqueName('small')])
  }
  const many = await blocksOf()
  for (const client of [bulk, small, ...others]) await client.query('rollback')
  assert.ok(many < 2 * one + 500, `${one} blocks with one open append, ${many} with 13`)
})

test.run()
