// @push
// Many stores in one process: those in one database share one LISTEN connection, and one that nobody observes does nothing.
// Polls are a minute apart: events arrive by push.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions, Meow } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { channels, heard } from './support/listens.ts'
import { startProxy } from './support/proxy.ts'
import { seeded } from './support/random.ts'
import { current, listening } from './support/status.ts'
import { closeAll, databaseUrl, fromNow, openStore, pgClient, uniqueName } from './support/store.ts'
import { lastingTimers } from './support/timers.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
const pollIntervalMs = 60_000
const open = (schema: string, options: ConnectOptions = {}) =>
  openStore({ schema, pollIntervalMs, maxConnections: 2, ...options })

/** Of a test, each migrated. Stores of one process take turns in it. */
const schemas = (count: number) => Array.from({ length: count }, () => uniqueName('many'))

/** Listeners of these schemas, by process id: other tests have theirs on this server. */
async function listeners(names: readonly string[]): Promise<{ pid: number; name: string }[]> {
  const sql = await pgClient()
  const { rows } = await sql.query(
    'select pid, application_name as name from pg_stat_activity where application_name = any ($1) order by pid',
    [names.map((name) => `meowmx listener ${name}`)],
  )
  await sql.end()
  return rows
}

/** Each observes its store: events that are appended there, by another store object without LISTEN, arrive. */
async function observed(stores: readonly Meow[], names: readonly string[]) {
  const category = uniqueName('seen')
  const all = stores.map((store) => collect(store.events({ category })))
  for (const _ of stores) await heard('LISTEN', `.${category}`)
  const writers = await Promise.all(names.map((name) => open(name, { listen: false })))
  let count = 0
  return {
    all,
    /** One event into each store, which comes to each observer, or only to those of these numbers. */
    append: async (who = stores.map((_, n) => n)) => {
      count++
      for (const writer of writers) await writer.append({ category, streamId: '1' }, event)
      for (const n of who) await all[n]!.has(count, 20_000)
    },
  }
}

test.after(closeAll)

test('stores in one database share one connection, named after the oldest; each hears its own', async () => {
  const names = schemas(4)
  const stores = []
  for (const name of names) stores.push(await open(name))
  for (const store of stores) await listening(store)
  const { all, append } = await observed(stores, names)
  await append()
  await append()
  for (const { all: seen } of all) assert.is(seen.length, 2)
  const found = await listeners(names)
  assert.equal(
    found.map(({ name }) => name),
    [`meowmx listener ${names[0]}`],
  )

  // Its backend ends, and notifications that are sent meanwhile are lost: each store is woken, and fetches its horizon.
  const states = stores.map((store) => collect(store.status$))
  const sql = await pgClient()
  await sql.query('select pg_terminate_backend($1)', [found[0]!.pid])
  await append()
  for (const { all: seen } of states) {
    await until(() => seen.length >= 3, { what: 'push to be back' })
    assert.equal(
      seen.map(({ state }) => state),
      ['listening', 'reconnecting', 'listening'],
    )
    assert.is((seen[1]!.cause as { code: string }).code, 'ERR_CONNECTION')
  }

  // The oldest store closes: the others are notified as before, and the next connection is named after one of them.
  await stores[0]!.close()
  assert.is(current(stores[0]!.status$)?.state, undefined, 'completed')
  assert.is(states[0]!.all.at(-1)!.state, 'closed')
  await append([1, 2, 3])
  const [before] = await listeners(names)
  await sql.query('select pg_terminate_backend($1)', [before!.pid])
  await until(async () => (await listeners(names)).some(({ name }) => name.endsWith(names[1]!)), {
    what: 'a connection named after the next one',
  })
  await append([1, 2, 3])
  for (const store of stores.slice(1)) await store.close()
  await until(async () => (await listeners(names)).length === 0, { what: 'no listener' })
})

test('two stores of one schema: what one no longer listens to, the other still hears', async () => {
  const [name] = schemas(1) as [string]
  const [first, second] = [await open(name), await open(name)]
  for (const store of [first, second]) await listening(store)
  const { all, append } = await observed([first, second], [name])
  await append()
  all[0]!.subscription.unsubscribe()
  await append([1])
  const again = collect(first.events({}, await fromNow(first)))
  await heard('LISTEN', name)
  await append([1])
  await again.has(1)
  await first.close()
  await append([1])
  assert.is((await listeners([name])).length, 1)
  await second.close()
  await until(async () => (await listeners([name])).length === 0, { what: 'no listener' })
  // The next one is no worse for it.
  const third = await open(name)
  await listening(third)
  const after = await observed([third], [name])
  await after.append()
  await third.close()
})

