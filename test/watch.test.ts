// watch: the current state of a stream, then the state after each event, by push; no event is lost or repeated between load and
// live.
import { firstValueFrom, lastValueFrom, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, Meow, RecordedEvent, Watched } from '../src/index.ts'
import { ClosedError, ValidationError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { seeded } from './support/random.ts'
import { rejects } from './support/rejects.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 100 })
  await listening(meow)
})
test.after(closeAll)

/** The state is the list of all data, so lost, repeated and misplaced events are visible. */
const listing = (options: object = {}): Decider<number, RecordedEvent, number[]> => ({
  category: uniqueName('list'),
  initial: [],
  evolve: (list, { data }) => {
    if (data === 'poison') throw new Error('poison')
    return [...list, data]
  },
  decide: (n) => ({ type: 'Added', data: n }),
  ...options,
})
const ref = ({ category }: { category: unknown }, streamId = 'a') => ({
  category: category as string,
  streamId,
})
const added = (data: unknown) => ({ type: 'Added', data })

test('the state as it is, then after each event of this stream alone', async () => {
  const list = listing()
  await meow.append(ref(list), [added(0), added(1)])
  const seen = collect(meow.watch(list, 'a'))
  await seen.has(1)
  await meow.append(ref(list, 'b'), added(9))
  await meow.append(ref(list), [added(2), added(3)])
  await meow.decide(list, 'a', 4)
  await seen.has(4)
  assert.equal(
    seen.all,
    [2, 3, 4, 5].map((n) => ({ state: upTo(n), version: n - 1 })),
  )
  seen.subscription.unsubscribe()
})

test('a stream that is not there yet has the initial state', async () => {
  const list = listing()
  const seen = collect(meow.watch(list, 'a'))
  await seen.has(1)
  await meow.append(ref(list), added(0))
  await seen.has(2)
  assert.equal(seen.all, [
    { state: [], version: -1 },
    { state: [0], version: 0 },
  ])
  seen.subscription.unsubscribe()
})

test('watchers of one stream share one load and one tail; a later one gets the latest state at once', async () => {
  const counted = countingPool()
  const store = await openStore({ pool: counted.pool, pollIntervalMs: 60_000 })
  await listening(store)
  const list = listing()
  await meow.append(ref(list), [added(0), added(1)])
  const loads = () => counted.queries.filter((text) => /version >= \$3/.test(text)).length
  const first = upTo(50).map(() => collect(store.watch(list, 'a')))
  for (const one of first) await one.has(1)
  assert.is(loads(), 1)
  const { position } = await meow.append(ref(list), added(2))
  for (const one of first) await one.has(2)
  const before = counted.queries.length
  const late = collect(store.watch(list, 'a'))
  assert.equal(late.all, [{ state: [0, 1, 2], version: 2 }])
  assert.is(counted.queries.length, before)
  for (const { all } of first) assert.is(all.at(-1), late.all[0])
  // The last one that unsubscribes frees it: the next one loads again.
  for (const { subscription } of [...first, late]) subscription.unsubscribe()
  await meow.append(ref(list), added(3))
  assert.equal((await firstValueFrom(store.watch(list, 'a'))).state, upTo(4))
  assert.is(loads(), 2)
  assert.ok(position > 0)
  await store.close()
  await counted.pool.end()
})

test('nothing is lost or repeated between load and live, whenever one begins to watch', async () => {
  const random = seeded('watch')
  const [plain, remembering] = [listing(), listing({ snapshotEvery: 7 })]
  for (const list of [plain, remembering]) {
    const watching: ReturnType<typeof collect<Watched<number[]>>>[] = []
    for (const n of upTo(150)) {
      if (random.int(0, 4) === 0) watching.push(collect(meow.watch({ ...list }, 'a'))) // each with a load of its own
      const deciding = meow.decide(list, 'a', n)
      if (random.int(0, 1)) await deciding
      else await Promise.all([deciding, meow.append(ref(list, 'b'), added(n))])
    }
    assert.ok(watching.length > 10)
    for (const { all, subscription } of watching) {
      await until(() => all.at(-1)?.version === 149, { what: 'the last event' })
      subscription.unsubscribe()
      assert.equal(
        all.map(({ version }) => version),
        upTo(all.length).map((n) => 150 - all.length + n),
        'each version after the one before',
      )
      for (const { state, version } of all) assert.equal(state, upTo(version + 1))
    }
  }
})

test('an open append elsewhere: committed events are seen at once, later ones when the horizon allows', async () => {
  const list = listing()
  const client = await pgClient()
  await client.query('begin')
  await meow.append(ref(list, 'open'), added(0), { client })
  await meow.append(ref(list), added(0)) // above the horizon, and loaded nevertheless
  const seen = collect(meow.watch(list, 'a'))
  await seen.has(1)
  await meow.append(ref(list), added(1))
  await client.query('commit')
  await seen.has(2)
  await meow.append(ref(list), added(2))
  await seen.has(3)
  assert.equal(
    seen.all.map(({ state }) => state),
    [[0], [0, 1], [0, 1, 2]],
  )
  seen.subscription.unsubscribe()
})

test('it completes when the store closes, even while it loads; a closed store is an error', async () => {
  const store = await openStore({ listen: false })
  const list = listing()
  await meow.append(ref(list), added(0))
  const seen = collect(store.watch(list, 'a'))
  await seen.has(1)
  const loading = lastValueFrom(store.watch(listing(), 'b').pipe(toArray()))
  await store.close()
  assert.is((await seen.ended()).length, 1)
  assert.equal(await loading, [])
  await rejects(firstValueFrom(store.watch(list, 'a')), ClosedError)
})

test('an error of evolve reaches all watchers; a new watcher starts again', async () => {
  const list = listing()
  await meow.append(ref(list), added(0))
  const both = [collect(meow.watch(list, 'a')), collect(meow.watch(list, 'a'))]
  for (const one of both) await one.has(1)
  await meow.append(ref(list), added('poison'))
  for (const one of both) await until(() => one.error, { what: 'the error' })
  assert.equal(
    both.map(({ error }) => error.message),
    ['poison', 'poison'],
  )
  assert.match((await rejects(firstValueFrom(meow.watch(list, 'a')), Error)).message, 'poison')
})

test('bad input is refused at once, with the path', () => {
  const path = (expected: string) => (error: unknown) =>
    error instanceof ValidationError && error.path === expected
  assert.throws(() => meow.watch({} as never, 'a'), path('decider.category'))
  assert.throws(() => meow.watch(listing(), ''), path('streamId'))
})

test.run()
