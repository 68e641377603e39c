// @direct
// Every failure is one clear error: a class with a stable code, the values in its message, and what to do.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startPostgres } from '../src/embedded/index.ts'
import type { Meow } from '../src/index.ts'
import {
  ClosedError,
  ConnectionError,
  connect,
  DuplicateEventError,
  LeaseLostError,
  MeowError,
  OutcomeUnknownError,
  SchemaError,
  SubscriptionMismatchError,
  SubscriptionNotFoundError,
  TimeoutError,
  ValidationError,
  VersionConflictError,
} from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const stream = { category: 'order', streamId: '42' }
const event = { type: 'T', data: 1 }
const sql = await pgClient()
const cleanups: (() => Promise<unknown>)[] = []
test.after(async () => {
  await closeAll()
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** Fails unless the message says all of this. */
function says(error: Error, ...words: (string | RegExp)[]): void {
  for (const word of words) assert.match(error.message, word)
}

/** The server under test with another login, or another server. */
function urlFor(change: { user?: string; password?: string; database?: string; port?: number }): string {
  const url = new URL(databaseUrl())
  if (change.user !== undefined) url.username = change.user
  if (change.password !== undefined) url.password = change.password
  if (change.database !== undefined) url.pathname = `/${change.database}`
  if (change.port !== undefined) url.port = String(change.port)
  return url.href
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Every call of a store that reaches the database. */
const calls: [string, (meow: Meow) => Promise<unknown>][] = [
  ['append', (meow) => meow.append(stream, event)],
  ['appendAll', (meow) => meow.appendAll([{ stream, events: event }])],
  ['load', (meow) => meow.load(stream)],
  ['read', (meow) => meow.read({})],
  ['categories', (meow) => meow.categories()],
]

test('each class has its code, its fields, the values in its message, and its cause', () => {
  const cause = new Error('why')
  const table: [MeowError, code: string, fields: object, words: string[]][] = [
    [
      new ValidationError('a.b', 'must be x', 7),
      'ERR_VALIDATION',
      { path: 'a.b', value: 7 },
      ['a.b must be x, got 7'],
    ],
    [
      new VersionConflictError(stream, 3, 5),
      'ERR_VERSION_CONFLICT',
      { stream, expected: 3, actual: 5 },
      ['order/42', '3', '5'],
    ],
    [
      new VersionConflictError(stream, 'stream-exists', -1),
      'ERR_VERSION_CONFLICT',
      { stream, expected: 'stream-exists', actual: -1 },
      ['order/42', 'stream-exists', '-1', 'no events'],
    ],
    [
      new DuplicateEventError('id-1', stream),
      'ERR_DUPLICATE_EVENT',
      { id: 'id-1', stream },
      ['id-1', 'order/42'],
    ],
    [
      new LeaseLostError('mailer', 3, cause),
      'ERR_LEASE_LOST',
      { subscription: 'mailer', partition: 3, cause },
      ['mailer', '3'],
    ],
    [
      new SubscriptionMismatchError('mailer', 'mailer is other'),
      'ERR_SUBSCRIPTION_MISMATCH',
      { subscription: 'mailer' },
      ['mailer'],
    ],
    [
      new SubscriptionNotFoundError('mailer'),
      'ERR_SUBSCRIPTION_NOT_FOUND',
      { subscription: 'mailer' },
      ['mailer'],
    ],
    [new SchemaError('shop', 'shop is old', cause), 'ERR_SCHEMA', { schema: 'shop', cause }, ['shop']],
    [new ConnectionError('no server', cause), 'ERR_CONNECTION', { cause }, ['no server']],
    [new TimeoutError('a query', 70, cause), 'ERR_TIMEOUT', { timeoutMs: 70, cause }, ['a query', '70 ms']],
    [new ClosedError(), 'ERR_CLOSED', {}, ['closed']],
    [
      new OutcomeUnknownError([{ stream, events: [event], expectedVersion: 'any' }], cause),
      'ERR_OUTCOME_UNKNOWN',
      { stream, events: [event], cause },
      ['order/42', 'again'],
    ],
  ]
  for (const [error, code, fields, words] of table) {
    assert.instance(error, MeowError)
    assert.instance(error, Error)
    assert.is(error.code, code)
    assert.is(error.name, error.constructor.name)
    assert.equal(Object.fromEntries(Object.keys(fields).map((key) => [key, (error as any)[key]])), fields)
    says(error, ...words)
  }
})

test('no server', async () => {
  const port = await freePort()
  const error = await rejects(connect({ connectionString: urlFor({ port }) }), ConnectionError)
  says(error, String(port), 'check that it runs', 'connectionString')
  assert.is(error.code, 'ERR_CONNECTION')
  assert.ok(error.cause)
})

test('no such host', async () => {
  const error = await rejects(
    connect({ connectionString: 'postgres://a:b@no-host.invalid/c' }),
    ConnectionError,
  )
  says(error, 'no-host.invalid', 'PGHOST')
})

test('no such database', async () => {
  const database = uniqueName('missing')
  const error = await rejects(connect({ connectionString: urlFor({ database }) }), ConnectionError)
  says(error, database, 'create it', 'PGDATABASE')
})

test('wrong password, missing password, unknown role', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meowmx-hba-'))
  cleanups.push(() => rm(folder, { recursive: true }))
  const file = join(folder, 'pg_hba.conf')
  await writeFile(file, 'host all postgres all trust\nhost all all all scram-sha-256\n', { mode: 0o644 })
  const server = await startPostgres({ settings: { fsync: false, hba_file: file } })
  cleanups.push(() => server.stop())
  const admin = await pgClient({ connectionString: server.connectionString })
  await admin.query(`create role locked login password 'right'`)
  const url = (login: string) => server.connectionString.replace('postgres@', `${login}@`)
  for (const login of ['locked:wrong', 'locked', 'nobody_here:x']) {
    const error = await rejects(connect({ connectionString: url(login) }), ConnectionError)
    says(error, /password|login/, 'PGUSER and PGPASSWORD')
    assert.not.match(error.message, 'wrong')
  }
  const meow = await connect({ connectionString: url('locked:right') })
  const error = await rejects(meow.migrate(), ConnectionError)
  says(error, 'permission denied', 'postgres', 'grant')
  await meow.close()
})

test('no connection left', async () => {
  const role = uniqueName('role')
  await sql.query(`create role ${role} login connection limit 0`)
  cleanups.unshift(() => new Promise((resolve) => resolve(dropRole(role))))
  const error = await rejects(connect({ connectionString: urlFor({ user: role }) }), ConnectionError)
  says(error, role, 'maxConnections')
})

async function dropRole(role: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl() })
  await client.connect()
  await client.query(`drop owned by ${role}; drop role ${role}`)
  await client.end()
}

