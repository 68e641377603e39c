import { randomUUID } from 'node:crypto'
import type { Meow } from 'meowmx'
import { fill } from './catch-up.ts'
import { Consumer } from './consumer.ts'
import type { Sample } from './report.ts'
import type { Place, Setting } from './setting.ts'
import { BARE, data, INSERT_BARE } from './setting.ts'
import { speedOf } from './statistics.ts'

const SMALL = 10_000
const LARGE = 5_000_000
/** How often each store is measured, in turn with the other: the machine's speed changes within minutes. */
const ROUNDS = 5
/**
 * Reading a small store takes so little time that it would measure the warm-up of the process. So as many events of the large
 * one are read, at several places.
 */
const SPANS = 20
const CLIENTS = 32

/** The minimum of an append: the columns of an event, and its indexes. */
const SAME = `create table same (like meowmx.events including defaults including identity including indexes);
  insert into same overriding system value select * from meowmx.events;
  select setval(pg_get_serial_sequence('same', 'position'), max(position)) from same`
const INSERT_SAME = `insert into same (version, category, stream_id, type, data)
  values (0, 'order', gen_random_uuid()::text, 'Evt', '${JSON.stringify(data)}')`.replaceAll('\n', ' ')

interface Store {
  place: Place
  meow: Meow
  events: number
}

/** Appending and catching up with 5,000,000 events there, each as a ratio to the limit at the same size, against that ratio at 10,000. */
export async function size(setting: Setting): Promise<Sample[]> {
  const small = await filled(setting, SMALL)
  const large = await filled(setting, LARGE, { beside: true })
  const samples: Sample[] = []
  for (let round = 1; round <= ROUNDS; round++) {
    const [few, many] = [await ratios(setting, small), await ratios(setting, large)]
    for (const what of ['append', 'append, against the same columns and indexes', 'catch-up'] as const) {
      samples.push({
        what: `${what}: ratio to the limit at 5,000,000 events, against 10,000`,
        unit: '×',
        ours: many[what],
        limit: few[what],
        goal: 0.95,
      })
    }
  }
  return samples
}

async function filled(setting: Setting, events: number, options = { beside: false }): Promise<Store> {
  const place = await setting.database(options)
  const meow = await place.store()
  await place.query(BARE)
  await fill(place, events, 'bare')
  await fill(place, events, 'meowmx.events')
  await place.query(SAME)
  return { place, meow, events }
}

async function ratios(setting: Setting, store: Store) {
  const { place, meow, events } = store
  const paging = await rate(store, 'paging')
  const read = await rate(store, 'events')
  // Each begins after a checkpoint, because the first change of a page after a checkpoint logs the whole page, which costs more
  // with a larger index.
  const bare = await logged(place, async () => (await place.pgbench(INSERT_BARE, CLIENTS)) ?? Number.NaN)
  const same = await logged(place, async () => (await place.pgbench(INSERT_SAME, CLIENTS)) ?? Number.NaN)
  const ours = await logged(place, async () => {
    const append = () => meow.append({ category: 'order', streamId: randomUUID() }, { type: 'Evt', data })
    return (await speedOf({ clients: CLIENTS, seconds: setting.seconds }, append)).rate
  })
  setting.log(
    `  ${events}: append ${ours.text}, same indexes ${same.text}, bare ${bare.text}; catch-up ${read.toFixed()} of ${paging.toFixed()}/s`,
  )
  return {
    append: ours.rate / bare.rate,
    'append, against the same columns and indexes': ours.rate / same.rate,
    'catch-up': read / paging,
  }
}

/** How fast it was, and what it wrote to the log for each. */
async function logged(place: Place, measure: () => Promise<number>) {
  const wal = async () => {
    const { rows } = await place.query(
      'select wal_bytes::float8 as bytes, wal_fpi::float8 as pages from pg_stat_wal',
    )
    return rows[0] as { bytes: number; pages: number }
  }
  await place.query('checkpoint')
  const before = await wal()
  const begin = performance.now()
  const rate = await measure()
  const count = (rate * (performance.now() - begin)) / 1000
  const after = await wal()
  const bytes = (after.bytes - before.bytes) / count
  return { rate, text: `${rate.toFixed()}/s (${bytes.toFixed()} bytes of log each)` }
}

/** Ranges with as many events as the small store has; in the small store, always the same range. */
async function rate({ place, events }: Store, how: 'paging' | 'events'): Promise<number> {
  const spans = Array.from({ length: SPANS }, (_, n) => Math.floor(((events - SMALL) * n) / (SPANS - 1)))
  const consumer = await Consumer.start({ url: place.url, how, names: ['size'], spans, span: SMALL })
  const { first, at } = await consumer.seen(SPANS * SMALL)
  await consumer.stop()
  return (SPANS * SMALL) / ((at - first) / 1000)
}
