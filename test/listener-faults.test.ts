// @push
// Faults of the listen connection alone: its backend ends or freezes, or its network loses everything or half of it. Push is
// back within a limit, and events that are appended meanwhile arrive by the poll, at its default interval.
import { skip } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EmbeddedPostgres } from '../src/embedded/index.ts'
import { startPostgres } from '../src/embedded/index.ts'
import type { Meow } from '../src/index.ts'
import type { Collected } from './support/collect.ts'
import { collect } from './support/collect.ts'
import type { Proxy as Way } from './support/proxy.ts'
import { startProxy } from './support/proxy.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const event = { type: 'Happened', data: {} }
const schema = uniqueName('faults')
/** What a machine that does something else may add. */
const SLACK_MS = 2_000

// Of our own, for only its processes can be frozen.
let server: EmbeddedPostgres
let writer: Meow
test.before(async () => {
  server = await startPostgres({ settings: { fsync: false } })
  const { connectionString } = server
  process.env.DATABASE_URL = connectionString
  writer = await openStore({ connectionString, schema, listen: false })
})
test.after(async () => {
  await closeAll()
  await server.stop()
})

const listenerPid = async (): Promise<number> => {
  const sql = await pgClient()
  const { rows } = await sql.query(
    'select pid from pg_stat_activity where application_name = $1 order by backend_start desc limit 1',
    [`meowmx listener ${schema}`],
  )
  await sql.end()
  return rows[0].pid
}

/** Appends, and returns how long it took to arrive, in ms. */
async function arrival(
  stream: { category: string; streamId: string },
  seen: Collected<unknown>,
): Promise<number> {
  const count = seen.all.length
  const begin = performance.now()
  await writer.append(stream, event)
  await seen.has(count + 1, 60_000)
  return Math.round(performance.now() - begin)
}

/** How long until push is in that state, in ms. */
async function becomes(meow: Meow, state: string): Promise<number> {
  const begin = performance.now()
  await until(() => current(meow.status$).state === state, { what: state, timeoutMs: 60_000 })
  return Math.round(performance.now() - begin)
}

test('terminated: push is back within 200 ms, and no event that was appended meanwhile is lost', async () => {
  const meow = await openStore({ schema, pollIntervalMs: 60_000 })
  const stream = { category: uniqueName('ended'), streamId: '1' }
  const seen = collect(meow.events({ category: stream.category }))
  await listening(meow)
  await arrival(stream, seen)
  const sql = await pgClient()
  const [logins, back, arrivals]: number[][] = [[], [], []]
  for (const _ of upTo(20)) {
    const pid = await listenerPid()
    const login = performance.now()
    await (await pgClient()).query('listen nobody')
    logins!.push(Math.round(performance.now() - login))
    const begin = performance.now()
    // In one go: the notification is sent while nobody listens.
    const count = seen.all.length
    await sql.query(
      `select pg_terminate_backend(${pid}); select from ${schema}.append('${stream.category}', '1', '{"type": "Happened", "data": {}}')`,
    )
    await seen.has(count + 1)
    arrivals!.push(Math.round(performance.now() - begin))
    await until(async () => current(meow.status$).state === 'listening' && (await listenerPid()) !== pid, {
      what: 'push',
    })
    back!.push(Math.round(performance.now() - begin))
  }
  const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length / 2]!
  console.log(
    `terminated: events after ${median(arrivals!)} ms, push after ${median(back!)} ms`,
    arrivals,
    back,
  )
  // The median, without the time of a login, so that other work of this machine does not count.
  const most = 150 + 4 * median(logins!)
  assert.ok(median(arrivals!) < most && median(back!) < most, `${most} ms`)
  assert.equal(
    seen.all.map(({ version }) => version),
    upTo(21),
  )
  await meow.close()
})

/** What is broken, and how it is mended. */
const silences: Record<string, (way: Way) => Promise<() => Promise<void>>> = {
  'a network that loses everything': async (way) => {
    way.blackhole()
    return way.heal
  },
  'a network that loses the answers': async (way) => {
    way.blackhole('back')
    return way.heal
  },
  'a backend that is frozen': async () => {
    const pid = await listenerPid()
    process.kill(pid, 'SIGSTOP')
    return async () => {
      process.kill(pid, 'SIGCONT')
    }
  },
}

const bounds: Record<string, number> = { 'a network that loses the answers': 500 } // others as by default

for (const [what, silence] of Object.entries(silences)) {
  const { [what]: listenerTimeoutMs = 5_000 } = bounds
  test(`${what}: found out within ${listenerTimeoutMs} ms, meanwhile the poll brings the events`, async () => {
    const proxy = await startProxy(server.connectionString)
    const meow = await openStore({ schema, listenConnectionString: proxy.url, listenerTimeoutMs })
    const stream = { category: uniqueName('silent'), streamId: '1' }
    const seen = collect(meow.events({ category: stream.category }))
    await listening(meow)
    await arrival(stream, seen)

    const mend = await silence(proxy)
    const noticed = becomes(meow, 'reconnecting')
    const polled = await arrival(stream, seen)
    const detection = await noticed
    await mend()
    const healing = await becomes(meow, 'listening')
    console.log(
      `${what}: first event after ${polled} ms, noticed after ${detection} ms, push again after ${healing} ms`,
    )
    assert.ok(polled < 1_000 + SLACK_MS, `an event took ${polled} ms`)
    assert.ok(detection < listenerTimeoutMs + SLACK_MS, `noticed after ${detection} ms`)
    assert.ok(healing < listenerTimeoutMs + 1_000 + SLACK_MS, `push again after ${healing} ms`)
    await arrival(stream, seen)
    assert.equal(
      seen.all.map(({ version }) => version),
      upTo(3),
    )
    await meow.close()
    await proxy.close()
  })
}

test('a network that forgot all connections: events flow again within one queryTimeoutMs, however many connections there were', async () => {
  const way = await startProxy(server.connectionString)
  const queryTimeoutMs = 3_000
  const meow = await openStore({ schema, connectionString: way.url, queryTimeoutMs })
  const stream = { category: uniqueName('hole'), streamId: '1' }
  const seen = collect(meow.events({ category: stream.category }))
  await listening(meow)
  await Promise.all(upTo(5).map(() => meow.read({})))
  await arrival(stream, seen)
  const states = collect(meow.status$.pipe(skip(1)))
  way.blackhole()
  await way.heal() // for new connections: those in the hole stay there
  const polled = await arrival(stream, seen)
  const begin = performance.now()
  await meow.load(stream)
  const loaded = Math.round(performance.now() - begin)
  await until(() => states.all.some(({ cause }) => cause), { what: 'the silence to be noticed' })
  await listening(meow)
  console.log(
    `all connections forgotten, queryTimeoutMs ${queryTimeoutMs}: event after ${polled} ms, a query then takes ${loaded} ms`,
  )
  // The next poll is the first to look.
  assert.ok(polled < 1_000 + queryTimeoutMs + 500 + SLACK_MS)
  assert.ok(loaded < queryTimeoutMs, 'another one that is dead, too')
  await arrival(stream, seen)
  await meow.close()
  await way.close()
})

test.run()
