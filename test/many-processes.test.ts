// @direct @long
// Many processes of one store: shares are even, whichever process starts, ends or is killed; no process takes more connections
// than allowed; idle processes send few queries. (`npm run bench -- many`: the same with 40 processes, and figures.)
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startPostgres } from '../src/embedded/index.ts'
import { connect } from '../src/index.ts'
import { Fleet } from './support/fleet.ts'
import { until } from './support/until.ts'

const timeoutMs = 40_000

test('5 executors and 3 writers, 16 partitions and 20 categories', async () => {
  // A server of its own, so that only these connections and queries are seen.
  const server = await startPostgres({
    settings: { fsync: false, shared_preload_libraries: 'pg_stat_statements' },
  })
  const url = server.connectionString
  const sql = new pg.Client({ connectionString: url })
  await sql.connect()
  await sql.query('create extension pg_stat_statements')
  const meow = await connect({ connectionString: url })
  await meow.migrate()
  await meow.close()
  const maxConnections = 2
  const fleet = new Fleet(
    {
      url,
      schema: 'meowmx',
      name: 'many',
      partitions: 16,
      categories: 20,
      streams: 5,
      leaseMs: 10_000,
      maxConnections,
      pauseMs: 150,
    },
    sql,
  )
  let most = { pools: 0, listeners: 0 }
  const connections = async () => {
    const { pools, listeners } = await fleet.connections()
    most = { pools: Math.max(most.pools, pools), listeners: Math.max(most.listeners, listeners) }
  }
  /** Appends this many more events, and counts each where it was handled. */
  const more = async (count: number) => {
    const enough = fleet.begun.length + count
    await until(() => fleet.begun.length >= enough, { timeoutMs, what: `${count} more events` })
    await connections()
  }
  try {
    await Promise.all([fleet.start('executor', 5), fleet.start('writer', 3)])
    const took = [await fleet.even(timeoutMs)]
    await more(100)
    await fleet.end('close', 2)
    took.push(await fleet.even(timeoutMs))
    await more(50)
    await fleet.start('executor', 2)
    took.push(await fleet.even(timeoutMs))
    await more(50)
    await fleet.end('kill', 2)
    took.push(await fleet.even(timeoutMs))
    await more(50)
    console.log(`even after ${took} ms: 5 started, 2 stopped, 2 started, 2 killed`)
    await fleet.silence()
    await fleet.handled(timeoutMs)
    const { events, disorder, afterKill, twice } = fleet.check()
    assert.equal(disorder, [])
    assert.is(twice, 0, 'stops and starts repeat nothing')
    console.log(
      `${events} events, ${afterKill} of them again after a kill; connections at most ${JSON.stringify(most)}`,
    )
    // 5 executors and 3 writers, and for a moment 2 more that were just stopped or killed.
    assert.ok(most.pools <= 10 * maxConnections, `${most.pools} connections of pools`)
    assert.ok(most.listeners <= 10, `${most.listeners} listeners`)

    // An idle process: one claim per third of a lease, one poll per second, and a liveness check every 2 s.
    await sql.query('select pg_stat_statements_reset()')
    const began = performance.now()
    const calls = async () => {
      const { rows } = await sql.query(
        `select query, calls::int from pg_stat_statements where query not like '%pg_stat%' order by calls desc`,
      )
      return rows as { query: string; calls: number }[]
    }
    const asked = async (text: string) =>
      (await calls()).find(({ query }) => query.includes(text))?.calls ?? 0
    const executors = fleet.executors.length
    await until(async () => (await asked('horizons')) >= 8 * executors, {
      timeoutMs,
      what: '8 polls of each',
    })
    const seconds = (performance.now() - began) / 1_000
    const all = await calls()
    const each = all.reduce((sum, { calls }) => sum + calls, 0) / seconds / executors
    console.log(`an idle executor asks ${each.toFixed(2)} times a second`)
    assert.ok(each < 2.2, JSON.stringify({ seconds, all }, null, 1)) // 2, and what moves in or out of a short time
    await Promise.all(fleet.executors.map((executor) => executor.close()))
  } finally {
    await fleet.sink()
    await sql.end()
    await server.stop()
  }
})

test.run()
