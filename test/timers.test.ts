// A timer appends once, in the order of due times, never early by the database's clock; the same key replaces; a transaction decides
// whether it exists; a timer that fails delays no other and stays visible.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ScheduledTimer, StreamWrite } from '../src/index.ts'
import { ConnectionError, ValidationError, VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const meow = await openStore()
const sql = await pgClient()
test.after(closeAll)

/** A stream of its own, and its events. */
function given() {
  const stream = { category: uniqueName('timers'), streamId: 's' }
  const write = (type = 'Rang', data: unknown = {}): StreamWrite => ({ stream, events: { type, data } })
  const types = async () => (await meow.load(stream)).map(({ type }) => type)
  const key = uniqueName('key')
  return { stream, write, types, key }
}

test('fires once and not early, by the clock of the database', async () => {
  const { stream, write, key } = given()
  await using _worker = meow.runTimers()
  await meow.schedule(key, { inMs: 150 }, write())
  const [timer] = await meow.scheduled({ prefix: key })
  assert.equal(timer!.stream, stream)
  assert.equal(timer!.events, [{ type: 'Rang', data: {} }])
  await until(async () => (await meow.load(stream)).length > 0, { what: 'the timer' })
  const [event, ...more] = await meow.load(stream)
  assert.is(more.length, 0)
  assert.ok(event!.recordedAt >= timer!.due, `${event!.recordedAt.toISOString()} ${timer!.due.toISOString()}`)
  assert.equal(await meow.scheduled({ prefix: key }), [])
})

test('an earlier timer wakes a runner that sleeps until a later one; a Date in the past fires at once', async () => {
  const { write, types, key } = given()
  await using worker = meow.runTimers()
  await worker.ready
  await meow.schedule(`${key}-late`, { inMs: 3_600_000 }, write('Late'))
  await meow.schedule(`${key}-soon`, new Date(Date.now() - 60_000), write('Soon'))
  await until(async () => (await types()).length === 1, { what: 'the earlier timer' })
  assert.equal(await types(), ['Soon'])
  assert.is(await meow.unschedule(`${key}-late`), true)
  assert.is(await meow.unschedule(`${key}-late`), false)
})

test('any worker of the process fires timers, and the last one that stops ends that', async () => {
  const { write, types, key, stream } = given()
  const worker = meow.subscription(uniqueName('sub'), { category: stream.category }).process(() => {})
  await meow.schedule(`${key}1`, { inMs: 0 }, write('One'))
  await until(async () => (await types()).length === 1, { what: 'the timer' })
  await worker.stop()
  await meow.schedule(`${key}2`, { inMs: 0 }, write('Two'))
  assert.equal(await types(), ['One'])
  await using _again = meow.runTimers()
  await until(async () => (await types()).length === 2, { what: 'the timer that waited' })
})

test('a lock that a stranger holds delays only the timers that need it, and counts as no attempt', async () => {
  const held = given()
  const free = given()
  await using _worker = meow.runTimers()
  await sql.query('begin')
  await meow.append(held.stream, { type: 'Held', data: {} }, { client: sql })
  await meow.schedule(held.key, { inMs: 0 }, held.write())
  await meow.schedule(free.key, { inMs: 50 }, free.write())
  await until(async () => (await free.types()).length === 1, { what: 'the timer that needs no lock' })
  assert.is((await meow.scheduled({ prefix: held.key }))[0]!.failure, undefined)
  await sql.query('commit')
  await until(async () => (await held.types()).length === 2, { what: 'the timer that was delayed' })
})

test('the same key replaces; the caller’s transaction decides', async () => {
  const { write, types, key } = given()
  await meow.schedule(key, { inMs: 3_600_000 }, write('First'))
  await sql.query('begin')
  await meow.schedule(key, { inMs: 0 }, write('Undone'), { client: sql })
  await sql.query('rollback')
  assert.is((await meow.scheduled({ prefix: key }))[0]!.events[0]!.type, 'First')
  await sql.query('begin')
  await meow.schedule(key, { inMs: 0 }, write('Second'), { client: sql })
  await sql.query('commit')
  await using _worker = meow.runTimers()
  await until(async () => (await types()).length > 0, { what: 'the timer' })
  assert.equal(await types(), ['Second'])
  assert.is(await meow.unschedule(key), false)
})

test('500 that are due at once: each once, in the order of their times, by three stores', async () => {
  const { stream, key } = given()
  const base = Date.now() - 10_000
  await Promise.all(
    upTo(500).map((n) =>
      meow.schedule(`${key}${n}`, new Date(base + ((n * 7) % 500)), {
        stream,
        events: { type: 'Rang', data: { n: (n * 7) % 500 } },
      }),
    ),
  )
  const stores = await Promise.all(upTo(2).map(() => openStore()))
  const workers = [meow, ...stores].map((store) => store.runTimers())
  await until(async () => (await meow.scheduled({ prefix: key, limit: 1 })).length === 0, { what: 'all' })
  await Promise.all(workers.map((worker) => worker.stop()))
  const numbers = (await meow.load(stream)).map(({ data }) => data.n)
  assert.is(numbers.length, 500)
  assert.is(new Set(numbers).size, 500)
})

test('one store fires in the order of due times', async () => {
  const { stream, key } = given()
  const base = Date.now() - 10_000
  for (const n of upTo(250).reverse())
    await meow.schedule(`${key}${n}`, new Date(base + n), { stream, events: { type: 'Rang', data: { n } } })
  await using _worker = meow.runTimers()
  await until(async () => (await meow.load(stream)).length === 250, { what: 'all' })
  const numbers = (await meow.load(stream)).map(({ data }) => data.n)
  assert.equal(
    numbers,
    [...numbers].sort((a, b) => a - b),
  )
})

test('a conflict fails at once and stays visible; others go on; it can be run, or scheduled again', async () => {
  const { stream, write, types, key } = given()
  await meow.append(stream, { type: 'First', data: {} })
  await meow.schedule(`${key}1`, { inMs: 0 }, { ...write('Bad'), expectedVersion: 'no-stream' })
  await meow.schedule(`${key}2`, { inMs: 1 }, write('Good'))
  await using _worker = meow.runTimers()
  const [timer] = (await until(
    async () => {
      const all = await meow.scheduled({ prefix: key })
      return all.length === 1 && all[0]!.failure && all
    },
    { what: 'the failure' },
  )) as ScheduledTimer[]
  assert.match(timer!.failure!.error, /VersionConflictError/)
  assert.is(timer!.failure!.retryAt, null)
  assert.is(timer!.expectedVersion, 'no-stream')
  assert.equal(await types(), ['First', 'Good'])
  await rejects(meow.runTimer(`${key}1`), VersionConflictError)
  assert.is((await meow.scheduled({ prefix: key })).length, 1)
  await meow.schedule(`${key}1`, { inMs: 0 }, write('Again'))
  await until(async () => (await types()).length === 3, { what: 'the new timer' })
  assert.is(await meow.runTimer(`${key}1`), false)
})

test('an event that the server refuses fails alone, is tried again, and appends when the cause is gone', async () => {
  const { stream, write, types, key } = given()
  await sql.query(`
    create or replace function "${storeSchema}".refuse_bad() returns trigger language plpgsql as
      $$ begin if new.type = 'Bad' then raise exception 'refused on purpose'; end if; return new; end $$;
    create trigger refuse_bad before insert on "${storeSchema}".events for each row execute function "${storeSchema}".refuse_bad()`)
  for (const n of upTo(3)) await meow.schedule(`${key}${n}`, { inMs: 0 }, write(n === 1 ? 'Bad' : 'Good'))
  await using _worker = meow.runTimers()
  const [timer] = (await until(
    async () => {
      const all = await meow.scheduled({ prefix: key })
      return all.length === 1 && (all[0]!.failure?.attempts ?? 0) > 1 && all
    },
    { what: 'two attempts' },
  )) as ScheduledTimer[]
  assert.match(timer!.failure!.error, /refused on purpose/)
  assert.ok(timer!.failure!.retryAt)
  assert.equal(await types(), ['Good', 'Good'])
  await sql.query(`drop trigger refuse_bad on "${storeSchema}".events`)
  await until(async () => (await types()).length === 3, { what: 'the retry' })
  assert.is((await meow.load(stream)).length, 3)
})

test('runTimer fires before the time; ids make a repeat harmless', async () => {
  const { write, types, key } = given()
  const due = new Date(Date.now() + 3_600_000)
  await meow.schedule(key, due, write())
  assert.is(await meow.runTimer(key), true)
  await meow.schedule(key, due, write())
  assert.is(await meow.runTimer(key), true)
  assert.equal(await types(), ['Rang'])
  await meow.schedule(key, due, write('Other'))
  assert.is(await meow.runTimer(key), true)
  assert.equal(await types(), ['Rang', 'Other'])
})

test('bad input: one ValidationError that names it, and nothing is written', async () => {
  const { stream, write, key } = given()
  const later = { inMs: 3_600_000 }
  const bad: [unknown[], string][] = [
    [['', later, write()], 'key'],
    [[7, later, write()], 'key'],
    [[key, new Date(Number.NaN), write()], 'due'],
    [[key, new Date(8.64e15), write()], 'due'],
    [[key, { inMs: -1 }, write()], 'due.inMs'],
    [[key, { inMs: Number.NaN }, write()], 'due.inMs'],
    [[key, { inMs: 1e15 }, write()], 'due.inMs'],
    [[key, { in: 5 }, write()], 'due.inMs'],
    [[key, 5, write()], 'due'],
    [[key, undefined, write()], 'due'],
    [[key, later, undefined], 'write'],
    [[key, later, { stream }], 'write.events'],
    [[key, later, { stream, events: [] }], 'write.events'],
    [[key, later, { stream: { category: 'c' }, events: { type: 'A', data: {} } }], 'write.stream.streamId'],
    [[key, later, { stream, events: { type: '$timer', data: {} } }], 'write.events.type'],
    [[key, later, { stream, events: { type: 'A', data: { a: 1n } } }], 'write.events.data.a'],
    [[key, later, { ...write(), expected: 4 }], 'write.expected'],
    [[key, later, { ...write(), expectedVersion: -7 }], 'write.expectedVersion'],
    [[key, later, write(), { client: {} }], 'options.client'],
    [[key, later, write(), { clients: 1 }], 'options.clients'],
  ]
  for (const [args, path] of bad) {
    const error = await meow.schedule(...(args as Parameters<typeof meow.schedule>)).then(
      () => assert.unreachable(path),
      (error) => error,
    )
    assert.instance(error, ValidationError)
    assert.ok(error.path.startsWith(path), `${error.path} for ${path}: ${error.message}`)
  }
  assert.equal(await meow.scheduled({ prefix: key }), [])
  await rejects(meow.scheduled({ limit: 0 }), ValidationError)
})

test('an erasure deletes the timers that would append to the stream', async () => {
  const { stream, write, key } = given()
  await meow.append(stream, { type: 'First', data: {} })
  await meow.schedule(key, { inMs: 3_600_000 }, write('Personal', { name: 'Ann' }))
  await meow.schedule(
    `${key}-other`,
    { inMs: 3_600_000 },
    { ...write(), stream: { ...stream, streamId: 't' } },
  )
  await meow.eraseStream(stream)
  assert.equal(
    (await meow.scheduled({ prefix: key })).map((timer) => timer.key),
    [`${key}-other`],
  )
})

test('a role without rights to timers goes on with its work, and fires them once it has the rights', async () => {
  const { stream, write, types, key } = given()
  const role = uniqueName('role')
  await sql.query(`create role "${role}" login; grant usage on schema "${storeSchema}" to "${role}"`)
  try {
    await sql.query(`grant all on all tables in schema "${storeSchema}" to "${role}"`)
    await sql.query(`grant all on all sequences in schema "${storeSchema}" to "${role}"`)
    await sql.query(`revoke all on "${storeSchema}".timers from "${role}"`)
    const url = new URL(databaseUrl())
    url.username = role
    const store = await openStore({ connectionString: url.href })
    const seen: string[] = []
    const worker = store
      .subscription(uniqueName('sub'), { category: stream.category })
      .process(({ type }) => void seen.push(type))
    await meow.schedule(key, { inMs: 0 }, write())
    await meow.append(stream, { type: 'Other', data: {} })
    await until(() => seen.length === 1, { what: 'the event' })
    const refused = store.runTimers()
    await rejects(refused.ready, ConnectionError)
    await rejects(refused.done, ConnectionError)
    assert.equal(await types(), ['Other'])
    await sql.query(`grant all on "${storeSchema}".timers to "${role}"`)
    await using allowed = store.runTimers()
    await allowed.ready
    await until(async () => (await types()).length === 2, { what: 'the timer' })
    await worker.stop()
    await store.close()
  } finally {
    await sql.query(`drop owned by "${role}"; drop role "${role}"`)
  }
})

test('close() ends the runner, also while timers are due', async () => {
  const { stream, key } = given()
  const store = await openStore()
  for (const n of upTo(300))
    await meow.schedule(`${key}${n}`, { inMs: 0 }, { stream, events: { type: 'A', data: {} } })
  const worker = store.runTimers()
  await until(async () => (await meow.load(stream)).length > 0, { what: 'the first' })
  await store.close()
  await worker.done
  const left = (await meow.scheduled({ prefix: key, limit: 1_000 })).length
  assert.is((await meow.load(stream)).length + left, 300)
  for (const n of upTo(300)) await meow.unschedule(`${key}${n}`)
})

test.run()
