// A password that is put in the wrong place is printed nowhere: in no error, log line or span of any function that there is.
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { connect, DurableSubscription, EventBuffer, Meow, MeowError } from '../src/index.ts'
import { planted, plantsOf } from './support/plants.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { startTracing } from './support/tracing.ts'
import { until } from './support/until.ts'

const password = uniqueName('hunter')
const plants = plantsOf(password)
const lines: [level: string, line: string][] = []
const log =
  (level: string) =>
  (...args: unknown[]) =>
    void lines.push([level, inspect(args, { depth: 20, maxStringLength: null })])
const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
const address = new URL(directUrl())
address.password = password // the server under test trusts everybody
process.env.PGPASSWORD = password
const tracing = startTracing()
let meow: Meow
test.before(async () => {
  await openStore()
  meow = await connect({
    connectionString: address.href,
    schema: storeSchema,
    logger,
    queryTimeoutMs: 5_000,
    pollIntervalMs: 50,
  })
})
test.after(async () => {
  await meow.close()
  await tracing.stop()
  await closeAll()
})

let errors = 0
function look(where: string | (() => string), error: unknown): void {
  errors++
  const found = plants.found(error)
  if (found !== undefined)
    throw new Error(`${typeof where === 'string' ? where : where()} tells the password: …${found}…`)
}

/** Calls it, and checks each error that results, at once or later. What was begun is ended. */
async function call(name: string, run: () => unknown, args: unknown[] = []): Promise<void> {
  const told: unknown[] = []
  const tell = (error: unknown) => void told.push(error)
  try {
    await end(await run(), tell)
  } catch (error) {
    tell(error)
  }
  for (const error of told) look(() => `${name} of ${plants.sketch(args)}`, error)
}

async function end(result: any, tell: (error: unknown) => void): Promise<void> {
  if (typeof result === 'function') await result()
  if (typeof result !== 'object' || result === null) return
  if (typeof result.subscribe === 'function') {
    const subscription = result.subscribe({ error: tell })
    await new Promise((resolve) => setImmediate(resolve))
    subscription.unsubscribe()
  }
  if (typeof result[Symbol.asyncIterator] === 'function') {
    const iterator = result[Symbol.asyncIterator]()
    iterator.next().catch(tell)
    await iterator.return()
  }
  for (const promise of [result.ready, result.done]) promise?.catch?.(tell)
  for (const name of ['stop', 'close'])
    if (typeof result[name] === 'function') await result[name]().catch(tell)
}

const stream = { category: uniqueName('secrets'), streamId: 'a' }
const event = { type: 'T', data: { a: [{ b: 1 }] }, metadata: { m: 1 } }
const selector = { category: stream.category, types: ['T'], streamId: 'a' }
const decider = {
  category: stream.category,
  initialState: 0,
  evolve: (state: number) => state,
  decide: () => [event],
}
class Account {
  static category = stream.category
  collectPendingEvents() {
    return [event]
  }
}
const name = uniqueName('secrets')
const handler = () => {}
/** Arguments with which each works; what is not listed is called by `USUAL`. */
const METHODS: Record<string, unknown[]> = {
  migrate: [],
  categories: [],
  subscriptions: [],
  stallers: [],
  append: [stream, event, { expectedVersion: 7 }],
  appendAll: [[{ stream, events: [event], expectedVersion: 7 }], {}],
  load: [stream, { fromVersion: 0, toVersion: 5, limit: 1, direction: 'forward' }],
  read: [selector, { after: 0, until: 5, limit: 1, direction: 'forward' }],
  events: [selector, { from: { after: 0 }, live: false }],
  iterate: [selector, { from: { after: 0 }, live: false }],
  project: [stream.category, handler],
  subscription: [name, { ...selector, from: { after: 0 }, partitions: 1, leaseMs: 1_000 }],
  alterSubscription: [name, { category: 'a', types: ['T'], partitions: 2 }],
  resetSubscription: [name, { after: 0 }],
  deleteSubscription: [name],
  parked: [name, { limit: 1 }],
  replayParked: [name, { streamId: 'a' }],
  waitFor: [name, 1, { timeoutMs: 10 }],
  eraseStream: [{ ...stream, streamId: 'e' }, { reason: 'r' }],
  loadAggregate: [Account, 'a', {}],
  saveAggregate: [new Account(), {}],
  decide: [decider, 'a', { c: 1 }, { retries: 0 }],
  state: [decider, 'a', { toVersion: 1 }],
  watch: [decider, 'a'],
}
const USUAL = [stream, event, {}]
const methodsOf = (prototype: object) =>
  Object.getOwnPropertyNames(prototype).filter(
    (key) =>
      typeof Object.getOwnPropertyDescriptor(prototype, key)!.value === 'function' && key !== 'constructor',
  )

