// A consumer that ends by itself reports which one it is, why it ended and what to do: in the log, in its status and in `done`.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConnectOptions, DurableSubscription, Meow, ProcessOptions, Worker } from '../src/index.ts'
import { connect, ValidationError } from '../src/index.ts'
import { relay } from '../src/relay/index.ts'
import { collect } from './support/collect.ts'
import { current } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { theWay } from './support/ways.ts'

const said: [level: string, ...args: unknown[]][] = []
const original = { ...console }
const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))
const stores: Meow[] = []
const levels = ['debug', 'info', 'log', 'warn', 'error'] as const

/** As a user opens it: without a word about logging, unless the test has one. */
async function open(options: ConnectOptions = {}): Promise<Meow> {
  const { logger: _, ...way } = theWay()
  const meow = await connect({ ...way, connectionString: databaseUrl(), schema: storeSchema, ...options })
  stores.push(meow)
  return meow
}

let meow: Meow
test.before(async () => {
  await openStore()
  meow = await open()
  // Only now: a spy that comes after connect() sees what is logged, too.
  for (const level of levels) console[level] = (...args: unknown[]) => void said.push([level, ...args])
})
test.before.each(() => {
  said.length = 0
})
test.after(async () => {
  Object.assign(console, original)
  await Promise.all(stores.map((store) => store.close()))
  await closeAll()
  assert.equal(unhandled, [])
})

/** A subscription that has one event. */
async function given() {
  const name = uniqueName('ends')
  await meow.append({ category: name, streamId: '1' }, { type: 'Happened', data: {} })
  return { name, subscription: meow.subscription(name, { category: name, leaseMs: 300 }) }
}

const errors = () => said.filter(([level]) => level === 'error').map(([, message]) => String(message))

/** It has ended with a matching error, and all places show it. */
async function ended(
  { name, status$ }: DurableSubscription,
  { done }: Pick<Worker, 'done'>,
  why: RegExp,
  what: RegExp,
) {
  const error = await done.then(
    () => assert.unreachable('it goes on'),
    (error) => error as Error,
  )
  await until(() => current(status$).state === 'stopped', { what: 'the status' })
  assert.is(current(status$).error, error)
  assert.instance(current(status$).since, Date)
  const told = errors().filter((message) => message.includes(`"${name}" ends`))
  assert.is(told.length, 1, said.join('\n'))
  assert.match(told[0]!, why)
  assert.match(told[0]!, what)
}

const failing = () => {
  throw new Error('the disk of the mail server is full')
}
for (const [how, options] of [
  ['one by one', {}],
  ['transactional', { transactional: true }],
] as [string, ProcessOptions][])
  test(`onExhausted: 'stop', ${how}`, async () => {
    const { subscription } = await given()
    const retry = { maxAttempts: 1 }
    const worker = subscription.process(failing, { ...options, retry, onExhausted: 'stop' } as ProcessOptions)
    await ended(
      subscription,
      worker,
      /disk of the mail server is full/,
      /Happened of stream .*start it again/,
    )
  })

test('another number of partitions', async () => {
  const { name, subscription } = await given()
  await subscription.process(() => {}).stop()
  await meow.subscription(name, { category: name }).process(() => {}).ready
  const other = meow.subscription(name, { category: name, partitions: 7 })
  await ended(
    other,
    other.process(() => {}),
    /1 partitions.*7 partitions/,
    /alterSubscription/,
  )
})

test('a subscription that is deleted', async () => {
  const { name, subscription } = await given()
  const worker = subscription.process(() => {})
  await worker.ready
  await meow.deleteSubscription(name)
  await ended(subscription, worker, /there is no subscription/, /start it again to make a new one/)
})

test('one that is altered meanwhile', async () => {
  const { name, subscription } = await given()
  const worker = subscription.process(() => {})
  await worker.ready
  const sql = await pgClient()
  // The state after alterSubscription for an executor that was frozen until its lease expired.
  await sql.query(`update ${storeSchema}.subscriptions set revision = gen_random_uuid() where name = $1`, [
    name,
  ])
  await ended(subscription, worker, /was altered/, /alterSubscription/)
})

test('a store that is not migrated', async () => {
  const bare = await open({ schema: uniqueName('bare') })
  const subscription = bare.subscription(uniqueName('ends'), {})
  await ended(
    subscription,
    subscription.process(() => {}),
    /is not migrated/,
    /start it again/,
  )
})

test('deliveries whose errors the subscriber ignores', async () => {
  const { name, subscription } = await given()
  const { has, ended: over } = collect(subscription.deliveries())
  await has(1)
  await meow.deleteSubscription(name)
  const done = over().then(() => {
    throw current(subscription.status$).error
  })
  await ended(subscription, { done }, /there is no subscription/, /start it again/)
})

test('a relay', async () => {
  const { name, subscription } = await given()
  await subscription.process(() => {}).ready
  const broker = { async open() {}, async publish() {}, async close() {} }
  const relaying = relay(meow, name, { category: name, partitions: 3, broker })
  await relaying.done.catch(() => {})
  assert.ok(
    errors().some((message) => message.startsWith(`meowmx: relay "${name}" has ended`)),
    said.join('\n'),
  )
})

test('one that is stopped reports nothing, and starts again without the last error', async () => {
  const { subscription } = await given()
  const failed = subscription.process(failing, { retry: { maxAttempts: 1 }, onExhausted: 'stop' })
  await failed.done.catch(() => {})
  said.length = 0
  const worker = subscription.process(() => {})
  await until(() => current(subscription.status$).state === 'live', { what: 'it to be live' })
  assert.is(current(subscription.status$).error, undefined)
  await worker.stop()
  assert.is(current(subscription.status$).state, 'stopped')
  assert.is(current(subscription.status$).error, undefined)
  assert.equal(said, [])
})

test('warnings go to the console, info and debug do not; `false` silences all, a logger takes all', async () => {
  const { name } = await given()
  const told: string[] = []
  const log = (level: string) => (_: unknown, text: string) => void told.push(`${level}: ${text}`)
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
  const run = async (store: Meow, parts: string) => {
    const subscription = store.subscription(`${name}-${parts}`, { category: name })
    const retry = { maxAttempts: 2, minDelayMs: 0 }
    await subscription.process(failing, { retry, onExhausted: 'stop' }).done.catch(() => {})
  }
  await run(meow, 'console')
  assert.equal([...new Set(said.map(([level]) => level))], ['warn', 'error'])
  const warning = said[0]!
  assert.is(warning[1], 'meowmx: a handler failed; trying again')
  assert.is((warning[2] as { subscription: string }).subscription, `${name}-console`)
  said.length = 0
  await run(await open({ logger: false }), 'false')
  await run(await open({ logger }), 'own')
  assert.equal(said, [])
  assert.ok(
    told.some((line) => line.startsWith(`error: subscription "${name}-own" ends`)),
    told.join('\n'),
  )
  for (const logger of [true, {}, null] as never[])
    await connect({ logger }).then(
      () => assert.unreachable(),
      (error) => assert.instance(error, ValidationError),
    )
})

test.run()
