// Snapshots: a long stream is decided on as a short one is. Snapshots are a cache: a wrong, old or missing one costs time, and
// nothing else.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, Logger, Meow, RecordedEvent } from '../src/index.ts'
import { VersionConflictError } from '../src/index.ts'
import { countingPool } from './support/counting-pool.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const schema = uniqueName('snapshots')
const warnings: any[] = []
const logger: Logger = { debug() {}, info() {}, error() {}, warn: (...args) => warnings.push(args) }
const counted = countingPool()
const sql = await pgClient()
let meow: Meow
test.before(async () => {
  meow = await openStore({ schema, listen: false, pool: counted.pool, logger })
  await sql.query(`set search_path = ${schema}`)
})
test.before.each(() => {
  warnings.length = 0
})
test.after(async () => {
  await closeAll()
  await counted.pool.end()
})

type Sum = { sum: number }
type Summing = Decider<number, RecordedEvent, Sum>
const summing = (options: Partial<Summing> = {}): Summing => ({
  category: uniqueName('sum'),
  initial: { sum: 0 },
  evolve: ({ sum }, { data }) => ({ sum: sum + data }),
  decide: (n) => ({ type: 'Added', data: n }),
  snapshotEvery: 10,
  ...options,
})

/** What an action reads of events and snapshots: rows that came over the wire. */
async function rowsOf<T>(action: () => Promise<T>): Promise<[rows: number, result: T]> {
  counted.answers.length = 0
  const result = await action()
  const reads = counted.answers.filter(({ text }) => /\.snapshots s|version >= \$3/.test(text))
  return [reads.reduce((sum, { rows }) => sum + rows, 0), result]
}

/** A stream of this many events; each adds 1. */
async function stream({ category }: Summing, streamId: string, length: number): Promise<void> {
  await sql.query(
    `insert into events (version, category, stream_id, type, data)
     select n, $1, $2, 'Added', '1' from generate_series(0, $3::int - 1) as n`,
    [category, streamId, length],
  )
}

const remembered = async ({ category }: Summing) =>
  (await sql.query('select version, state from snapshots where category = $1', [category])).rows

test('a stream of 100,000 events is decided on by as many rows as one of 100', async () => {
  const decider = summing({ snapshotEvery: 25 })
  const reads: number[][] = []
  for (const length of [100, 100_000]) {
    const streamId = `of ${length}`
    await stream(decider, streamId, length)
    const [first, { state }] = await rowsOf(() => meow.decide(decider, streamId, 1))
    assert.equal(state, { sum: length + 1 })
    assert.ok(first >= length, `${first} rows before there is a snapshot`)
    const rows: number[] = []
    for (let n = 2; n <= 60; n++) {
      const [read, decision] = await rowsOf(() => meow.decide(decider, streamId, 1))
      assert.equal(decision.state, { sum: length + n })
      rows.push(read)
    }
    reads.push(rows)
  }
  assert.equal(reads[1], reads[0])
  // The snapshot, and what came since.
  assert.is(Math.max(...reads[1]!), 25)
  assert.is(Math.min(...reads[1]!), 1)
})

test('a snapshot is taken once snapshotEvery events were folded, and not before', async () => {
  const decider = summing()
  const taken: (number | undefined)[] = []
  for (let n = 0; n < 22; n++) {
    await meow.decide(decider, 'a', 1)
    taken.push((await remembered(decider))[0]?.version)
  }
  assert.equal(taken, [...Array(9).fill(undefined), ...Array(10).fill(9), 19, 19, 19])
  assert.equal((await remembered(decider))[0].state, { sum: 20 })
  assert.equal(await meow.state(decider, 'a'), { state: { sum: 22 }, version: 21 })
})

test('without snapshotEvery no snapshot is saved', async () => {
  const { snapshotEvery: _, ...decider } = summing()
  await stream(decider, 'a', 30)
  await meow.decide(decider, 'a', 1)
  assert.equal(await remembered(decider), [])
})

/** A stream of 30 events, and a snapshot of 29 of them that says something else: so a reader that uses it is recognized. */
async function lying(options: Partial<Summing> = {}): Promise<Summing> {
  const decider = summing({ name: 'sum', ...options })
  await stream(decider, 'a', 29)
  await meow.decide(decider, 'a', 1)
  await sql.query(`update snapshots set state = '{"sum": 1000}' where category = $1`, [decider.category])
  assert.equal((await meow.state(decider, 'a')).state, { sum: 1000 })
  return decider
}
const believed = async (decider: Summing, options = {}) =>
  (await meow.state(decider, 'a', options)).state.sum >= 1000