test('a store that observes nothing listens to nothing, so no append wakes it; one that starts to observe is notified', async () => {
  const [name] = schemas(1) as [string]
  const store = await open(name)
  await listening(store)
  await until(async () => (await channels()).length === 0, { what: 'it to listen to nothing' })
  const { all, append } = await observed([store], [name])
  await append()
  all[0]!.subscription.unsubscribe()
  // Its liveness probe may just have succeeded, and the next one is 15 s away.
  const timeoutMs = 40_000
  await until(async () => (await channels()).length === 0, {
    what: 'it to listen to nothing again',
    timeoutMs,
  })
  await store.close()
})

test('other databases, roles, ways and bounds have connections of their own', async () => {
  const [name] = schemas(1) as [string]
  const url = new URL(databaseUrl())
  const proxy = await startProxy(databaseUrl())
  const count = async (...options: ConnectOptions[]) => {
    const stores = []
    for (const each of options) stores.push(await open(name, each))
    for (const store of stores) await listening(store)
    const found = await listeners([name])
    await Promise.all(stores.map((store) => store.close()))
    await until(async () => (await listeners([name])).length === 0, { what: 'no listener' })
    return found.length
  }
  const database = decodeURIComponent(url.pathname.slice(1))
  const single = {
    host: url.hostname,
    port: Number(url.port || 5432),
    user: decodeURIComponent(url.username),
    ...(url.password ? { password: decodeURIComponent(url.password) } : {}),
    database,
  }
  const { pool } = countingPool({ connectionString: undefined, ...single } as never)
  assert.is(await count({}, { queryTimeoutMs: 20_000 }, { pollIntervalMs: 500 }, { pool }), 1, 'the same')
  await pool.end()
  assert.is(await count({}, { listenConnectionString: proxy.url }), 2, 'another way')
  assert.is(await count({}, { queryTimeoutMs: 900 }), 2, 'another bound')
  const sql = await pgClient()
  const role = uniqueName('role')
  await sql.query(`create role ${role} login superuser password 'secret'`)
  const asRole = new URL(databaseUrl())
  asRole.username = role
  asRole.password = 'secret'
  assert.is(await count({}, { listenConnectionString: asRole.href }), 2, 'another role')
  await sql.query(`drop role ${role}`)
  await proxy.close()
})

test('opened and closed at any moment, many at once: every open store is notified, and nothing is left', async () => {
  const dice = seeded('many stores')
  const names = schemas(3)
  for (const name of names) await (await open(name, { listen: false })).close()
  const sql = await pgClient()
  const running = new Set<Meow>()
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  for (let round = 0; round < 15; round++) {
    const opening = Array.from({ length: dice.int(1, 3) }, () => open(dice.pick(names)))
    if (dice.chance(0.3))
      await sql.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where application_name = any ($1)',
        [names.map((name) => `meowmx listener ${name}`)],
      )
    for (const store of await Promise.all(opening)) {
      running.add(store)
      store.events({}, { from: 'end' }).subscribe({ error: () => {} })
    }
    for (let turns = dice.int(0, dice.pick([1, 20, 200])); turns > 0; turns--) await turn()
    const closing = [...running].filter(() => dice.chance(0.6))
    for (const store of closing) running.delete(store)
    await Promise.all(closing.map((store) => store.close()))
  }
  const last = await Promise.all(names.map((name) => open(name)))
  for (const store of [...last, ...running]) await listening(store)
  const { append } = await observed(last, names)
  await append()
  assert.is((await listeners(names)).length, 1)
  await Promise.all([...last, ...running].map((store) => store.close()))
  await until(async () => (await listeners(names)).length === 0, { what: 'no listener' })
})

test('a store that nobody observes sends no queries, and has no timer', async () => {
  const names = schemas(6)
  const { pool, queries } = countingPool({ max: 2, idleTimeoutMillis: 0 }) // that timer is the pool's
  // Migrated by other connections, so that this process has cached nothing.
  for (const name of names) await (await open(name, { listen: false })).close()
  const watched = countingPool({ max: 1, idleTimeoutMillis: 0 })
  const watching = await open(names[0]!, { pool: watched.pool, pollIntervalMs: 20 })
  const seen = collect(watching.events({}, { from: 'end' }))
  await listening(watching)
  await until(() => watched.queries.length >= 10, { what: 'its polls' })
  const least = await lastingTimers()
  const idle = []
  for (const schema of names) idle.push(await open(schema, { pool, pollIntervalMs: 20 }))
  for (const store of idle) await listening(store)
  const [asked, polls] = [queries.length, watched.queries.length]
  await until(() => watched.queries.length >= polls + 40, { what: 'polls of who is observed' })
  assert.equal(queries.slice(asked), [], 'the others')
  assert.is(await lastingTimers(), least)
  seen.subscription.unsubscribe()
  await Promise.all([watching, ...idle].map((store) => store.close()))
  await Promise.all([pool.end(), watched.pool.end()])
})

test.run()
