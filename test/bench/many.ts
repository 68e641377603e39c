import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'meowmx'
import { startPostgres } from 'meowmx/embedded'
import pg from 'pg'
import type { FleetOptions } from '../support/fleet.ts'
import { Fleet } from '../support/fleet.ts'
import type { Sample } from './report.ts'
import { median } from './statistics.ts'

/** How many there are, and how many of them stop and start. */
const EXECUTORS = 20
const WRITERS = 20
const CHANGE = 5
const IDLE_S = 10
const BUSY_S = 10

/** 20 executors and 20 writers, each a process of its own: shares, connections, fairness, and what an idle executor costs. */
export async function many({ log }: { log(line: string): void }): Promise<Sample[]> {
  const server = await startPostgres({
    settings: { max_connections: 200, shared_preload_libraries: 'pg_stat_statements' },
  })
  const sql = new pg.Client({ connectionString: server.connectionString })
  await sql.connect()
  await sql.query('create extension pg_stat_statements')
  const meow = await connect({ connectionString: server.connectionString })
  await meow.migrate()
  await meow.close()
  const options: FleetOptions = {
    url: server.connectionString,
    schema: 'meowmx',
    name: 'many',
    partitions: 64,
    categories: 200,
    streams: 20,
    leaseMs: 10_000,
    maxConnections: 3,
    pauseMs: 200,
  }
  const fleet = new Fleet(options, sql)
  const samples: Sample[] = []
  const take = (what: string, unit: string, ours: number, goal?: number) => {
    log(`  ${what}: ${ours} ${unit}`)
    samples.push({ what, unit, ours, less: true, absolute: true, ...(goal === undefined ? {} : { goal }) })
  }
  try {
    await fleet.start('executor', EXECUTORS)
    take(
      `${EXECUTORS} executors, ${options.partitions} partitions: even after the last is ready`,
      'ms',
      await fleet.even(),
    )
    await fleet.start('writer', WRITERS)
    const before = fleet.executors.map(({ begun }) => begun.length)
    await delay(BUSY_S * 1000)
    const handled = fleet.executors.map(({ begun }, n) => begun.length - before[n]!)
    take('events a second, all executors', '/s', handled.reduce((a, b) => a + b, 0) / BUSY_S)
    take('events of the least busy executor, of the median', '×', Math.min(...handled) / median(handled))
    take('events of the busiest executor, of the median', '×', Math.max(...handled) / median(handled))
    const busy = await fleet.connections()
    const bound = (EXECUTORS + WRITERS) * options.maxConnections
    take('connections of pools, while all work', '', busy.pools, bound)
    take('connections of listeners', '', busy.listeners, EXECUTORS + WRITERS)

    await fleet.end('kill', CHANGE)
    take(
      `even again after ${CHANGE} were killed (lease 10 s)`,
      'ms',
      await fleet.even(),
      options.leaseMs + 1_000,
    )
    await fleet.end('close', CHANGE)
    take(`even again after ${CHANGE} were stopped`, 'ms', await fleet.even())
    await fleet.start('executor', 2 * CHANGE)
    take(`even again after ${2 * CHANGE} more are ready`, 'ms', await fleet.even())
    await fleet.silence()
    await fleet.handled()
    const { events, disorder, afterKill, twice } = fleet.check()
    take('events, each handled', '', events)
    take('handled twice, by the kills', '', afterKill)
    take('handled twice, by stops and starts', '', twice, 0)
    take('events out of the order of their stream', '', disorder.length, 0)

    await delay(2_000) // until checkpoints, claims and connections of the burst have ended
    await sql.query('select pg_stat_statements_reset()')
    await delay(IDLE_S * 1000)
    const { rows } = await sql.query(
      `select query, calls::int from pg_stat_statements where query not like '%pg_stat%' order by calls desc`,
    )
    const calls = rows.reduce((sum, row) => sum + row.calls, 0)
    for (const { query, calls } of rows)
      log(`    ${(calls / IDLE_S / EXECUTORS).toFixed(2)}/s ${query.replaceAll(/\s+/g, ' ').slice(0, 90)}`)
    take('queries a second of an idle executor', '/s', calls / IDLE_S / EXECUTORS, 2)
    const idle = await fleet.connections()
    take('connections of pools, while all are idle', '', idle.pools)
  } finally {
    await fleet.sink()
    await sql.end()
    await server.stop()
  }
  return samples
}
