import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { eventFeed, toNodeListener } from 'meowmx/http'
import type { Sample } from './report.ts'
import type { Setting } from './setting.ts'
import { now, quantile } from './statistics.ts'

const CONNECTIONS = Number(process.env.MEOWMX_BENCH_CONNECTIONS ?? 5_000)
const CATEGORIES = 500
/** How many events are measured. */
const EVENTS = 20

/**
 * Connections of one category: what they ask the database while they are idle, their memory, and how soon one event has reached
 * all of them. Then as many connections as categories, which get one event each. The clients are another process.
 */
export async function http(setting: Setting): Promise<Sample[]> {
  const place = await setting.database()
  const pool = place.pool(4)
  let queries = 0
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: any[]) => any
    client.query = ((...args: any[]) => {
      queries++
      return query(...args)
    }) as typeof client.query
  })
  const meow = await place.store({ pool, connectionString: undefined, pollIntervalMs: 60_000 })
  const settings = { authorize: () => true, maxConnections: 50_000 }
  const server = createServer(toNodeListener(eventFeed(meow, settings)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const append = (category: string) =>
    meow.append({ category, streamId: '1' }, { type: 'Evt', data: { at: now() } })

  const { position } = await append('order')
  const path = `/events/category/order?offset=${String(position).padStart(16, '0')}&live=sse`
  const before = await memory()
  const one = await clients(
    port,
    Array.from({ length: CONNECTIONS }, () => path),
  )
  const each = ((await memory()) - before) / CONNECTIONS / 1024
  const asked = queries
  await delay(20_000) // a heartbeat each, and more
  const idle = queries - asked
  const all: number[] = []
  for (let n = 0; n < EVENTS; n++) {
    const [delays] = await Promise.all([one.delays(), append('order')])
    all.push(...delays)
    await delay(500)
  }
  one.stop()

  const names = Array.from({ length: CATEGORIES }, (_, n) => `c${n}`)
  for (const name of names) await append(name)
  const many = await clients(
    port,
    names.map((name) => `/events/category/${name}?offset=now&live=sse`),
  )
  const spread: number[] = []
  for (let n = 0; n < 5; n++) {
    const delays = many.delays()
    for (const name of names) await append(name)
    spread.push(...(await delays))
  }
  many.stop()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  const what = `${CONNECTIONS} connections of one category`
  const apart = `${CATEGORIES} connections of ${CATEGORIES} categories`
  return [
    {
      what: `${what}: queries in 20 s while idle`,
      unit: '',
      ours: idle,
      goal: 0,
      less: true,
      absolute: true,
    },
    { what: `${what}: memory of the server for each`, unit: 'KiB', ours: each },
    { what: `${what}: append to all of them, p50`, unit: 'ms', ours: quantile(all, 0.5) },
    { what: `${what}: append to all of them, p99`, unit: 'ms', ours: quantile(all, 0.99) },
    { what: `${apart}: append to the one, p50`, unit: 'ms', ours: quantile(spread, 0.5) },
    { what: `${apart}: append to the one, p99`, unit: 'ms', ours: quantile(spread, 0.99) },
  ]
}

async function memory(): Promise<number> {
  globalThis.gc?.()
  await delay(1_000)
  return process.memoryUsage().rss
}

async function clients(port: number, paths: readonly string[]) {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'http-clients.mjs'), String(port), ...paths],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error('the clients ended')
    return value
  }
  await next()
  return {
    delays: async (): Promise<number[]> => JSON.parse(await next()),
    stop: () => void child.kill(),
  }
}
