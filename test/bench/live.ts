import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fill } from './catch-up.ts'
import { Consumer } from './consumer.ts'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { BARE, data, INSERT_BARE } from './setting.ts'
import { now, quantile, speedOf } from './statistics.ts'

/** How many events of one way are measured before the other one's turn: the machine's speed changes within seconds. */
const TURN = 25

/**
 * From the call of append to the handler in another process, one event every 20 ms, against a bare insert + notify. The first
 * 100 of each are not counted: a process that has just begun is slower.
 */
export async function latency(setting: Setting): Promise<Sample[]> {
  const bare = await setting.database()
  await bare.query(BARE)
  const pool = bare.pool(1)
  const text = `with i as (insert into bare (stream, version, type, data) values ($1, 0, 'Evt', $2)) select pg_notify('bare', $2::text)`
  const insert = () =>
    pool.query({ name: 'insert', text, values: [randomUUID(), JSON.stringify({ ...data, at: now() })] })
  const place = await setting.database({ beside: true })
  const meow = await place.store()
  const append = () =>
    meow.append({ category: 'order', streamId: randomUUID() }, { type: 'Evt', data: { ...data, at: now() } })
  const limit = way(await Consumer.start({ url: bare.url, how: 'notify', names: [] }), insert)
  const ours = way(
    await Consumer.start({ url: place.url, how: 'process', names: ['live'], from: 'end' }),
    append,
  )
  for (const { run } of [limit, ours]) await run(100)
  for (const { consumer } of [limit, ours]) await consumer.times()
  const turns = Math.max(6, setting.seconds * 4)
  for (let turn = 0; turn < turns; turn++) for (const { run } of [limit, ours]) await run(TURN)
  const [least, times] = [await limit.consumer.times(), await ours.consumer.times()]
  for (const { consumer } of [limit, ours]) await consumer.stop()
  const what = 'append to handler in another process, quiet store'
  const sample = (q: number) => ({
    unit: 'ms',
    ours: quantile(times, q),
    limit: quantile(least, q),
    less: true,
  })
  return [
    { what: `${what}: p50`, ...sample(0.5), goal: 1.3 },
    { what: `${what}: p99`, ...sample(0.99), goal: 2 },
  ]
}

/** Writes one event each 20 ms, and waits until the last one has come. */
function way(consumer: Consumer, write: () => Promise<unknown>) {
  let count = 0
  const run = async (events: number) => {
    for (let n = 0; n < events; n++) await Promise.all([write(), delay(20)])
    count += events
    await consumer.seen(count)
  }
  return { consumer, run }
}

/** 16 appenders at full speed and one acked subscription in another process, against pgbench with 16 clients. */
export async function endToEnd(setting: Setting): Promise<Sample[]> {
  const clients = 16
  const bare = await setting.database()
  await bare.query(BARE)
  const limit = await bare.pgbench(INSERT_BARE, clients)
  const place = await setting.database()
  const meow = await place.store()
  const consumer = await Consumer.start({ url: place.url, how: 'process', names: ['live'], from: 'end' })
  let written = 0
  const append = async () => {
    await meow.append({ category: 'order', streamId: randomUUID() }, { type: 'Evt', data })
    written++
  }
  await speedOf({ clients, seconds: 0 }, append)
  await consumer.seen(written)
  const [begin, before] = [now(), written]
  await speedOf({ clients, seconds: setting.seconds }, append)
  const stopped = now()
  const { at } = await consumer.seen(written)
  await consumer.stop()
  const what = `${clients} appenders and one acked subscription`
  return [
    { what, unit: '/s', ours: (written - before) / ((Math.max(at, stopped) - begin) / 1000), limit, goal: 1 },
    {
      what: `${what}: lag when they stop`,
      unit: 'ms',
      ours: Math.max(0, at - stopped),
      goal: 100,
      less: true,
      absolute: true,
    },
  ]
}

/** What 100 subscriptions of one category in one process make the server read, against 1. */
export async function fanOut(setting: Setting): Promise<Sample[]> {
  const EVENTS = 2_000
  const reads = async (count: number) => {
    const place = await setting.database()
    const meow = await place.store()
    await fill(place, 10, 'meowmx.events')
    const names = Array.from({ length: count }, (_, n) => `s${n}`)
    const consumer = await Consumer.start({ url: place.url, how: 'process', names, from: 'end' })
    const fetched = async () => {
      await delay(1_500) // statistics come with a delay of up to a second
      const { rows } = await place.query(
        `select pg_stat_get_tuples_fetched('meowmx.events'::regclass) as heap,
                (select sum(idx_tup_fetch) from pg_stat_user_indexes where relname = 'events') as index`,
      )
      return Number(rows[0].index)
    }
    const before = await fetched()
    const { cpu } = await consumer.state()
    for (let n = 0; n < EVENTS / 10; n++)
      await meow.append(
        { category: 'order', streamId: randomUUID() },
        Array.from({ length: 10 }, () => ({ type: 'Evt', data })),
      )
    const state = await consumer.seen(EVENTS * count)
    await consumer.stop()
    return { rows: (await fetched()) - before, cpu: state.cpu - cpu }
  }
  const one = await reads(1)
  const many = await reads(100)
  const what = '100 subscriptions of one category in one process, against 1'
  return [
    { what: `${what}: rows read`, unit: '', ours: many.rows, limit: one.rows, goal: 3, less: true },
    { what: `${what}: CPU of the process`, unit: 'ms', ours: many.cpu, limit: one.cpu, less: true },
  ]
}
