import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Meow } from 'meowmx'
import { connect } from 'meowmx'
import { filter, firstValueFrom } from 'rxjs'
import { countingPool } from '../support/counting-pool.ts'
import { timers } from '../support/timers.ts'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { median, now } from './statistics.ts'

const STORES = 100
const IDLE_S = 10

/** Many stores of one process, each with its own schema, on one pool and one listener: what another idle store costs. */
export async function stores(setting: Setting): Promise<Sample[]> {
  setFlagsFromString('--expose_gc')
  const collect = runInNewContext('gc') as () => void
  const heap = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const place = await setting.database()
  const schemas = Array.from({ length: STORES }, (_, n) => `tenant_${n}`)
  for (const schema of schemas) {
    const meow = await connect({ connectionString: place.url, schema, listen: false, maxConnections: 1 })
    await meow.migrate()
    await meow.close()
  }
  const { pool, queries } = countingPool({ connectionString: place.url, max: 10, idleTimeoutMillis: 0 })
  const open: Meow[] = []
  const took: number[] = []
  const connectOne = async (schema: string) => {
    const began = now()
    open.push(await connect({ pool, schema }))
    took.push(now() - began)
  }
  await connectOne(schemas[0]!)
  await firstValueFrom(open[0]!.status$.pipe(filter(({ state }) => state === 'listening')))
  const [memory, running, asked] = [heap(), timers(), queries.length]
  for (const schema of schemas.slice(1)) await connectOne(schema)
  const queriesToConnect = (queries.length - asked) / (STORES - 1)
  const kib = (heap() - memory) / 1024 / (STORES - 1)
  const moreTimers = timers() - running
  const idleFrom = queries.length
  await delay(IDLE_S * 1000)
  const idle = (queries.length - idleFrom) / IDLE_S
  const { rows } = await place.query(
    `select count(*)::int as all, count(*) filter (where application_name like 'meowmx listener%')::int as listeners
     from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
  )

  // What each connection of the pool then remembers: the statements of every store that used it.
  for (const meow of open) {
    await meow.append({ category: 'order', streamId: '1' }, { type: 'Happened', data: {} })
    await meow.read({ category: 'order' })
    await meow.load({ category: 'order', streamId: '1' })
  }
  const clients = await Promise.all(Array.from({ length: pool.totalCount }, () => pool.connect()))
  const remembered = []
  for (const client of clients) {
    const answer = await client.query(
      `select (select count(*) from pg_prepared_statements)::int as statements,
              (select sum(total_bytes) from pg_backend_memory_contexts)::float8 / 1048576 as mib`,
    )
    remembered.push(answer.rows[0])
    client.release()
  }
  for (const meow of open) await meow.close()
  await pool.end()
  const sample = (what: string, unit: string, ours: number): Sample => ({ what, unit, ours, less: true })
  return [
    sample('connect to one more store of one pool', 'ms', median(took)),
    sample('connect to one more store: queries', '', queriesToConnect),
    sample('an idle store: heap', 'KiB', kib),
    sample(`${STORES} idle stores: queries a second, the listener aside`, '/s', idle),
    sample(`${STORES} idle stores: timers more than one has`, '', moreTimers),
    sample(`${STORES} idle stores: connections`, '', rows[0].all),
    sample(`${STORES} idle stores: of these listeners`, '', rows[0].listeners),
    sample(
      `${STORES} stores used: prepared statements of the fullest connection`,
      '',
      Math.max(...remembered.map(({ statements }) => statements)),
    ),
    sample(
      `${STORES} stores used: memory of the fullest connection's server process`,
      'MiB',
      Math.max(...remembered.map(({ mib }) => mib)),
    ),
  ]
}
