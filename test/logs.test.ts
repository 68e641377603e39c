// What is logged, at every level: never a password, and of events only what a handler's own error contains.
import { inspect } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Delivery } from '../src/index.ts'
import { connect } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { startProxy } from './support/proxy.ts'
import { listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { pushes } from './support/ways.ts'

const role = uniqueName('logs')
const password = uniqueName('password')
const secret = uniqueName('secret')
const lines: [level: string, line: string][] = []
const log =
  (level: string) =>
  (...args: unknown[]) =>
    lines.push([level, inspect(args, { depth: Infinity })])
const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
const sql = await pgClient()
test.after(async () => {
  await sql.query(`drop owned by ${role}; drop role ${role}`)
  await closeAll()
})

test('failures of handlers, acks too late, an outage: neither password nor payload', async () => {
  await openStore()
  await sql.query(`create role ${role} superuser login password '${password}'`)
  const url = new URL(databaseUrl())
  ;[url.username, url.password] = [role, password]
  const proxy = await startProxy(url.href)
  const meow = await openStore({
    connectionString: proxy.url,
    logger,
    queryTimeoutMs: 2_000,
    pollIntervalMs: 100,
  })
  const category = uniqueName('logs')
  const event = { type: 'T', data: { secret }, metadata: { secret } }
  const told: unknown[] = [] // all that the library rejects with
  const tell = (error: unknown) => void told.push(error)

  const { position } = await meow.append({ category, streamId: 'a' }, [event, event])
  await meow.append({ category, streamId: 'a' }, event, { expectedVersion: 7 }).catch(tell)
  await meow
    .append({ category, streamId: 'a' }, [{ ...event, metadata: { bad: [secret, Number.NaN] } }])
    .catch(tell)
  assert.is(told.length, 2)
  const worker = meow.subscription(uniqueName('fails'), { category }).process(
    () => {
      throw new Error('no reason')
    },
    { retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 1 } },
  )
  const writer = meow.subscription(uniqueName('fails'), { category }).process(
    async (event, { client }) => {
      await client.query('insert into nowhere values ($1)', [event.data])
    },
    { transactional: true, retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 1 } },
  )
  worker.done.catch(tell)
  writer.done.catch(tell)
  const name = uniqueName('late')
  const { all, has, subscription } = collect<Delivery>(meow.subscription(name, { category }).deliveries())
  await has(2)
  await meow.resetSubscription(name, 'start') // the lease is gone
  all[0]!.ack().catch(tell)
  all[1]!.nack({ error: new Error('no reason') })
  await until(async () => (await meow.subscriptions()).filter(({ parked }) => parked === 2).length === 2, {
    what: 'all to be parked',
  })
  await listening(meow)
  await proxy.cut()
  await meow.append({ category, streamId: 'a' }, event).catch(tell)
  await meow.load({ category, streamId: 'a' }).catch(tell)
  await meow.waitFor(name, position + 1_000, { timeoutMs: 100 }).catch(tell)
  await connect({ connectionString: proxy.url, schema: storeSchema, logger }).catch(tell)
  const lost = (of: string) =>
    lines.filter(([level, line]) => level === of && line.includes('the listener lost its connection')).length
  if (pushes) await until(() => lost('debug') >= 2, { what: 'the log', timeoutMs: 30_000 })
  if (pushes) assert.is(lost('warn'), 1, 'an outage is told of once')
  await proxy.heal()
  await listening(meow)
  subscription.unsubscribe()
  await meow.close()
  await proxy.close()

  for (const level of ['debug', 'warn', 'error'])
    assert.ok(
      lines.some(([of]) => of === level),
      level,
    )
  for (const word of ['a handler failed; trying again', 'for the last time', 'nowhere', 'no reason'])
    assert.ok(
      lines.some(([, line]) => line.includes(word)),
      word,
    )
  for (const [level, line] of lines) {
    assert.ok(!line.includes(password), `${level}: ${line}`)
    assert.ok(!line.includes(secret), `${level}: ${line}`)
  }
  assert.ok(told.length >= 6, `${told.length} errors`)
  for (const error of told) {
    assert.ok(!inspect(error, { depth: Infinity }).includes(password), inspect(error))
    assert.ok(!(error as Error).message.includes(secret), (error as Error).message)
  }
})

test('each change is logged once, with its subject', async () => {
  const told: { level: string; fields: any; message: string }[] = []
  const tell = (level: string) => (fields: unknown, message: string) =>
    void told.push({ level, fields, message })
  const logger = { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
  const schema = uniqueName('logs')
  const meow = await openStore({ schema, logger })
  await meow.migrate()
  await listening(meow)
  const [category, name] = [uniqueName('logs'), uniqueName('sub')]
  const { events } = await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
  const [{ position }] = events as [(typeof events)[0]]
  const seen = collect<Delivery>(meow.subscription(name, { category }).deliveries())
  await seen.has(1)
  await seen.all[0]!.park(new RangeError('no'))
  await meow.replayParked(name)
  await seen.has(2)
  await seen.all[1]!.ack()
  const said = (message: string) => told.filter((line) => line.message === message)
  const again = 'a parked stream is replayed; its new events are delivered again'
  await until(() => said(again).length > 0, { what: 'the replay to end' })
  seen.subscription.unsubscribe()
  await until(() => said('gave partitions back').length > 0, { what: 'the end' })
  await meow.close()
  const stream = { category, streamId: 'a' }
  const expected: [message: string, level: string, fields: object][] = [
    ['took partitions', 'info', { subscription: name, partitions: [0] }],
    ['gave partitions back', 'info', { subscription: name, partitions: [0] }],
    [again, 'info', stream],
  ]
  if (pushes) expected.push(['listening for notifications', 'info', { schema }])
  for (const [message, level, fields] of expected)
    assert.equal(said(message), [{ level, fields, message }], message)
  assert.equal(
    said('the schema is migrated').map(({ level, fields }) => [level, fields.schema]),
    [['info', schema]],
  )
  const [aside, ...others] = said('a consumer has parked a stream; replayParked() delivers it again')
  const { err, ...fields } = aside!.fields
  assert.equal([aside!.level, others.length, err.name], ['warn', 0, 'RangeError'])
  assert.equal(fields, { attempt: 1, position, ...stream, type: 'T' })
})

test.run()
