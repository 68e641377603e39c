import pg from 'pg'
import { startPostgres } from '../../../src/embedded/index.ts'
import { connect } from '../../../src/index.ts'
import type { Figure, Report } from '../report.ts'
import { atMost, figure } from '../report.ts'
import type { Call } from './calls.ts'
import { calls, last } from './calls.ts'
import { crowds } from './crowds.ts'
import { fill, sizeOf } from './fill.ts'
import type { Filled } from './measure.ts'
import { least, once } from './measure.ts'

/** Events of the small store, which others are compared with. */
const SMALL = 3_000
/** A shorter time is never too long, however short it is in a small store. */
const SHORT_MS = 25
/** A call that takes longer is useless. Calls are not cut off before, because their time is measured. */
const TIMEOUT_MS = 120_000

export interface ScaleOptions {
  seed: number
  events: number
  /** Called with each figure as soon as it is measured, because a run takes long. */
  progress?: (figure: Figure) => void
}

/** A big store and a small one on one server; each public call is timed in both, the last alone, and beside crowds. */
export async function scale({ seed, events, progress = () => {} }: ScaleOptions): Promise<Report> {
  const begin = performance.now()
  const findings: string[] = []
  const figures: Figure[] = []
  const add = (...more: Figure[]) => {
    figures.push(...more)
    more.forEach(progress)
  }
  const server = await startPostgres({
    settings: {
      max_connections: 300,
      max_locks_per_transaction: 256,
      shared_buffers: '512MB',
      max_wal_size: '4GB',
    },
  })
  const sql = new pg.Pool({ connectionString: server.connectionString, max: 2 })
  const opened: Filled[] = []
  const open = async (schema: string, count: number): Promise<Filled> => {
    const meow = await connect({
      connectionString: server.connectionString,
      schema,
      queryTimeoutMs: TIMEOUT_MS,
    })
    const store = { meow, sql, schema, size: sizeOf(count) }
    opened.push(store)
    await meow.migrate()
    await fill(sql, schema, store.size)
    return store
  }
  try {
    const small = await open('small', SMALL)
    const filling = performance.now()
    const big = await open('big', events)
    const { categories, streams, subscriptions, parked, long } = big.size
    add(
      figure('events', events),
      figure('categories', categories),
      figure('streams', streams),
      figure('subscriptions, of 8 partitions', subscriptions),
      figure('parked streams', parked),
      figure('events of the long stream, and its followers that are parked', long),
      figure('filled within', (performance.now() - filling) / 1_000, 's'),
    )
    const timed = async (call: Call, measure: typeof least) => {
      try {
        const bound = call.times
          ? Math.max(SHORT_MS, call.times * (await measure(() => call.run(small))))
          : call.ms!(big.size)
        add(atMost(call.what, await measure(() => call.run(big)), 'ms', bound))
      } catch (error) {
        findings.push(`${call.what}: ${error}`)
      }
    }
    for (const call of calls) await timed(call, least)
    for (const crowd of crowds) {
      try {
        for await (const figure of crowd(big, server.connectionString)) add(figure)
      } catch (error) {
        findings.push(`${crowd.name || 'strangers'}: ${error}`)
      }
    }
    for (const call of last) await timed(call, once)
  } catch (error) {
    findings.push(`the run itself failed: ${(error as Error).stack ?? error}`)
  } finally {
    await Promise.all(opened.map(({ meow }) => meow.close()))
    await sql.end()
    await server.stop()
  }
  return { run: 'scale', seed, seconds: (performance.now() - begin) / 1_000, figures, findings }
}