test('missing rights', async () => {
  const role = uniqueName('role')
  await openStore() // the schema is there
  await sql.query(`create role ${role} login`)
  cleanups.unshift(() => dropRole(role))
  const login = { connectionString: urlFor({ user: role }), schema: storeSchema, listen: false }
  const refused = await rejects(connect(login), ConnectionError)
  says(refused, 'permission denied', storeSchema, 'grant')

  await sql.query(`grant usage on schema ${storeSchema} to ${role}`)
  says(await rejects(connect(login), ConnectionError), 'permission denied', storeSchema, 'grant')

  // Whoever may read may not write.
  await sql.query(`grant select on all tables in schema ${storeSchema} to ${role}`)
  await sql.query(`grant select on all sequences in schema ${storeSchema} to ${role}`)
  const reader = await connect(login)
  await reader.load(stream)
  await reader.read({})
  await reader.categories()
  for (const [, call] of calls.slice(0, 2)) {
    says(await rejects(call(reader), ConnectionError), 'permission denied', 'events', 'grant')
  }
  assert.equal(await reader.migrate(), { applied: [] })

  // And this is all that appending needs.
  await sql.query(`grant insert on ${storeSchema}.events to ${role}`)
  await reader.append(stream, event)
  await reader.append(stream, [event, event])
  await reader.appendAll([{ stream, events: event }])
  await reader.close()
  const other = await connect({ ...login, schema: uniqueName('none') })
  says(await rejects(other.migrate(), ConnectionError), 'permission denied', 'grant')
  await other.close()
})