test('a snapshot of another version, another decider, another name, or of later events is not used', async () => {
  const decider = await lying()
  assert.ok(await believed({ ...decider }))
  assert.not(await believed({ ...decider, snapshotVersion: 2 }))
  assert.not(await believed({ ...decider, name: 'other' }))
  assert.not(await believed(decider, { toVersion: 29 }))
  assert.ok(await believed(decider, { toVersion: 30 }))
  assert.equal(await meow.state(decider, 'a', { toVersion: 29 }), { state: { sum: 29 }, version: 28 })
  // And the one that ignores it puts its own in its place.
  const { state } = await meow.decide({ ...decider, snapshotVersion: 2 }, 'a', 1)
  assert.equal(state, { sum: 31 })
  assert.not(await believed(decider))
})

test('deciders without a name are distinguished by their evolve and their initial state', async () => {
  const { name: _, ...decider } = await lying()
  assert.not(await believed(decider))
  await meow.decide(decider, 'a', 1)
  await sql.query(`update snapshots set state = '{"sum": 1000}' where category = $1`, [decider.category])
  assert.ok(await believed({ ...decider }))
  assert.not(await believed({ ...decider, evolve: ({ sum }, { data }) => ({ sum: sum + data + 0 }) }))
  assert.not(await believed({ ...decider, initial: { sum: 1 } }))
})

test('a snapshot beyond the stream, or of an event that is no longer the one that stands there, is not used', async () => {
  for (const change of [
    'version = version + 1', // beyond the end
    'version = version - 1',
    `event_id = gen_random_uuid()`, // as after a failover that lost the event, and another took its version
  ]) {
    const decider = await lying()
    await sql.query(`update snapshots set ${change} where category = $1`, [decider.category])
    assert.equal(await meow.state(decider, 'a'), { state: { sum: 30 }, version: 29 }, change)
    const { state, result } = await meow.decide(decider, 'a', 1)
    assert.equal([state, result.version], [{ sum: 31 }, 30], change)
    assert.equal(await remembered(decider), [{ version: 30, state: { sum: 31 } }], change)
  }
})

test('a decider that lost a race decides on the events after the snapshot, too', async () => {
  const decider = summing()
  await stream(decider, 'a', 29)
  await meow.decide(decider, 'a', 1)
  let first = true
  const outrun: Summing = {
    ...decider,
    decide: (n, state) => {
      if (first)
        void meow.append({ category: decider.category as string, streamId: 'a' }, { type: 'Added', data: 5 })
      first = false
      return decider.decide(n, state)
    },
  }
  await rejects(meow.decide(outrun, 'a', 1, { retries: 0 }), VersionConflictError)
  first = true
  assert.equal((await meow.decide(outrun, 'a', 1)).state, { sum: 41 })
})

test("in a caller's transaction a snapshot is taken, and goes with it", async () => {
  const decider = summing()
  await stream(decider, 'a', 29)
  await sql.query('begin')
  await meow.decide(decider, 'a', 1, { client: sql })
  assert.is((await remembered(decider)).length, 1)
  assert.equal((await meow.state(decider, 'a', { client: sql })).state, { sum: 30 })
  await sql.query('rollback')
  assert.equal(await remembered(decider), [])
  await sql.query('begin')
  await meow.decide(decider, 'a', 1, { client: sql })
  await sql.query('commit')
  assert.equal(await remembered(decider), [{ version: 29, state: { sum: 30 } }])
})

test('a snapshot that can not be saved is a warning; the decision stands, and a transaction goes on', async () => {
  await sql.query(`
    create function refuse_snapshot() returns trigger language plpgsql as $$ begin raise 'no room'; end $$;
    create trigger refuse before insert on snapshots execute function refuse_snapshot()`)
  try {
    const decider = summing()
    await stream(decider, 'a', 29)
    assert.equal((await meow.decide(decider, 'a', 1)).state, { sum: 30 })
    assert.is(warnings.length, 1)
    assert.match(warnings[0][0].err.message, 'no room')
    await sql.query('begin')
    assert.equal((await meow.decide(decider, 'a', 1, { client: sql })).state, { sum: 31 })
    await sql.query('commit')
    assert.equal(await meow.state(decider, 'a'), { state: { sum: 31 }, version: 30 })
  } finally {
    await sql.query('rollback; drop trigger refuse on snapshots')
  }
})

test('a state that would come back as another is not remembered', async () => {
  for (const value of [new Date(), new Map([[1, 2]]), undefined, Number.NaN]) {
    warnings.length = 0
    const decider = summing({ evolve: ({ sum }, { data }) => ({ sum: sum + data, value }) })
    await stream(decider, 'a', 29)
    const { state } = await meow.decide(decider, 'a', 1)
    assert.equal(state.sum, 30)
    assert.equal(await remembered(decider), [])
    assert.is(warnings.length, 1)
  }
})

test.run()
