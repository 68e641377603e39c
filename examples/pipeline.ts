// Deliveries through a pipeline of RxJS: meters report, each region's readings are written in batches, then acked.
import type { Delivery } from 'meowmx'
import { connect, handle } from 'meowmx'
import pg from 'pg'
import {
  bufferTime,
  concatMap,
  count,
  filter,
  groupBy,
  lastValueFrom,
  mergeMap,
  retry,
  scan,
  take,
  takeWhile,
} from 'rxjs'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()
const pool = new pg.Pool(database)
for (const table of ['by_batch', 'by_event']) {
  await pool.query(`create table ${table} (position bigint primary key, region text, kwh int)`)
}

for (let meter = 1; meter <= 6; meter++) {
  const region = meter % 2 ? 'north' : 'south'
  const readings = Array.from({ length: 50 }, (_, hour) => ({
    type: 'Read',
    data: { region, kwh: meter + hour },
  }))
  await meow.append({ category: 'meter', streamId: `meter-${meter}` }, readings)
}

/** One statement for all. Deliveries can come twice: the position makes it the same row. */
async function write(region: string, batch: Delivery[]): Promise<number> {
  const rows = [batch.map(({ event }) => event.position), region, batch.map(({ event }) => event.data.kwh)]
  await pool.query(
    `insert into by_batch select position, $2, kwh from unnest($1::bigint[], $3::int[]) as batch (position, kwh)
     on conflict do nothing`,
    rows,
  )
  await Promise.all(batch.map((delivery) => delivery.ack())) // all by the next checkpoint
  return batch.length
}

// A batch ends by time too, not by size alone: no more comes in once `maxInFlight` deliveries wait for their acks.
const batches = meow.subscription('by batch', { category: 'meter' }).deliveries()
const written = batches.pipe(
  groupBy(({ event }) => event.data.region as string),
  mergeMap((region) =>
    region.pipe(
      bufferTime(50, null, 100), // ms, at most
      filter((batch) => batch.length > 0),
      concatMap((batch) => write(region.key, batch)),
    ),
  ),
  retry({ delay: 1_000 }), // at the checkpoint
  scan((sum, size) => ({ writes: sum.writes + 1, readings: sum.readings + size }), {
    writes: 0,
    readings: 0,
  }),
  takeWhile(({ readings }) => readings < 300, true),
)
const { writes, readings } = await lastValueFrom(written)
console.log(`by batch: ${readings} readings, in fewer than 100 writes: ${writes < 100}`)

// The same one by one: `handle` keeps each meter's order, and acks what was written.
const events = meow.subscription('by event', { category: 'meter' }).deliveries()
const handled = events.pipe(
  handle(
    ({ position, data }) =>
      pool.query('insert into by_event values ($1, $2, $3) on conflict do nothing', [
        position,
        data.region,
        data.kwh,
      ]),
    { concurrency: 4 },
  ),
  retry({ delay: 1_000 }),
  take(300),
  count(),
)
console.log(`by event: ${await lastValueFrom(handled)} readings`)

for (const table of ['by_batch', 'by_event']) {
  const { rows } = await pool.query(
    `select region, sum(kwh)::int from ${table} group by region order by region`,
  )
  console.log(table, rows.map(({ region, sum }) => `${region} ${sum} kWh`).join(', '))
}
await pool.end()

// Output:
// by batch: 300 readings, in fewer than 100 writes: true
// by event: 300 readings
// by_batch north 4125 kWh, south 4275 kWh
// by_event north 4125 kWh, south 4275 kWh
