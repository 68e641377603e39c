import { randomUUID } from 'node:crypto'
import type { Sample } from './report.ts'
import type { Place, Setting } from './setting.ts'
import { data } from './setting.ts'

const EVENTS = 100_000
const PARTITIONS = [1, 12, 100]
const HOLDERS = [0, 100, 400]

/** The size of an event on disk and in the WAL, and the costs of a table that is partitioned by position. */
export async function scale(setting: Setting): Promise<Sample[]> {
  return [
    ...(await bytes(await setting.database())),
    ...(await partitioned(await setting.database())),
    ...(await locks(await setting.database())),
  ]
}

const sample = (what: string, unit: string, ours: number): Sample => ({ what, unit, ours, less: true })
const first = async (place: Place, text: string) => Object.values((await place.query(text)).rows[0]!) as any[]

async function bytes(place: Place): Promise<Sample[]> {
  const meow = await place.store()
  const wal = async (events: number, append: () => Promise<unknown>) => {
    await append() // the first change of a page after a checkpoint logs the whole page
    const [from] = await first(place, 'select pg_current_wal_insert_lsn()')
    await append()
    const [written] = await first(
      place,
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '${from}')::float8`,
    )
    return written / events
  }
  const event = { type: 'Evt', data }
  const stream = () => ({ category: 'order', streamId: randomUUID() })
  const single = await wal(1_000, async () => {
    for (let n = 0; n < 1_000; n++) await meow.append(stream(), event)
  })
  const together = await wal(1_000, () =>
    Promise.all(Array.from({ length: 1_000 }, () => meow.append(stream(), event))),
  )
  for (let n = 0; n < EVENTS; n += 10) {
    const ten = meow.append(stream(), Array(10).fill(event))
    if (n % 1_000 === 0) await ten
  }
  await meow.load(stream())
  await place.query('vacuum (analyze) meowmx.events')
  const [count, table, indexes] = await first(
    place,
    `select count(*)::float8, pg_table_size('meowmx.events')::float8, pg_indexes_size('meowmx.events')::float8 from meowmx.events`,
  )
  const { rows } = await place.query(
    `select indexrelid::regclass::text as name, pg_relation_size(indexrelid)::float8 as size from pg_index where indrelid = 'meowmx.events'::regclass order by 2 desc`,
  )
  return [
    sample('log (WAL) per event, one a transaction', 'B', single),
    sample('log (WAL) per event, 1,000 appends at once', 'B', together),
    sample('table, per event', 'B', table / count),
    sample('indexes, per event', 'B', indexes / count),
    ...rows.map(({ name, size }) => sample(`of these ${name.replace('meowmx.', '')}`, 'B', size / count)),
  ]
}

/** The same columns, partitioned by ranges of positions: unique indexes only hold within a partition. */
async function partitioned(place: Place): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const count of PARTITIONS) {
    const table = `by_${count}`
    const size = EVENTS / count
    await place.query(`
      create table ${table} (position bigint not null, id uuid not null, version int not null, category text not null,
        stream_id text not null, data json not null) partition by range (position);
      do $$ begin for n in 0 .. ${count - 1} loop
        execute format('create table ${table}_%s partition of ${table} for values from (%s) to (%s)', n, ceil(n * ${size}), ceil((n + 1) * ${size}));
        execute format('create unique index on ${table}_%s (position); create unique index on ${table}_%s (id); create unique index on ${table}_%s (category, stream_id, version)', n, n, n);
      end loop; end $$;
      insert into ${table} select n, gen_random_uuid(), n / 10000, 'order', 'stream ' || n % 10000, '{}' from generate_series(0, ${EVENTS - 1}) n;
      analyze ${table}`)
    const plan = async (query: string) => {
      await place.query(query) // what the catalog says of the partitions is cached
      const { rows } = await place.query(`explain (analyze, buffers, format json) ${query}`)
      const [{ Plan, 'Planning Time': planning }] = rows[0]!['QUERY PLAN']
      return { buffers: Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks'], planning }
    }
    const version = await plan(
      `select max(version) from ${table} where category = 'order' and stream_id = 'stream 42'`,
    )
    const id = await plan(`select position from ${table} where id = '${randomUUID()}'`)
    const page = await plan(
      `select * from ${table} where position > ${EVENTS - 500} order by position limit 100`,
    )
    const of = count === 1 ? 'one partition' : `${count} partitions by position`
    samples.push(
      sample(`${of}: pages touched for a stream's max(version)`, '', version.buffers),
      sample(`${of}: pages touched for an id`, '', id.buffers),
      sample(`${of}: pages touched to read 100 new events`, '', page.buffers),
      sample(`${of}: time to plan max(version)`, 'ms', version.planning),
    )
  }
  return samples
}

/** What fetching the horizon costs while many appends are open. */
async function locks(place: Place): Promise<Sample[]> {
  const samples: Sample[] = []
  await (await place.store()).append({ category: 'order', streamId: '1' }, { type: 'Evt', data })
  const [most] = await first(place, 'show max_connections')
  for (const count of HOLDERS.filter((holders) => holders < Number(most) - 20)) {
    const pool = place.pool(count || 1)
    const open = await Promise.all(Array.from({ length: count }, () => pool.connect()))
    for (const client of open)
      await client.query(
        `begin; select from meowmx.append('order', gen_random_uuid()::text, '[{"type": "Evt", "data": {}}]')`,
      )
    const { rows } = await place.query('explain (analyze, format json) select * from meowmx.horizons(null)')
    const again = await place.query('explain (analyze, format json) select * from meowmx.horizons(null)')
    const times = [rows, again.rows].map((answer) => answer[0]!['QUERY PLAN'][0]['Execution Time'])
    samples.push(sample(`a look at the horizon, ${count} appends open`, 'ms', Math.min(...times)))
    for (const client of open) {
      await client.query('rollback')
      client.release()
    }
  }
  return samples
}
