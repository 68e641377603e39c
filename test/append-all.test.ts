// appendAll writes to all of its streams, or to none.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DuplicateEventError, VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const meow = await openStore({ listen: false })
const other = await openStore({ listen: false })
const sql = await pgClient()
const event = (data: unknown) => ({ type: 'T', data })
test.after(closeAll)

test('results come in the order of the writes, from one transaction', async () => {
  const category = uniqueName('all')
  const [a, b] = [
    { category, streamId: 'a' },
    { category: uniqueName('all'), streamId: 'b' },
  ]
  await meow.append(b, event('before'))
  const results = await meow.appendAll([
    { stream: b, events: [event(1), event(2)], expectedVersion: 0 },
    { stream: { category, streamId: 'none' }, events: [], expectedVersion: 77 },
    { stream: a, events: event(3), expectedVersion: 'no-stream' },
  ])
  assert.equal(
    results.map(({ version, deduplicated }) => [version, deduplicated]),
    [
      [2, false],
      [-1, false],
      [0, false],
    ],
  )
  assert.equal(results[1], { events: [], version: -1, position: 0, deduplicated: false })
  assert.equal((await meow.load(b)).slice(1), results[0]!.events)
  assert.equal(await meow.load(a), results[2]!.events)
  const ids = results.flatMap(({ events }) => events.map(({ id }) => id))
  const { rows } = await sql.query(
    `select count(distinct xmin::text)::int as n from ${storeSchema}.events where id = any ($1)`,
    [ids],
  )
  assert.is(rows[0].n, 1)
})

test('no writes, no results', async () => {
  assert.equal(await meow.appendAll([]), [])
  assert.equal(await meow.appendAll([{ stream: { category: 'c', streamId: 's' }, events: [] }]), [
    { events: [], version: -1, position: 0, deduplicated: false },
  ])
})

test('a conflict of one: nothing of any', async () => {
  const category = uniqueName('all')
  for (const wrong of [0, 1, 2]) {
    const writes = [0, 1, 2].map((i) => ({
      stream: { category, streamId: `s${i}` },
      events: [event(i), event(i)],
      ...(i === wrong ? { expectedVersion: 5 } : {}),
    }))
    const error = await rejects(meow.appendAll(writes), VersionConflictError)
    assert.equal([error.stream, error.expected, error.actual], [writes[wrong]!.stream, 5, -1])
  }
  assert.equal((await meow.read({ category })).events, [])
})

test('a duplicate of one: nothing of any', async () => {
  const category = uniqueName('all')
  const id = crypto.randomUUID()
  await meow.append({ category, streamId: 'first' }, { ...event(0), id })
  const error = await rejects(
    meow.appendAll([
      { stream: { category, streamId: 'a' }, events: event(1) },
      { stream: { category, streamId: 'b' }, events: { ...event(2), id } },
    ]),
    DuplicateEventError,
  )
  assert.equal([error.id, error.stream], [id, { category, streamId: 'b' }])
  assert.is((await meow.read({ category })).events.length, 1)
})

test('one stream twice in a call: one write after the other', async () => {
  const stream = { category: uniqueName('all'), streamId: 'a' }
  const results = await meow.appendAll([
    { stream, events: [event(0), event(1)], expectedVersion: 'no-stream' },
    { stream: { ...stream, streamId: 'b' }, events: event('b') },
    { stream, events: event(2), expectedVersion: 1 },
  ])
  assert.equal(
    results.map(({ version }) => version),
    [1, 0, 2],
  )
  assert.equal(
    (await meow.load(stream)).map(({ data }) => data),
    [0, 1, 2],
  )
  const error = await rejects(
    meow.appendAll([
      { stream, events: event(3), expectedVersion: 2 },
      { stream, events: event(4), expectedVersion: 2 },
    ]),
    VersionConflictError,
  )
  assert.is(error.actual, 3)
  assert.is((await meow.load(stream)).length, 3)
})

test('streams in opposite orders from two processes: no deadlock surfaces', async () => {
  const category = uniqueName('crossing')
  const stream = (i: number) => ({ category, streamId: `s${i}` })
  await Promise.all(
    Array.from({ length: 60 }, (_, n) => {
      const order = [0, 1, 2, 3].map((i) => (n % 2 ? i : 3 - i))
      const writes = order.map((i) => ({ stream: stream(i), events: event(n) }))
      return (n % 2 ? meow : other).appendAll(writes)
    }),
  )
  // Whole or not at all, and in one order everywhere.
  const data = await Promise.all(
    [0, 1, 2, 3].map(async (i) => (await meow.load(stream(i))).map((e) => e.data)),
  )
  assert.is(data[0]!.length, 60)
  for (const one of data) assert.equal(one, data[0])
})

test.run()