for (const method of methodsOf(Meow.prototype).filter((method) => method !== 'close'))
  test(`meow.${method}`, async () => {
    for (const args of planted(METHODS[method] ?? USUAL, plants))
      await call(`meow.${method}`, () => (meow as any)[method](...args), args)
  })

test('a call that fails once all is checked: a version, an id, a caller’s transaction', async () => {
  const at = { category: plants.url, streamId: `password=${password}` }
  const id = crypto.randomUUID()
  await meow.append(at, { ...event, id })
  await call('a conflict', () => meow.append(at, event, { expectedVersion: 7 }))
  await call('a duplicate', () => meow.append({ ...at, streamId: 'b' }, { ...event, id, data: 7 }))
  const client = await pgClient()
  await call('no transaction', () => meow.append(at, event, { client }))
  const subscription = meow.subscription(plants.url, at)
  const worker = subscription.process(
    () => {
      throw new Error(`can not reach ${plants.url}`, { cause: { password } })
    },
    { retry: { maxAttempts: 1 }, onExhausted: 'park' },
  )
  await until(async () => (await meow.parked(plants.url)).length > 0, { what: 'the event to be parked' })
  look(
    'what is parked',
    (await meow.parked(plants.url)).map(({ error }) => error),
  )
  await worker.stop()
})

test('each error is what it was, and of use: fields that are not printed are there', async () => {
  const at = { category: plants.url, streamId: 'c' }
  const error: any = await meow.append(at, event, { expectedVersion: 7 }).catch((error) => error)
  assert.instance(error, MeowError)
  assert.equal(error.stream, at)
  const harmless: any = await meow.append(stream, event, { expectedVersion: 7e5 }).catch((error) => error)
  assert.equal(JSON.parse(JSON.stringify(harmless)).stream, stream)
})

test('a subscription’s methods', async () => {
  const base: Record<string, unknown[]> = {
    process: [handler, { concurrency: 1, retry: { maxAttempts: 1 } }],
  }
  for (const method of methodsOf(DurableSubscription.prototype))
    for (const args of planted(base[method] ?? USUAL, plants))
      await call(
        `subscription.${method}`,
        () => {
          const subscription: any = meow.subscription(uniqueName('secrets'), selector)
          return subscription[method](...args)
        },
        args,
      )
})

test('connect: each option, and invalid ones', async () => {
  const base = {
    connectionString: address.href,
    schema: storeSchema,
    maxConnections: 2,
    listenConnectionString: address.href,
    listen: false,
    prepare: true,
    pollIntervalMs: 50,
    listenerTimeoutMs: 500,
    reconnectDelayMs: 50,
    queryTimeoutMs: 1_000,
    logger,
    telemetry: true,
  }
  for (const args of planted([base], plants)) await call('connect', () => (connect as any)(...args), args)
  for (const key of ['pool', ...Object.keys(base)])
    for (const plant of [plants.url, { password }, [password], password, Buffer.from(password)]) {
      if (key === 'schema' && plant === password) continue // a name like any other
      await call(`connect ${key}`, () =>
        connect({ listen: false, schema: storeSchema, [key]: plant } as object),
      )
      await call(`connect ${key}s`, () => connect({ ...base, [`${key}s`]: plant } as object))
    }
  const pool = new pg.Pool({ connectionString: address.href })
  await call('both', () => connect({ connectionString: plants.url, pool }))
  await call('a role', () => connect({ connectionString: address.href.replace('postgres:', `nobody_here:`) }))
  await call('a database', () => connect({ connectionString: `${address.href}_none` }))
  await pool.end()
})

test('the environment', async () => {
  for (const name of [
    'PGHOST',
    'PGPORT',
    'PGUSER',
    'PGDATABASE',
    'PGTARGETSESSIONATTRS',
    'PGSSLMODE',
    'PGOPTIONS',
  ])
    for (const value of [plants.url, `h1,${plants.url}`, `password=${password}`]) {
      const before = process.env[name]
      process.env[name] = value
      try {
        await call(`${name}=${value}`, () =>
          connect({ queryTimeoutMs: 1_000, schema: storeSchema, listen: false }),
        )
      } finally {
        if (before === undefined) delete process.env[name]
        else process.env[name] = before
      }
    }
})

