// Erasing a stream empties its events and appends a tombstone; positions, versions and other streams stay as they are.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DuplicateEventError, ValidationError } from '../src/index.ts'
import { customer, emptied, joined, named, snapshotsOf } from './support/customer.ts'
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

test('each event is emptied and keeps its place, a tombstone follows, and no other stream is touched', async () => {
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
    tags: [],
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

test('a second erasure empties the events since the first; if there are none, nothing is written', async () => {
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

test('a stream without events is not created', async () => {
  const stream = customer()
  assert.equal(await meow.eraseStream(stream), { events: 0, tombstone: null })
  assert.equal(await meow.load(stream), [])
})

test('events that look as if they were erased are emptied too', async () => {
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

/** Inserts an event of the type $erased: once any append could do that, today only a restore can. */
async function appendedOnce(stream: { category: string; streamId: string }, version: number, data: unknown) {
  await sql.query(`begin; set local meowmx.maintenance = 'on'`)
  await sql.query(
    `insert into ${storeSchema}.events (version, category, stream_id, type, data, metadata)
     values ($1, $2, $3, '$erased', $4, '{"tombstone":true}')`,
    [version, stream.category, stream.streamId, JSON.stringify(data)],
  )
  await sql.query('commit')
}

test('an event that looks like a tombstone, but was appended by somebody else, is emptied', async () => {
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

test('snapshots and the errors of parked events are deleted too', async () => {
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
    what: 'both events to be parked',
  })
  await worker.stop()
  await meow.eraseStream(stream)
  const parked = await meow.parked(name)
  const errors = parked.filter(({ attempts }) => attempts === 1).map(({ error }) => error?.split('\n')[0])
  assert.equal(
    errors,
    [null, 'Error: no Bob'].map((error) => error ?? undefined),
  )
  assert.equal(await snapshotsOf(rival, category), [' Bob'])
  assert.equal(await meow.state(decider, '42'), { state: ' - -', version: 1 })
  assert.is((await meow.decide(decider, '42', 'new')).state, ' - - new')
})

test('in a transaction of the caller, the erasure follows that transaction and permits no other change', async () => {
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

test('there is a function in SQL, for other languages', async () => {
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

test('invalid arguments are refused, and nothing is erased', async () => {
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
