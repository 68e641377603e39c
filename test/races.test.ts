// Processes that append to the same streams at the same time: every version once, one winner each, no other error.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { VersionConflictError } from '../src/index.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

// Each with a pool and a batcher of its own, as processes have.
const stores = await Promise.all(
  Array.from({ length: 6 }, () => openStore({ listen: false, maxConnections: 4 })),
)
const meow = stores[0]!
test.after(closeAll)

/** Versions 0, 1, 2 … in each stream, in the order of positions; returns how many events there are. */
async function checkDense(category: string): Promise<number> {
  const next = new Map<string, number>()
  let after = 0
  let count = 0
  for (;;) {
    const page = await meow.read({ category }, { after, limit: 5_000 })
    for (const { streamId, version } of page.events) {
      assert.is(
        version,
        next.get(streamId) ?? 0,
        `version after ${(next.get(streamId) ?? 0) - 1} of ${streamId}`,
      )
      next.set(streamId, version + 1)
      count++
    }
    if (page.events.length === 0) return count
    after = page.position
  }
}

test('mode any, six stores, one stream: all are written', async () => {
  const stream = { category: uniqueName('any'), streamId: 'a' }
  await Promise.all(
    stores.map(async (store, s) => {
      for (let i = 0; i < 40; i++) await store.append(stream, { type: 'T', data: [s, i] })
    }),
  )
  assert.is(await checkDense(stream.category), 240)
})

test('mode any, six stores, many streams in many orders: all are written', async () => {
  const category = uniqueName('any')
  await Promise.all(
    stores.map(async (store, s) => {
      for (let round = 0; round < 6; round++) {
        await Promise.all(
          Array.from({ length: 60 }, (_, i) => {
            const streamId = `s${(i * (2 * s + 1) + round * 7) % 20}`
            const events = Array.from({ length: 1 + (i % 3) }, () => ({ type: 'T', data: [s, round, i] }))
            return store.append({ category, streamId }, i % 2 ? events : events[0]!)
          }),
        )
      }
    }),
  )
  const appends = Array.from({ length: 60 }, (_, i) => (i % 2 ? 1 + (i % 3) : 1)).reduce((a, b) => a + b)
  assert.is(await checkDense(category), appends * 6 * stores.length)
})

test('with an expected version each version has exactly one winner', async () => {
  const category = uniqueName('winner')
  const stream = (i: number) => ({ category, streamId: `s${i}` })
  const wins = new Map<string, number>()
  let conflicts = 0
  for (let version = 0; version < 8; version++) {
    await Promise.all(
      stores.flatMap((store, s) =>
        Array.from({ length: 10 }, async (_, i) => {
          const streamId = (i * (s + 1)) % 11
          try {
            const result = await store.append(
              stream(streamId),
              { type: 'T', data: s },
              { expectedVersion: version - 1 },
            )
            assert.is(result.version, version)
            const key = `${streamId}@${version}`
            wins.set(key, (wins.get(key) ?? 0) + 1)
          } catch (error) {
            assert.instance(error, VersionConflictError)
            const { actual } = error as VersionConflictError
            assert.ok(
              actual >= version || actual < version - 1,
              `conflict at ${actual}, expected ${version - 1}`,
            )
            conflicts++
          }
        }),
      ),
    )
  }
  assert.ok(conflicts > 0)
  assert.equal([...new Set(wins.values())], [1])
  assert.is(await checkDense(category), wins.size)
})

test('read, decide, append, try again: no decision on a stale version is written', async () => {
  const stream = { category: uniqueName('counter'), streamId: 'a' }
  await Promise.all(
    stores.map(async (store) => {
      for (let done = 0; done < 15; ) {
        const last = (await store.load(stream, { direction: 'backward', limit: 1 }))[0]
        const count = (last?.data ?? 0) + 1
        try {
          await store.append(
            stream,
            { type: 'Counted', data: count },
            { expectedVersion: last?.version ?? -1 },
          )
          done++
        } catch (error) {
          assert.instance(error, VersionConflictError)
        }
      }
    }),
  )
  assert.is((await meow.load(stream)).at(-1)!.data, 90)
  assert.is(await checkDense(stream.category), 90)
})

test('groups, single appends and callers in transactions, all on the same streams', async () => {
  const category = uniqueName('mixed')
  const stream = (i: number) => ({ category, streamId: `s${i % 5}` })
  const clients = await Promise.all([pgClient(), pgClient()])
  let written = 0
  const groups = stores.slice(0, 3).map(async (store, s) => {
    for (let i = 0; i < 20; i++) {
      // In one order of streams: otherwise they would deadlock, which is resolved, but takes a second each time.
      const streams = [0, 1, 2].map((n) => (i + n * (s + 1)) % 5).sort()
      const writes = streams.map((n) => ({ stream: stream(n), events: { type: 'T', data: i } }))
      const results = await store.appendAll(writes)
      written += results.length
    }
  })
  const singles = stores.slice(3).map(async (store) => {
    for (let i = 0; i < 20; i++) {
      const results = await Promise.all(
        [0, 1, 2, 3, 4].map((n) => store.append(stream(i + n), { type: 'T', data: i })),
      )
      written += results.length
    }
  })
  // A transaction that writes one stream only, so that no deadlock is of the caller's own making.
  const callers = clients.map(async (client, c) => {
    for (let i = 0; i < 20; i++) {
      await client.query('begin')
      await meow.append(stream(c), { type: 'T', data: i }, { client })
      const { events } = await meow.append(
        stream(c),
        [0, 1].map((data) => ({ type: 'T', data })),
        { client },
      )
      await client.query(i % 4 === 0 ? 'rollback' : 'commit')
      if (i % 4 !== 0) written += 1 + events.length
    }
  })
  await Promise.all([...groups, ...singles, ...callers])
  assert.is(await checkDense(category), written)
})

test('a deadlock with a caller’s transaction: the batch is rolled back, and runs again', async () => {
  const category = uniqueName('deadlock')
  const [a, b] = [
    { category, streamId: 'a' },
    { category, streamId: 'b' },
  ]
  const event = { type: 'T', data: 0 }
  const [client, observer] = await Promise.all([pgClient(), pgClient()])
  await client.query(`begin; set local deadlock_timeout = '1min'`) // so that the other finds it
  await meow.append(b, event, { client })
  const group = meow.appendAll([
    { stream: a, events: event },
    { stream: b, events: event },
  ])
  await until(
    async () => {
      const { rowCount } = await observer.query(
        `select from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'`,
        [`meowmx ${storeSchema}`],
      )
      return rowCount! > 0
    },
    { what: 'the group to wait for the caller' },
  )
  const mine = await meow.append(a, event, { client })
  await client.query('commit')
  assert.is(mine.version, 0)
  assert.equal(
    (await group).map(({ version }) => version),
    [1, 1],
  )
  assert.is(await checkDense(category), 4)
})

test.run()
