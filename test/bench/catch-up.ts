import { Consumer } from './consumer.ts'
import type { Sample } from './report.ts'
import type { Place, Setting } from './setting.ts'
import { BARE, INSERT_BARE } from './setting.ts'

const EVENTS = 200_000

/** This many events of the category `order`, ten in each stream, and the same events in the bare table. */
export async function fill(place: Place, events: number, table: 'bare' | 'meowmx.events'): Promise<void> {
  const json = `json_build_object('lane', 0, 'seq', g, 'stream', md5((g / 10)::text)::uuid, 'pos', g % 10, 'pad', repeat('x', 110))`
  const insert =
    table === 'bare'
      ? `insert into bare (stream, version, type, data) select md5((g / 10)::text)::uuid, g % 10, 'Evt', ${json}`
      : `insert into meowmx.events (version, category, stream_id, type, data)
         select g % 10, 'order', md5((g / 10)::text)::uuid::text, 'Evt', ${json}`
  const SLICE = 100_000
  for (let from = 0; from < events; from += SLICE)
    await place.query(`${insert} from generate_series(${from}, ${Math.min(from + SLICE, events) - 1}) g`)
  await place.query(`vacuum analyze ${table}`)
}

/** 200,000 events into one process, against pages of a bare table as objects. From the first to the last one. */
export async function catchUp(setting: Setting): Promise<Sample[]> {
  const place = await setting.database()
  await place.store()
  await place.query(BARE)
  await fill(place, EVENTS, 'bare')
  await fill(place, EVENTS, 'meowmx.events')
  const speed = async (how: 'paging' | 'paging-events' | 'events' | 'process', maxInFlight = 256) => {
    const consumer = await Consumer.start({
      url: place.url,
      how,
      names: [`catch-up-${maxInFlight}`],
      maxInFlight,
    })
    const { first, at } = await consumer.seen(EVENTS)
    await consumer.stop()
    return EVENTS / ((at - first) / 1000)
  }
  const limit = await speed('paging')
  const events = await speed('events')
  const same = await speed('paging-events')
  return [
    { what: 'catch-up by events()', unit: '/s', ours: events, limit, goal: 1.2 },
    { what: 'catch-up by events(), against paging the same columns', unit: '/s', ours: events, limit: same },
    { what: 'catch-up by process()', unit: '/s', ours: await speed('process'), limit, goal: 0.8 },
    {
      what: 'catch-up by process(), maxInFlight 4096',
      unit: '/s',
      ours: await speed('process', 4096),
      limit,
      goal: 0.8,
    },
  ]
}

/** Transactional handlers that insert one row each, against single-row inserts by pgbench at their best. */
export async function transactional(setting: Setting): Promise<Sample[]> {
  const place = await setting.database()
  await place.query(BARE)
  const rates = [
    await place.pgbench(INSERT_BARE, 16),
    await place.pgbench(INSERT_BARE, 32),
    await place.pgbench(INSERT_BARE, 64),
  ]
  const known = rates.filter((rate) => rate !== undefined)
  await place.store()
  const events = 50_000
  await fill(place, events, 'meowmx.events')
  const consumer = await Consumer.start({ url: place.url, how: 'transactional', names: ['effects'] })
  const { first, at } = await consumer.seen(events)
  await consumer.stop()
  const limit = known.length > 0 ? Math.max(...known) : undefined
  return [
    {
      what: 'transactional process(), one insert a handler',
      unit: '/s',
      ours: events / ((at - first) / 1000),
      limit,
      goal: 1,
    },
  ]
}

/** A million events through an acked subscription: the memory of that process. */
export async function memory(setting: Setting): Promise<Sample[]> {
  const events = 1_000_000
  const place = await setting.database()
  await place.store()
  await fill(place, events, 'meowmx.events')
  const consumer = await Consumer.start({ url: place.url, how: 'process', names: ['memory'] })
  const half = await consumer.seen(events / 2)
  const all = await consumer.seen(events)
  await consumer.stop()
  const what = 'memory (RSS) of a catch-up of 1,000,000 events'
  return [
    { what, unit: 'MB', ours: all.rss / 1e6, goal: 150, less: true, absolute: true },
    {
      what: `${what}: its second half against its first`,
      unit: 'MB',
      ours: all.rss / 1e6,
      limit: half.rss / 1e6,
      less: true,
    },
  ]
}
