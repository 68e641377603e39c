import { randomUUID } from 'node:crypto'
import { fill } from './catch-up.ts'
import { Consumer } from './consumer.ts'
import type { Sample } from './report.ts'
import type { Place, Setting } from './setting.ts'
import { BARE, data, INSERT_BARE } from './setting.ts'
import { speedOf } from './statistics.ts'

const READ = 200_000

/** Appending and catching up with 5,000,000 events there, each as a ratio to the limit at the same size, against that ratio at 10,000. */
export async function size(setting: Setting): Promise<Sample[]> {
  const small = await ratios(setting, 10_000)
  const large = await ratios(setting, 5_000_000)
  const goal = 0.95
  return [
    {
      what: 'append, ratio to the limit at 5,000,000 events, against 10,000',
      unit: '×',
      ours: large.append,
      limit: small.append,
      goal,
    },
    {
      what: 'catch-up, ratio to the limit at 5,000,000 events, against 10,000',
      unit: '×',
      ours: large.read,
      limit: small.read,
      goal,
    },
  ]
}

async function ratios(setting: Setting, events: number): Promise<{ append: number; read: number }> {
  const place = await setting.database()
  const meow = await place.store()
  await place.query(BARE)
  await fill(place, events, 'bare')
  await fill(place, events, 'meowmx.events')
  await place.query('checkpoint')
  const limit = await rate(place, 'paging', events)
  const read = (await rate(place, 'events', events)) / limit
  const clients = 32
  const bare = (await place.pgbench(INSERT_BARE, clients)) ?? Number.NaN
  const { rate: ours } = await speedOf({ clients, seconds: setting.seconds }, () =>
    meow.append({ category: 'order', streamId: randomUUID() }, { type: 'Evt', data }),
  )
  setting.log(
    `  ${events} events: append ${ours.toFixed()} of ${bare.toFixed()}/s, catch-up at ${read.toFixed(2)} of ${limit.toFixed()}/s`,
  )
  return { append: ours / bare, read }
}

async function rate(place: Place, how: 'paging' | 'events', events: number): Promise<number> {
  const count = Math.min(events, READ)
  const consumer = await Consumer.start({ url: place.url, how, names: ['size'], after: events - count })
  const { first, at } = await consumer.seen(count)
  await consumer.stop()
  return count / ((at - first) / 1000)
}
