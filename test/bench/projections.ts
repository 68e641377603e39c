import { setTimeout as delay } from 'node:timers/promises'
import { defineProjection } from 'meowmx'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { now, quantile } from './statistics.ts'

const EVENTS = 300_000
const APPENDS = 500 // a second
const READERS = 32

/** A projection: how fast a version is built, what a rebuild does to readers under load, and how long the switch takes. */
export async function projections(setting: Setting): Promise<Sample[]> {
  const place = await setting.database()
  const meow = await place.store()
  const fill = Array.from({ length: 1_000 }, (_, n) => ({ type: 'Evt', data: { n } }))
  for (let n = 0; n < EVENTS; n += fill.length)
    await meow.append({ category: 'order', streamId: `${n}` }, fill)
  const orders = (version: number) =>
    defineProjection({
      name: 'orders',
      version,
      category: 'order',
      batchSize: 1_000,
      setup: 'create table orders (position bigint primary key, stream_id text not null, n int not null)',
      handle: (events, { client }) =>
        client.query('insert into orders select * from unnest($1::bigint[], $2::text[], $3::int[])', [
          events.map(({ position }) => position),
          events.map(({ streamId }) => streamId),
          events.map(({ data }) => (data as { n: number }).n),
        ]),
    })
  const isLive = async (version: number) =>
    (await meow.projections()).some((one) => one.version === version && one.state === 'live')
  const began = now()
  const workers = [meow.projection(orders(1)).start()]
  while (!(await isLive(1))) await delay(20)
  const rate = (EVENTS / (now() - began)) * 1000

  // Appends at a steady rate, and a reader of the view, without a rebuild and during one.
  const pool = place.pool(READERS)
  let ended = false
  const load = (async () => {
    for (const from = now(), sent = { n: 0 }; !ended; await delay(4))
      for (; sent.n < ((now() - from) / 1000) * APPENDS; sent.n++)
        meow.append({ category: 'order', streamId: `l${sent.n % 100}` }, fill[0]!).catch(() => {})
  })()
  let position = 0
  const read = async (until: () => boolean) => {
    const took: number[] = []
    while (!until()) {
      const at = now()
      await pool.query('select n from public.orders where position = $1', [++position])
      took.push(now() - at)
      await delay(1)
    }
    return quantile(took, 0.99)
  }
  const end = now() + setting.seconds * 1000
  const alone = await read(() => now() > end)
  let isRebuilt = false
  const rebuilding = meow.rebuildProjection('orders').then(() => {
    isRebuilt = true
  })
  const beside = await read(() => isRebuilt)
  await rebuilding

  workers.push(meow.projection(orders(2)).start())
  while (!(await isLive(2))) await delay(20)
  let isSwitched = false
  const slowest: number[] = []
  const readers = Array.from({ length: READERS }, async () => {
    while (!isSwitched) {
      const at = now()
      await pool.query('select n from public.orders where position = $1', [++position])
      slowest.push(now() - at)
    }
  })
  const switches: number[] = []
  for (let n = 0; n < 10; n++) {
    await delay(100)
    const at = now()
    await meow.activateProjection('orders', (n % 2) + 1)
    switches.push(now() - at)
  }
  isSwitched = true
  ended = true
  await Promise.all([...readers, load])
  const what = `projection of ${EVENTS} events`
  return [
    { what: `${what}: build`, unit: '/s', ours: rate, goal: 50_000, absolute: true },
    {
      what: `${what}: p99 of a reader beside a rebuild, under ${APPENDS} appends/s, against without`,
      unit: 'ms',
      ours: beside,
      limit: alone,
      goal: 1.3,
      less: true,
    },
    {
      what: `${what}: switch with ${READERS} readers`,
      unit: 'ms',
      ours: quantile(switches, 0.5),
      goal: 50,
      less: true,
      absolute: true,
    },
    { what: `${what}: slowest read during 10 switches`, unit: 'ms', ours: Math.max(...slowest), less: true },
  ]
}
