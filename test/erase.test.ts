// Erasing a stream: what it said is gone, whoever appends or decides meanwhile; what it was is not.
import pg from 'pg'
import { filter, firstValueFrom, take, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { RecordedEvent } from '../src/index.ts'
import { DuplicateEventError, defineCategory, ValidationError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { holdingPool } from './support/holding-pool.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
const rival = await pgClient()
test.after.each(async () => {
  await Promise.all([sql.query('rollback'), rival.query('rollback')]) // what a failed test left open
})
test.after(closeAll)

const customer = (streamId = '42', category = uniqueName('customer')) => ({ category, streamId })
const named = (name: unknown = 'Ada') => ({ type: 'Named', data: { name }, metadata: { ip: '::1' } })
const emptied = (events: readonly RecordedEvent[]) =>
  events.map((event) => ({ ...event, data: {}, metadata: { erased: true } }))
const { processID } = sql as unknown as { processID: number }

async function waits(pid: number): Promise<void> {
  const isWaiting = async () => {
    const { rows } = await rival.query(
      'select wait_event_type as what from pg_stat_activity where pid = $1',
      [pid],
    )
    return rows[0].what === 'Lock'
  }
  await until(isWaiting, { what: 'the erasure to wait', timeoutMs: 30_000 })
}

test('each event is emptied and stays where it is; a tombstone follows; no other stream is touched', async () => {
  const stream = customer()
  const { events } = await meow.append(stream, [named(), named(), { type: 'Left', data: null }])
  const other = await meow.append({ ...stream, streamId: '43' }, named('Bob'))
  const erased = await meow.eraseStream(stream, { reason: 'ticket 4711' })
  assert.is(erased.events, 3)
  const { id, position, recordedAt, ...tombstone } = erased.tombstone!
  assert.equal(tombstone, {
    ...stream,
    version: 3,
    type: '$erased',
    data: { events: 3, reason: 'ticket 4711' },
    metadata: { tombstone: true },
  })
  assert.ok(position > other.position && recordedAt >= events[0]!.recordedAt)
  assert.match(id, /^[0-9a-f-]{36}$/)
  assert.equal(await meow.load(stream), [...emptied(events), erased.tombstone!])
  assert.equal(await meow.load({ ...stream, streamId: '43' }), other.events)
  const { rows } = await sql.query(
    `select from ${storeSchema}.events where category = $1 and stream_id = '42' and (data || ' ' || metadata) ~ 'Ada|::1'`,
    [stream.category],
  )
  assert.is(rows.length, 0)
  assert.is((await meow.append(stream, named(), { expectedVersion: 3 })).version, 4)
})

test('again: what came since is emptied; where that is nothing, nothing is written', async () => {
  const stream = customer()
  await meow.append(stream, named())
  const first = await meow.eraseStream(stream, { reason: 'first' })
  const nothing = await meow.eraseStream(stream, { reason: 'again' })
  assert.equal(nothing, { events: 0, tombstone: first.tombstone })
  await meow.append(stream, [named(), named()])
  const second = await meow.eraseStream(stream)
  assert.equal([second.events, second.tombstone!.version], [2, 4])
  assert.equal(second.tombstone!.data, { events: 2 })
  assert.equal(
    (await meow.load(stream)).map(({ data }) => data),
    [{}, { events: 1, reason: 'first' }, {}, {}, { events: 2 }],
  )
  assert.equal((await meow.eraseStream(stream)).tombstone, second.tombstone)
})

test('a stream that is not there is not made', async () => {
  const stream = customer()
  assert.equal(await meow.eraseStream(stream), { events: 0, tombstone: null })
  assert.equal(await meow.load(stream), [])
})

test('events that look as if they were erased are', async () => {
  const stream = customer()
  await meow.append(stream, [
    { type: 'Named', data: { name: 'Ada' }, metadata: { erased: true } },
    { type: 'Named', data: { name: 'Ada' }, metadata: { tombstone: true } },
    { type: 'Named', data: {}, metadata: { erased: true, ip: '::1' } },
    { type: 'Named', data: {} },
  ])
  assert.is((await meow.eraseStream(stream)).events, 4)
  for (const { data, metadata } of (await meow.load(stream)).slice(0, 4))
    assert.equal([data, metadata], [{}, { erased: true }])
})

/** As before types that begin with $ were reserved; today a restore alone can write it. */
async function appendedOnce(stream: { category: string; streamId: string }, version: number, data: unknown) {
  await sql.query(`begin; set local meowmx.maintenance = 'on'`)
  await sql.query(
    `insert into ${storeSchema}.events (version, category, stream_id, type, data, metadata)
     values ($1, $2, $3, '$erased', $4, '{"tombstone":true}')`,
    [version, stream.category, stream.streamId, JSON.stringify(data)],
  )
  await sql.query('commit')
}

test('an event that looks like a tombstone in every way, and was appended by somebody else, is emptied', async () => {
  for (const forged of [
    { name: 'Ada' },
    { events: 1, name: 'Ada' },
    { events: 1, reason: 'Ada' },
    { events: 1 },
  ]) {
    const stream = customer()
    await appendedOnce(stream, 0, forged)
    await meow.append(stream, named())
    const first = await meow.eraseStream(stream, { reason: 'first' })
    assert.is(first.events, 2)
    await appendedOnce(stream, 3, forged)
    assert.is((await meow.eraseStream(stream)).events, 1)
    const events = await meow.load(stream)
    assert.equal(
      events.map(({ data }) => data),
      [{}, {}, { events: 2, reason: 'first' }, {}, { events: 1 }],
    )
    assert.equal(await meow.eraseStream(stream), { events: 0, tombstone: events.at(-1)! })
  }
})

test('a retry with the id of an erased event is refused', async () => {
  const stream = customer()
  const id = crypto.randomUUID()
  await meow.append(stream, { ...named(), id })
  await meow.eraseStream(stream)
  await rejects(meow.append(stream, { ...named(), id }), DuplicateEventError)
})

const joined = {
  initial: '',
  evolve: (state: string, { data }: RecordedEvent) => `${state} ${data.name ?? '-'}`,
  decide: (name: string) => named(name),
  snapshotEvery: 1,
}
async function snapshots(category: string): Promise<unknown[]> {
  const { rows } = await rival.query(`select state from ${storeSchema}.snapshots where category = $1`, [
    category,
  ])
  return rows.map(({ state }) => state)
}

test('snapshots go with it, and what was said of parked events', async () => {
  const stream = customer()
  const { category } = stream
  const decider = { ...joined, category }
  await meow.decide(decider, '42', 'Ada')
  await meow.decide(decider, '43', 'Bob')
  const name = uniqueName('failing')
  const worker = meow.subscription(name, { category }).process(
    ({ data }) => {
      throw new Error(`no ${data.name}`)
    },
    { retry: { maxAttempts: 1 } },
  )
  await until(async () => (await meow.parked(name).catch(() => [])).length === 2, {
    what: 'both to be parked',
  })
  await worker.stop()
  await meow.eraseStream(stream)
  const parked = await meow.parked(name)
  const errors = parked.filter(({ attempts }) => attempts === 1).map(({ error }) => error?.split('\n')[0])
  assert.equal(
    errors,
    [null, 'Error: no Bob'].map((error) => error ?? undefined),
  )
  assert.equal(await snapshots(category), [' Bob'])
  assert.equal(await meow.state(decider, '42'), { state: ' - -', version: 1 })
  assert.is((await meow.decide(decider, '42', 'new')).state, ' - - new')
})

test('a decision under way does not bring its snapshot back', async () => {
  const { pool, hold } = holdingPool()
  const far = await openStore({ pool, listen: false })
  const stream = customer()
  const decider = { ...joined, category: stream.category }
  const held = hold('insert into', (values) => values[0] === stream.category, 'query')
  const deciding = far.decide(decider, '42', 'Ada')
  await held.some() // the event is appended, the snapshot is not saved
  assert.is((await meow.eraseStream(stream)).events, 1)
  held.release()
  assert.is((await deciding).state, ' Ada')
  assert.equal(await snapshots(stream.category), [])
  await far.close()
  await pool.end()
})

test('a snapshot that is being saved is waited for, and deleted', async () => {
  const stream = customer()
  const { events } = await meow.append(stream, named())
  await sql.query('begin')
  await sql.query(
    `insert into ${storeSchema}.snapshots (category, stream_id, name, snapshot_version, version, event_id, state)
     values ($1, '42', 'late', 1, 0, $2, '"Ada"')`,
    [stream.category, events[0]!.id],
  )
  const erasing = meow.eraseStream(stream)
  const isWaiting = async () => {
    const { rows } = await rival.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1`,
      [`meowmx ${storeSchema}`],
    )
    return rows.length === 1
  }
  await until(isWaiting, { what: 'the erasure to wait', timeoutMs: 30_000 })
  await sql.query('commit')
  assert.is((await erasing).events, 1)
  assert.equal(await snapshots(stream.category), [])
})

test('an append under way is waited for, and emptied', async () => {
  const stream = customer()
  await meow.append(stream, named())
  for (const end of ['commit', 'rollback']) {
    await rival.query('begin')
    await meow.append(stream, [named(), named()], { client: rival })
    await sql.query('begin')
    const erasing = meow.eraseStream(stream, { client: sql })
    const { pid } = (await meow.stallers()).find(({ category }) => category === stream.category)!
    assert.type(pid, 'number')
    await waits(processID)
    await rival.query(end)
    assert.is((await erasing).events, end === 'commit' ? 3 : 1)
    await sql.query('commit')
    await meow.append(stream, named())
  }
  const events = await meow.load(stream)
  assert.equal(
    events.filter(({ type }) => type === '$erased').map(({ version }) => version),
    [3, 5],
  )
})

test('whoever appends, decides and erases at once: all below the last tombstone is empty, and nothing is lost', async () => {
  const stream = customer()
  const other = await openStore({ listen: false })
  const decider = { ...joined, category: stream.category }
  let [appended, erased] = [0, 0]
  const append = async (store = meow) => {
    for (let n = 0; n < 15; n++) {
      const one = await store.append(stream, [named(), named()])
      appended += one.events.length
    }
  }
  const decide = async () => {
    for (let n = 0; n < 10; n++) {
      await meow.decide(decider, '42', 'Ada', { retries: 100 })
      appended++
    }
  }
  const erase = async (store = meow) => {
    for (let n = 0; n < 8; n++) {
      const { events } = await store.eraseStream(stream)
      erased += events
    }
  }
  await Promise.all([append(), append(other), decide(), erase(), erase(other)])
  const { events: rest } = await meow.eraseStream(stream)
  erased += rest
  assert.is(appended, 70)
  assert.is(erased, appended)
  const events = await meow.load(stream)
  const named_ = events.filter(({ type }) => type === 'Named')
  assert.equal(named_, emptied(named_))
  assert.is(named_.length, 70)
  assert.equal(
    events.map(({ version }) => version),
    events.map((_, i) => i),
  )
  let sum = 0
  for (const { type, data } of events) if (type === '$erased') sum += data.events
  assert.is(sum, 70)
  assert.equal(await snapshots(stream.category), [])
})

function categories() {
  const category = uniqueName('customer')
  const upcast = { 1: (old: { name: string }) => ({ names: old.name.split(' ') }) } // {} would throw
  const schema = z.object({ names: z.array(z.string()) })
  return {
    category,
    Old: defineCategory(category, { Named: z.object({ name: z.string() }) }),
    New: defineCategory(category, { Named: { schema, version: 2, upcast } }, { validateOnRead: true }),
  }
}

test('a zod category has what is emptied as unknown, asks no upcaster, and checks nothing', async () => {
  const { category, Old, New } = categories()
  const stream = New.stream('42')
  await meow.append(Old.stream('42'), Old.Named({ name: 'Ada Lovelace' }))
  await meow.append(stream, New.Named({ names: ['Ada'] }))
  const decider = {
    category: New,
    initial: [] as string[],
    evolve: (state: string[], event: any) =>
      event.type === '$erased' ? [] : event.known ? event.data.names : state,
    decide: (name: string) => New.Named({ names: [name] }),
    snapshotEvery: 2,
  }
  const watched = collect(meow.watch(decider, '42'))
  await watched.has(1)
  await meow.eraseStream(stream)
  await watched.has(2)
  assert.equal(watched.all, [
    { state: ['Ada'], version: 1 },
    { state: [], version: 2 },
  ])
  const seen = await meow.load(stream)
  assert.equal(
    seen.map(({ known, type, data }) => [known, type, data]),
    [
      [false, 'Named', {}],
      [false, 'Named', {}],
      [false, '$erased', { events: 2 }],
    ],
  )
  const live = meow.events({ category: New }).pipe(take(3), toArray())
  assert.equal([(await meow.read({ category: New })).events, await firstValueFrom(live)], [seen, seen])
  assert.equal(await meow.state(decider, '42'), { state: [], version: 2 })
  assert.equal(await firstValueFrom(meow.watch({ ...decider }, '42')), { state: [], version: 2 })
  assert.equal((await meow.decide(decider, '42', 'Bea')).state, ['Bea'])
  watched.subscription.unsubscribe()

  const erased = z.object({ events: z.number(), reason: z.string().optional() })
  const Aware = defineCategory(category, { Named: z.object({ name: z.string() }), $erased: erased })
  assert.equal(
    (await meow.load(Aware.stream('42'))).map(({ known }) => known),
    [false, false, true, false],
  )
})

test('subscriptions go on at their checkpoints; later ones get what is emptied, then the tombstone', async () => {
  const stream = customer()
  const { category } = stream
  const handled: Record<string, string[]> = {}
  const consume = (name: string, types?: string[]) =>
    meow.subscription(name, { category, ...(types ? { types } : {}) }).process(({ type, data }) => {
      handled[name] ??= []
      handled[name].push(`${type} ${data.name ?? data.events ?? '-'}`)
    })
  const [early, late, erasures] = [uniqueName('early'), uniqueName('late'), uniqueName('erasures')]
  const worker = consume(early)
  const { position } = await meow.append(stream, named())
  await worker.ready
  await meow.waitFor(early, position, { timeoutMs: 30_000 })
  const { tombstone } = await meow.eraseStream(stream)
  await meow.waitFor(early, tombstone!.position, { timeoutMs: 30_000 })
  // They share a tail, which had the event in memory.
  const workers = [worker, consume(late), consume(erasures, ['$erased'])]
  for (const { ready } of workers) await ready
  for (const name of [early, late, erasures])
    await meow.waitFor(name, tombstone!.position, { timeoutMs: 30_000 })
  assert.equal(handled, {
    [early]: ['Named Ada', '$erased 1'],
    [late]: ['Named -', '$erased 1'],
    [erasures]: ['$erased 1'],
  })
  for (const one of workers) await one.stop()
})

test('an inline projection gets the tombstone, in the same transaction', async () => {
  const store = await openStore({ listen: false })
  const stream = customer()
  const table = `${storeSchema}.${stream.category}`
  await sql.query(`create table ${table} (id text, name text)`)
  let broken = true
  store.project(stream.category, async (events, client) => {
    for (const { type, streamId, data } of events) {
      if (type === 'Named') await client.query(`insert into ${table} values ($1, $2)`, [streamId, data.name])
      if (type === '$erased') await client.query(`delete from ${table} where id = $1`, [streamId])
      if (type === '$erased' && broken) throw new Error('broken')
    }
  })
  const rows = async () => (await rival.query(`select name from ${table}`)).rows
  const { events } = await store.append(stream, named())
  assert.is((await rejects(store.eraseStream(stream), Error)).message, 'broken')
  await sql.query('begin')
  assert.is((await rejects(store.eraseStream(stream, { client: sql }), Error)).message, 'broken')
  await sql.query('commit')
  assert.equal([await rows(), await store.load(stream)], [[{ name: 'Ada' }], events])
  broken = false
  assert.is((await store.eraseStream(stream)).events, 1)
  assert.equal(await rows(), [])
})

test("in a caller's transaction: it stands or falls with that, and lifts nothing beyond itself", async () => {
  const stream = customer()
  const { events } = await meow.append(stream, named())
  await sql.query('begin')
  assert.is((await meow.eraseStream(stream, { client: sql })).events, 1)
  assert.equal((await meow.load(stream, { client: sql })).slice(0, 1), emptied(events))
  await sql.query('savepoint s')
  const update = sql.query(`update ${storeSchema}.events set data = '1' where category = $1`, [
    stream.category,
  ])
  assert.is(((await rejects(update, Error)) as pg.DatabaseError).code, 'MW001')
  await sql.query('rollback to s')
  assert.equal(await meow.load(stream), events)
  await sql.query('rollback')
  assert.equal(await meow.load(stream), events)
})

test('in SQL, for every other language', async () => {
  const { category, streamId } = customer()
  await meow.append({ category, streamId }, named())
  const { rows } = await sql.query(
    `select erased, (tombstone).type, (tombstone).data from ${storeSchema}.erase_stream($1, $2, $3)`,
    [category, streamId, "it's 'their' right"],
  )
  assert.equal(rows, [{ erased: '1', type: '$erased', data: { events: 1, reason: "it's 'their' right" } }])
  const plain = await sql.query(
    `select erased, (tombstone).id from ${storeSchema}.erase_stream($1, 'none')`,
    [category],
  )
  assert.equal(plain.rows, [{ erased: '0', id: null }])
})

test('it is pushed like any event', async () => {
  const stream = customer()
  await meow.append(stream, named())
  const pushed = firstValueFrom(meow.events(stream).pipe(filter(({ type }) => type === '$erased')))
  const { tombstone } = await meow.eraseStream(stream)
  assert.equal(await pushed, tombstone)
})

test('what can not be right is refused, and nothing is erased', async () => {
  const stream = customer()
  const { events } = await meow.append(stream, named())
  const cases: [stream: any, options: any, path: string][] = [
    [undefined, {}, 'stream'],
    ['42', {}, 'stream'],
    [{ category: stream.category }, {}, 'stream.streamId'],
    [{ ...stream, streamId: '' }, {}, 'stream.streamId'],
    [stream, { reason: '' }, 'options.reason'],
    [stream, { reason: 7 }, 'options.reason'],
    [stream, { reason: 'x'.repeat(256) }, 'options.reason'],
    [stream, { why: 'x' }, 'options.why'],
    [stream, 'reason', 'options'],
    [stream, { client: new pg.Pool() }, 'options.client'],
    [stream, { client: sql }, 'options.client'], // no transaction
  ]
  for (const [to, options, path] of cases)
    assert.is((await rejects(meow.eraseStream(to, options), ValidationError)).path, path)
  assert.equal(await meow.load(stream), events)
})

test.run()
