// Tests can empty a store that is marked as a test store, and no other; clients that are connected continue, or get an error
// that says why not.
import { BehaviorSubject } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, Meow } from '../src/index.ts'
import { SubscriptionNotFoundError, ValidationError } from '../src/index.ts'
import { markAsTestStore, memoryStore, resetStore } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

const stream = { category: 'order', streamId: '42' }
const placed = { type: 'Placed', data: { n: 1 } }
const TABLES = [
  'events',
  'tombstones',
  'subscriptions',
  'checkpoints',
  'executors',
  'parked_events',
  'snapshots',
  'waiters',
]

/** A marked store, and another object of it, as another process has one. */
async function testStore(schema = uniqueName('reset')): Promise<{ meow: Meow; other: Meow; schema: string }> {
  const options = { schema, pollIntervalMs: 50 }
  const meow = await openStore(options)
  await markAsTestStore(meow)
  return { meow, other: await openStore(options), schema }
}

const count: Decider<null, any, { n: number }> = {
  category: 'order',
  name: 'count',
  initial: { n: 0 },
  evolve: ({ n }) => ({ n: n + 1 }),
  decide: () => [placed],
}

test('empties all tables; the same object appends, reads and subscribes at once', async () => {
  const { meow, schema } = await testStore()
  const sql = await pgClient()
  await meow.append(stream, [placed, placed, placed])
  await meow.append({ ...stream, streamId: 'erased' }, placed)
  await meow.eraseStream({ ...stream, streamId: 'erased' })
  await meow.decide({ ...count, snapshotEvery: 1 }, '42', null)
  const bad = () => {
    throw new Error('bad')
  }
  const first = meow
    .subscription('mailer', { category: 'order' })
    .process(bad, { retry: { maxAttempts: 1 }, outage: false })
  first.done.catch(() => {})
  await until(async () => (await meow.parked('mailer')).length > 0, { what: 'the parked event' })
  await first.stop()
  const { position } = await meow.append(stream, placed)

  assert.is(await resetStore(meow), undefined)

  for (const table of TABLES)
    assert.equal(
      (await sql.query(`select count(*)::int as n from "${schema}".${table}`)).rows,
      [{ n: 0 }],
      table,
    )
  assert.equal(await meow.load(stream), [])
  assert.equal(await meow.categories(), [])
  assert.equal(await meow.subscriptions(), [])
  const seen: number[] = []
  const second = meow
    .subscription('mailer', { category: 'order' })
    .process(({ version }) => void seen.push(version))
  const events: number[] = []
  const observer = meow.events({ category: 'order' }).subscribe((event) => events.push(event.position))
  const result = await meow.append(stream, [placed, placed], { expectedVersion: 'no-stream' })
  assert.is(result.version, 1)
  assert.ok(result.position > position, 'positions go on')
  await until(() => seen.length === 2 && events.length === 2, { what: 'what comes after the reset' })
  assert.equal(seen, [0, 1])
  await meow.waitFor('mailer', result.position)
  observer.unsubscribe()
  await second.stop()
})

test('observers of this store object and of others continue; later ones do not get deleted events', async () => {
  const { meow, other } = await testStore()
  const stores = [meow, other]
  const heard = stores.map(() => [] as number[])
  const early = stores.map((store, i) =>
    store.events({}).subscribe(({ data }) => heard[i]!.push((data as any).n)),
  )
  await meow.append(stream, [placed, placed])
  await until(() => heard.every(({ length }) => length === 2), { what: 'both observers' })
  await resetStore(meow)
  await meow.append(stream, { type: 'Placed', data: { n: 2 } })
  await until(() => heard.every(({ length }) => length === 3), { what: 'both, after the reset' })
  assert.equal(heard, [
    [1, 1, 2],
    [1, 1, 2],
  ])
  for (const store of stores) {
    const late: number[] = []
    const observer = store.events({}).subscribe(({ data }) => late.push((data as any).n))
    await until(() => late.length > 0, { what: 'the late observer' })
    assert.equal(late, [2])
    observer.unsubscribe()
  }
  for (const observer of early) observer.unsubscribe()
})

