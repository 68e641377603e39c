// Appends that run concurrently share a transaction, in the order of the calls, and each has its own outcome.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AppendResult } from '../src/index.ts'
import { ClosedError, DuplicateEventError, ValidationError, VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
const observer = await pgClient()
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

/** How many transactions wrote the events of a category. */
async function transactions(category: string): Promise<number> {
  const { rows } = await sql.query(
    `select count(distinct xmin::text)::int as n from ${storeSchema}.events where category = $1`,
    [category],
  )
  return rows[0].n
}

test('100 concurrent appends are one transaction, or one on each of two connections', async () => {
  const category = uniqueName('together')
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      meow.append({ category, streamId: `s${i}` }, { type: 'T', data: i }),
    ),
  )
  assert.ok((await transactions(category)) <= 2)
  for (const [i, { events, version }] of results.entries()) {
    assert.is(version, 0)
    assert.is(events[0]!.streamId, `s${i}`)
    assert.equal(await meow.load({ category, streamId: `s${i}` }), events)
  }
})

test('callers that one append wakes share the next transaction', async () => {
  const category = uniqueName('chains')
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      for (let n = 0; n < 4; n++) await meow.append({ category, streamId: `s${i}` }, { type: 'T', data: n })
    }),
  )
  const count = await transactions(category)
  assert.ok(count <= 12, `200 appends took ${count} transactions`)
})

test('appends that are awaited one by one have a transaction each', async () => {
  const category = uniqueName('apart')
  for (let i = 0; i < 3; i++) await meow.append({ category, streamId: 'a' }, { type: 'T', data: i })
  assert.is(await transactions(category), 3)
})

test('what fails in a batch fails alone', async () => {
  const category = uniqueName('outcomes')
  const taken = crypto.randomUUID()
  await meow.append({ category, streamId: 'taken' }, { type: 'T', data: 'first', id: taken })
  const good: Promise<AppendResult>[] = []
  const more = (n: number) => {
    for (let i = 0; i < n; i++) {
      good.push(meow.append({ category, streamId: `good ${good.length}` }, { type: 'T', data: 0 }))
    }
  }
  more(30)
  const conflict = meow.append({ category, streamId: 'c' }, { type: 'T', data: 0 }, { expectedVersion: 4 })
  more(30)
  const duplicate = meow.append({ category, streamId: 'd' }, { type: 'T', data: 'other', id: taken })
  more(30)
  const invalid = meow.append({ category, streamId: 'i' }, { type: 'T', data: [1n] })
  const again = meow.append({ category, streamId: 'taken' }, { type: 'T', data: 'first', id: taken })
  more(10)
  const [e1, e2, e3] = await Promise.all([
    rejects(conflict, VersionConflictError),
    rejects(duplicate, DuplicateEventError),
    rejects(invalid, ValidationError),
  ])
  assert.equal([e1.expected, e1.actual], [4, -1])
  assert.is(e2.id, taken)
  assert.is(e3.path, 'events.data[0]')
  const results = await Promise.all(good)
  assert.is(results.length, 100)
  assert.ok(results.every(({ version, deduplicated }) => version === 0 && !deduplicated))
  assert.is((await again).deduplicated, true)
  assert.ok((await transactions(category)) <= 3)
  for (const streamId of ['c', 'd', 'i']) assert.equal(await meow.load({ category, streamId }), [])
  assert.is((await meow.read({ category })).events.length, 101)
})

test('what the server refuses in one append does not fail the others', async () => {
  const schema = uniqueName('refusing')
  const store = await openStore({ schema, listen: false })
  await sql.query(`alter table ${schema}.events add constraint no_poison check (type <> 'Poison')`)
  const results = await Promise.allSettled(
    Array.from({ length: 40 }, (_, i) =>
      store.append({ category: 'c', streamId: `s${i}` }, { type: i === 20 ? 'Poison' : 'T', data: i }),
    ),
  )
  assert.equal(
    results.map(({ status }) => status),
    Array.from({ length: 40 }, (_, i) => (i === 20 ? 'rejected' : 'fulfilled')),
  )
  assert.match((results[20] as PromiseRejectedResult).reason.message, 'no_poison')
  assert.is((await store.read({ category: 'c' })).events.length, 39)
})

