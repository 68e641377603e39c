import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fill } from './catch-up.ts'
import { Consumer } from './consumer.ts'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { BARE, data, INSERT_BARE } from './setting.ts'
import { now, quantile, speedOf } from './statistics.ts'

/** From the call of append to the handler in another process, one event every 20 ms, against a bare insert + notify. */
export async function latency(setting: Setting): Promise<Sample[]> {
  const EVENTS = Math.max(100, setting.seconds * 50)
  const measure = async (consumer: Consumer, write: () => Promise<unknown>) => {
    for (let n = 0; n < 20; n++) await Promise.all([write(), delay(20)]) // warm
    await consumer.seen(20)
    await consumer.times()
    for (let n = 0; n < EVENTS; n++) await Promise.all([write(), delay(20)])
    await consumer.seen(20 + EVENTS)
    const times = await consumer.times()
    await consumer.stop()
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
  }

  const bare = await setting.database()
  await bare.query(BARE)
  const pool = bare.pool(1)
  const text = `with i as (insert into bare (stream, version, type, data) values ($1, 0, 'Evt', $2)) select pg_notify('bare', $2::text)`
  const limit = await measure(await Consumer.start({ url: bare.url, how: 'notify', names: [] }), () =>
    pool.query({ name: 'insert', text, values: [randomUUID(), JSON.stringify({ ...data, at: now() })] }),
  )
  const place = await setting.database()
  const meow = await place.store()
  const consumer = await Consumer.start({ url: place.url, how: 'process', names: ['live'], from: 'end' })
  const ours = await measure(consumer, () =>
    meow.append({ category: 'order', streamId: randomUUID() }, { type: 'Evt', data: { ...data, at: now() } }),
  )
  const what = 'append to handler in another process, quiet store'
  return [
    { what: `${what}: p50`, unit: 'ms', ours: ours.p50, limit: limit.p50, goal: 1.3, less: true },
    { what: `${what}: p99`, unit: 'ms', ours: ours.p99, limit: limit.p99, goal: 2, less: true },
  ]
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