test('watchers of a stream get its new state', async () => {
  const { meow, other } = await testStore()
  const watches = [meow, other].map((store) => {
    const latest = new BehaviorSubject<{ state: { n: number }; version: number } | null>(null)
    store.watch(count, '42').subscribe(latest)
    return latest
  })
  await meow.append(stream, [placed, placed, placed])
  await until(() => watches.every(({ value }) => value?.version === 2), { what: 'the states' })
  await resetStore(meow)
  await meow.append(stream, placed)
  await until(() => watches.every(({ value }) => value?.version === 0), { what: 'the new states' })
  assert.equal(
    watches.map(({ value }) => value!.state),
    [{ n: 1 }, { n: 1 }],
  )
})

test('workers end with an error that says why, here and elsewhere, and one of the same name begins at once', async () => {
  for (const transactional of [false, true]) {
    const { meow, other } = await testStore()
    let handled = 0
    const work = (store: Meow) => {
      const subscription = store.subscription('mailer', { category: 'order', partitions: 2 })
      const worker = transactional
        ? subscription.process(() => void handled++, { transactional })
        : subscription.process(() => void handled++)
      return worker
    }
    const workers = [meow, other].map(work)
    const ends = workers.map((worker) => rejects(worker.done, SubscriptionNotFoundError))
    await meow.append(stream, placed)
    await until(() => handled === 1, { what: 'the first event' })
    await resetStore(meow)
    await Promise.all(ends)
    const again = work(meow)
    await meow.append(stream, placed)
    await until(() => handled === 2, { what: 'the event after the reset' })
    await again.stop()
  }
})

test('an open append is waited for, and several resets at once are fine', async () => {
  const { meow, other } = await testStore()
  const client = await pgClient()
  await client.query('begin')
  await meow.append(stream, placed, { client })
  let done = 0
  const resets = [meow, other, meow, other].map((store) => resetStore(store).then(() => void done++))
  const locks = `select from pg_locks where not granted and relation in (select oid from pg_class where relname in ('events', 'subscriptions'))`
  const sql = await pgClient()
  await until(async () => (await sql.query(locks)).rowCount! > 0, { what: 'the reset to wait' })
  assert.is(done, 0)
  await client.query('commit')
  await Promise.all(resets)
  assert.equal(await other.load(stream), [])
  await Promise.all([
    resetStore(meow),
    meow.append(stream, placed),
    resetStore(other),
    other.append(stream, placed),
  ])
})

test('a store without the mark is refused, and keeps all it has', async () => {
  const schema = uniqueName('reset')
  const meow = await openStore({ schema })
  await meow.append(stream, placed)
  await meow
    .subscription('mailer', {})
    .process(() => {})
    .stop()
  const refused = await rejects(resetStore(meow), ValidationError)
  assert.is(refused.code, 'ERR_VALIDATION')
  assert.match(refused.message, schema)
  assert.match(refused.message, /not marked .* markAsTestStore/)
  assert.is((await meow.load(stream)).length, 1)
})

test('only an empty store can be marked, and that again; what the comment of its schema says stays', async () => {
  const sql = await pgClient()
  const full = await openStore({ schema: uniqueName('reset') })
  await full.append(stream, placed)
  const refused = await rejects(markAsTestStore(full), ValidationError)
  assert.match(refused.message, /has events or subscriptions/)
  await rejects(resetStore(full), ValidationError)

  const schema = uniqueName(`it's "a"`)
  const meow = await openStore({ schema })
  await sql.query(`comment on schema ${sql.escapeIdentifier(schema)} is 'it''s mine'`)
  await markAsTestStore(meow)
  await meow.append(stream, placed)
  await markAsTestStore(meow)
  const { rows } = await sql.query(
    `select obj_description(oid, 'pg_namespace') as said from pg_namespace where nspname = $1`,
    [schema],
  )
  assert.equal(rows[0].said.split('\n'), [
    "it's mine",
    'meowmx: a store for tests, which resetStore() may empty',
  ])
  await resetStore(meow)
  assert.equal(await meow.load(stream), [])
  await sql.query(`comment on schema ${sql.escapeIdentifier(schema)} is null`)
  await rejects(resetStore(meow), ValidationError)
})

test('anything but a store in PostgreSQL is refused', async () => {
  for (const strange of [memoryStore(), undefined, {}])
    await rejects(resetStore(strange as Meow), ValidationError)
})

test.run()