test('not migrated', async () => {
  const schema = uniqueName('raw')
  for (const prepare of [() => {}, () => sql.query(`create schema ${schema}`)]) {
    await prepare()
    const meow = await connect({ connectionString: databaseUrl(), schema, listen: false })
    for (const [name, call] of calls) {
      const error = await rejects(call(meow), SchemaError)
      assert.is(error.schema, schema, name)
      says(error, `"${schema}" is not migrated`, 'await meow.migrate()')
    }
    await meow.close()
  }
  await sql.query(`drop schema ${schema}`)
})

test('newer than this library', async () => {
  const schema = uniqueName('newer')
  const meow = await openStore({ schema, listen: false })
  await sql.query(`insert into ${schema}.migrations (id, name) values (999, '999_future.sql')`)
  for (const promise of [meow.migrate(), connect({ connectionString: databaseUrl(), schema })]) {
    const error = await rejects(promise, SchemaError)
    assert.is(error.schema, schema)
    says(error, schema, '999', 'newer meowmx', 'update this package')
  }
})

test('closed: every call, and closing twice is fine', async () => {
  const meow = await openStore({ listen: false })
  await Promise.all([meow.close(), meow.close()])
  await meow.close()
  for (const [, call] of calls) says(await rejects(call(meow), ClosedError), 'closed')
  await rejects(meow.append(stream, event, { client: sql }), ClosedError)
})

test('a query that takes too long', async () => {
  const meow = await openStore({ listen: false, queryTimeoutMs: 1_000 })
  await meow.append(stream, event)
  await sql.query(`begin; lock table ${storeSchema}.events in access exclusive mode`)
  const slow = await rejects(meow.load(stream), TimeoutError)
  assert.is(slow.timeoutMs, 1_000)
  says(slow, '1000 ms')
  // An append that was sent may still be written: that can't be told, only looked up later.
  const target = { category: uniqueName('slow'), streamId: 'a' }
  const unknown = await rejects(meow.append(target, [event, { type: 'U', data: 2 }]), OutcomeUnknownError)
  assert.equal(unknown.stream, target)
  assert.equal(
    unknown.events.map(({ type, data }) => [type, data]),
    [
      ['T', 1],
      ['U', 2],
    ],
  )
  says(unknown, target.category, 'same ids')
  await sql.query('rollback')
  const result = await meow.append(target, unknown.events)
  assert.equal(
    result.events.map(({ id }) => id),
    unknown.events.map(({ id }) => id),
  )
  assert.equal(await meow.load(target), result.events)
})

test('a server that goes away is a ConnectionError, and all works again once it is back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meowmx-server-'))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const start = () => startPostgres({ dataDir: join(folder, 'data'), settings: { fsync: false, port } })
  let server = await start()
  cleanups.push(() => server.stop())
  const meow = await connect({ connectionString: server.connectionString, pollIntervalMs: 100 })
  cleanups.push(() => meow.close())
  await meow.migrate()
  await meow.append(stream, event)
  const seen: number[] = []
  const subscription = meow.events({}).subscribe(({ version }) => seen.push(version))
  await until(() => seen.length === 1, { what: 'the first event' })

  await server.stop()
  for (const [, call] of calls) {
    const error = await rejects(call(meow), ConnectionError)
    says(error, String(port), 'check that it runs')
  }
  server = await start()
  assert.is((await meow.append(stream, event)).version, 1)
  for (const [, call] of calls) await call(meow)
  assert.is((await meow.load(stream)).length, 4)
  await until(() => seen.length === 4, { what: 'the events after the restart' })
  assert.equal(seen, [0, 1, 2, 3])
  subscription.unsubscribe()
})

test.run()