test('each stream keeps the order of un-awaited appends', async () => {
  const category = uniqueName('order')
  const large = 'x'.repeat(300_000)
  const appends: Promise<AppendResult>[] = []
  for (let n = 0; n < 400; n++) {
    const event = {
      type: 'T',
      data: n % 97 === 5 ? { n, large } : { n },
      ...(n % 3 === 0 ? { id: crypto.randomUUID() } : {}),
    }
    const stream = { category, streamId: `s${n % 5}` }
    appends.push(
      n % 11 === 0
        ? meow.appendAll([{ stream, events: event }]).then(([result]) => result!)
        : meow.append(stream, event),
    )
    if (n % 50 === 49) await appends[n - 30] // so that batches are under way while others fill
  }
  const results = await Promise.all(appends)
  for (let s = 0; s < 5; s++) {
    const mine = results.filter((_, n) => n % 5 === s)
    assert.equal(
      mine.map(({ version }) => version),
      mine.map((_, i) => i),
    )
    assert.equal(
      (await meow.load({ category, streamId: `s${s}` })).map(({ data }) => data.n),
      mine.map((_, i) => i * 5 + s),
    )
  }
})

test('un-awaited appends may each expect the version of the one before', async () => {
  const stream = { category: uniqueName('expecting'), streamId: 'a' }
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      meow.append(stream, { type: 'T', data: i }, { expectedVersion: i - 1 }),
    ),
  )
  assert.equal(
    results.map(({ version }) => version),
    results.map((_, i) => i),
  )
})

test('positions follow the order of the calls that share a transaction', async () => {
  const category = uniqueName('calls')
  const results = await Promise.all(
    Array.from({ length: 16 }, (_, i) =>
      meow.append({ category, streamId: `s${(i * 7919) % 10}` }, [
        { type: 'T', data: [i, 0] },
        { type: 'T', data: [i, 1] },
      ]),
    ),
  )
  assert.is(await transactions(category), 1)
  const positions = results.flatMap(({ events }) => events.map(({ position }) => position))
  assert.equal(
    positions,
    positions.toSorted((a, b) => a - b),
  )
})

test('a large append that is being sent does not delay small ones', async () => {
  const category = uniqueName('large')
  const event = { type: 'T', data: 'x'.repeat(1_000_000) }
  // Another transaction makes the first large append wait, for as long as we like.
  await sql.query('begin')
  for (const streamId of ['held', 'held 2']) {
    await meow.append({ category, streamId }, { type: 'T', data: 0 }, { client: sql })
  }
  let settled = false
  const first = meow.append({ category, streamId: 'held' }, event).finally(() => {
    settled = true
  })
  const others = ['held 2', 'l1', 'l2'].map((streamId) => meow.append({ category, streamId }, event))
  await until(
    async () => {
      const { rows } = await observer.query(
        `select from pg_stat_activity where application_name = $1 and wait_event = 'transactionid'`,
        [`meowmx ${storeSchema}`],
      )
      return rows.length === 1
    },
    { what: 'the large append to wait for the other transaction' },
  )
  for (let i = 0; i < 20; i++) {
    await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        meow.append({ category, streamId: `small ${n}` }, { type: 'T', data: i }),
      ),
    )
  }
  assert.is(settled, false)
  await sql.query('commit')
  assert.is((await first).version, 1)
  await Promise.all(others)
})

test('close waits for the appends that were called, and refuses those that come later', async () => {
  const store = await openStore({ listen: false })
  const category = uniqueName('closing')
  const appends = Array.from({ length: 2500 }, (_, i) =>
    store.append({ category, streamId: `s${i}` }, { type: 'T', data: i }),
  )
  const closing = store.close()
  await rejects(store.append({ category, streamId: 'late' }, { type: 'T', data: 0 }), ClosedError)
  await closing
  assert.is((await Promise.all(appends)).length, 2500)
  assert.is((await meow.read({ category }, { limit: 3000 })).events.length, 2500)
})

test.run()
