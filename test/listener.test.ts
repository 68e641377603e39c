// @push
// The listener can fail at any time: whatever happens to it, or is sent to it, events continue, and none is lost meanwhile.
// Polls are a minute apart: events after a fault arrive because the new listener wakes its tails.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { startProxy } from './support/proxy.ts'
import { current, listening } from './support/status.ts'
import {
  closeAll,
  databaseUrl,
  fromNow,
  openStore,
  pgClient,
  storeSchema,
  uniqueName,
} from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const event = { type: 'Happened', data: {} }
const pollIntervalMs = 60_000

let writer: Meow
test.before(async () => {
  writer = await openStore({ listen: false })
})
test.after(closeAll)

const pids = async (application: string): Promise<number[]> => {
  const sql = await pgClient()
  const { rows } = await sql.query('select pid from pg_stat_activity where application_name = $1', [
    application,
  ])
  await sql.end()
  return rows.map(({ pid }) => pid)
}

test('its backend is terminated: it is back at once, and what was sent meanwhile arrives', async () => {
  const sql = await pgClient()
  const meow = await openStore({ pollIntervalMs })
  await listening(meow)
  const states = collect(meow.status$)
  const category = uniqueName('killed')
  const seen = collect(meow.events({ category }))
  const all = collect(meow.events({}, await fromNow(meow)))
  for (const n of upTo(10)) {
    const [pid] = await pids(`meowmx listener ${storeSchema}`)
    // In one go: the notification is sent while nobody listens.
    const append = `${storeSchema}.append('${category}', '1', '{"type": "Happened", "data": {}}')`
    await sql.query(`select pg_terminate_backend(${pid}); select from ${append}`)
    await seen.has(n + 1)
    await until(() => all.all.at(-1)?.version === n, { what: 'the observer of all' })
    await listening(meow)
  }
  assert.equal(
    seen.all.map(({ version }) => version),
    upTo(10),
  )
  const names = states.all.map(({ state }) => state)
  assert.equal(names.slice(0, 3), ['listening', 'reconnecting', 'listening'])
  for (const { state, cause } of states.all) assert.is(cause !== undefined, state === 'reconnecting')
  assert.is((states.all[1]!.cause as { code: string }).code, 'ERR_CONNECTION')
  await meow.close()
})

test('anything may be sent on its channels: it is a hint at most', async () => {
  const meow = await openStore({ pollIntervalMs })
  await listening(meow)
  const application = `meowmx listener ${storeSchema}`
  const before = await pids(application)
  const category = uniqueName('junk')
  const seen = [collect(meow.events({ category })), collect(meow.events({}, await fromNow(meow)))] as const
  const name = uniqueName('junk')
  const worker = meow.subscription(name, { category }).process(() => {})
  await worker.ready
  await writer.append({ category, streamId: '1' }, event)
  for (const { has } of seen) await has(1)

  const sql = await pgClient()
  const { rows } = await sql.query(`select ${storeSchema}.wake_channel($1) as wake_up`, [name])
  const junk = [
    'text',
    '9007199254740991',
    '9007199254740993',
    '1e300',
    '-5',
    '0',
    '',
    '{"a": 1}',
    '[]',
    'NaN',
    '0x10',
  ]
  junk.push('Infinity', "'; drop table events", '1 2', 'x'.repeat(7999), '\u{1f408}')
  for (const channel of [`${storeSchema}.${category}`, storeSchema, rows[0].wake_up]) {
    for (const payload of junk) await sql.query('select pg_notify($1, $2)', [channel, payload])
    await sql.query(`notify "${channel}"`)
  }
  await writer.append({ category, streamId: '1' }, [event, event])
  for (const { all, has } of seen) {
    await has(3)
    assert.equal(
      all.map(({ version }) => version),
      [0, 1, 2],
    )
  }
  assert.equal(await pids(application), before, 'the same connection all along')

  // A forged position does not hide events that an open append holds back.
  await sql.query('begin')
  await writer.append({ category, streamId: 'open' }, event, { client: sql })
  await writer.append({ category, streamId: '1' }, event)
  await sql.query('rollback')
  for (const { has } of seen) await has(4, 5_000)
  await meow.close()
})

test('a schema may have any name: each is a channel too', async () => {
  const names = [
    'error',
    'newListener',
    'Quoted "Name"',
    "o'clock",
    '__proto__',
    'ü'.repeat(31),
    'notification',
  ]
  for (const schema of names) {
    const meow = await openStore({ schema, pollIntervalMs })
    await listening(meow)
    for (const category of ['error', 'order', 'ü'.repeat(200)]) {
      const now = await fromNow(meow)
      const seen = [{}, { category }].map((selector) => collect(meow.events(selector, now)))
      for (const count of [1, 2]) {
        await meow.append({ category, streamId: '1' }, event)
        for (const { has } of seen) await has(count, 5_000)
      }
      for (const { subscription } of seen) subscription.unsubscribe()
    }
    await meow.close()
  }
})

test('a connection that dies silently is found and replaced', async () => {
  const proxy = await startProxy(databaseUrl())
  const meow = await openStore({ listenConnectionString: proxy.url, queryTimeoutMs: 1_000, pollIntervalMs })
  await listening(meow)
  const category = uniqueName('silent')
  const seen = collect(meow.events({ category }))
  await writer.append({ category, streamId: '1' }, event)
  await seen.has(1)
  proxy.blackhole()
  await writer.append({ category, streamId: '1' }, event)
  await until(() => current(meow.status$).state === 'reconnecting', { what: 'the silence to be noticed' })
  await proxy.heal()
  await seen.has(2)
  await listening(meow)
  await meow.close()
  await proxy.close()
})

test('without a server to listen to, the poll continues; when it is back, push continues', async () => {
  const proxy = await startProxy(databaseUrl())
  await proxy.cut()
  const meow = await openStore({ listenConnectionString: proxy.url, pollIntervalMs: 50 })
  const category = uniqueName('no-server')
  const seen = collect(meow.events({ category }))
  for (const n of upTo(3)) {
    await writer.append({ category, streamId: '1' }, event)
    await seen.has(n + 1)
  }
  const status = current(meow.status$)
  assert.is(status.state, 'reconnecting')
  assert.is((status.cause as { code: string }).code, 'ERR_CONNECTION')
  await proxy.heal()
  await listening(meow)
  assert.ok(current(meow.status$).since > status.since)
  await meow.close()
  await proxy.close()
})

test('each connection says whose it is', async () => {
  const schema = uniqueName('named')
  const meow = await openStore({ schema })
  await listening(meow)
  await meow.read({})
  assert.ok((await pids(`meowmx ${schema}`)).length >= 1)
  assert.is((await pids(`meowmx listener ${schema}`)).length, 1)
  await meow.close()
  await until(
    async () =>
      (await pids(`meowmx ${schema}`)).length + (await pids(`meowmx listener ${schema}`)).length === 0,
    { what: 'all connections to be gone' },
  )
})

test.run()