test('all else that is exported, of each entry of the package', async () => {
  const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const broker = { open() {}, publish() {}, close() {} }
  const base: Record<string, unknown[]> = {
    relay: [meow, uniqueName('secrets'), { category: 'c', broker, prefix: 'p', window: 1 }],
    natsBroker: [
      { servers: 'nats://h:1', connection: { token: 't' }, stream: 'S', create: true, timeoutMs: 100 },
    ],
    startStudio: [meow, { host: '127.0.0.1', port: 0, write: false, token: 'x'.repeat(20), title: 't' }],
    startPostgres: [{ version: 15, dataDir: '', settings: { port: 1 } }],
    defineCategory: ['c', { T: z.object({}) }, { validateOnRead: true }],
    handle: [meow, stream, handler],
    causedBy: [event],
    withMetadata: [{ m: 1 }, handler],
    given: [decider, [event]],
    memoryStore: [{ now: () => new Date() }],
    stored: [event],
  }
  const apart = ['connect', 'Meow', 'DurableSubscription', 'MeowError'] // done above; and the class of all errors, whose code is ours
  const entries = Object.values<any>(exports).flatMap(({ default: file }) => file ?? [])
  assert.ok(entries.length >= 5, entries.join())
  for (const entry of entries) {
    const module = await import(`../src/${entry.slice('./dist/'.length, -'.js'.length)}.ts`)
    for (const [key, value] of Object.entries<any>(module)) {
      if (typeof value !== 'function' || apart.includes(key)) continue
      const isClass = /^class /.test(String(value))
      for (const args of planted(base[key] ?? USUAL, plants)) {
        // A valid call would start a server, which takes time.
        if (key === 'startPostgres' && (typeof args[0] !== 'object' || !('dataDir' in (args[0] ?? {}))))
          continue
        if (value.prototype instanceof MeowError)
          await call(`new ${key}`, () => look(key, new value(...args)), args)
        else
          await call(
            key,
            async () => {
              const made = await (isClass ? new value(...args) : value(...args))
              if (key === 'natsBroker') await made.open({ subjects: ['s'], leaseMs: 100, logger })
              return made
            },
            args,
          )
      }
    }
  }
  const buffer: any = new EventBuffer(stream as any)
  for (const method of methodsOf(EventBuffer.prototype))
    for (const args of planted(USUAL, plants)) await call(`buffer.${method}`, () => buffer[method](...args))
})

test('a category’s events, by their schema', async () => {
  const { defineCategory } = await import('../src/index.ts')
  const schema = z
    .object({ password: z.number(), site: z.url({ protocol: /^https$/ }), any: z.unknown() })
    .strict()
  const category: any = defineCategory(uniqueName('secrets'), { T: schema })
  const data = { password: 1, site: 'https://a.b', any: 1 }
  for (const args of planted([data], plants)) {
    await call('a creator', () => category.T(...args))
    await call('its append', async () => meow.append(category.stream('a'), category.T(...args)))
  }
})

test('an outage is logged, and so is an idle connection that breaks', async () => {
  await Promise.all([1, 2, 3, 4, 5, 6].map(() => meow.read({})))
  const sql = await pgClient()
  const { rows } = await sql.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1 and pid <> pg_backend_pid()`,
    [`meowmx%${storeSchema}`],
  )
  assert.ok(rows.length > 0)
  await until(() => lines.some(([, line]) => /broke|lost its connection/.test(line)), { what: 'the log' })
  await until(
    () =>
      meow.read({}).then(
        () => true,
        () => false,
      ),
    { what: 'new connections' },
  )
})

test('no log line and no span of all this tells it', () => {
  assert.ok(errors > 1_000, `${errors} errors`)
  assert.ok(lines.length > 5, `${lines.length} lines`)
  for (const level of ['debug', 'info', 'warn', 'error'])
    assert.ok(
      lines.some(([of]) => of === level),
      level,
    )
  for (const [level, line] of lines) assert.is(plants.found(line), undefined, level)
  const spans = tracing.spans()
  assert.ok(spans.length > 100, `${spans.length} spans`)
  for (const span of spans) assert.is(plants.found(span), undefined, span.name)
})

test.run()
