// Deciders: a command is decided on the state that the stream has when the events are appended, whatever other writers do.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { Decider, EventOf, Meow, RecordedEvent } from '../src/index.ts'
import { defineCategory, ValidationError, VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

let meow: Meow
let other: Meow
test.before(async () => {
  ;[meow, other] = await Promise.all([openStore({ listen: false }), openStore({ listen: false })])
})
test.after(closeAll)

interface Sell {
  seats: number
  id?: string
}
const show = (seats = 100): Decider<Sell, RecordedEvent, { free: number }> => ({
  category: uniqueName('show'),
  initial: { free: seats },
  evolve: ({ free }, { data }) => ({ free: free - data.seats }),
  decide: ({ seats, id }, { free }) => {
    if (seats > free) throw new RangeError(`only ${free} left`)
    return seats === 0 ? [] : { type: 'SeatsSold', data: { seats }, ...(id ? { id } : {}) }
  },
})

test('a command becomes events, and they the state; as of any version', async () => {
  const hamlet = show()
  assert.equal(await meow.state(hamlet, 'a'), { state: { free: 100 }, version: -1 })
  const { state, result } = await meow.decide(hamlet, 'a', { seats: 30 })
  assert.equal([state, result.version, result.events[0]!.type], [{ free: 70 }, 0, 'SeatsSold'])
  assert.equal((await meow.decide(hamlet, 'a', { seats: 20 })).state, { free: 50 })
  assert.equal(await meow.state(hamlet, 'a'), { state: { free: 50 }, version: 1 })
  assert.equal(await meow.state(hamlet, 'a', { toVersion: 1 }), { state: { free: 70 }, version: 0 })
  assert.equal(await meow.state(hamlet, 'a', { toVersion: 0 }), { state: { free: 100 }, version: -1 })
})

test('several events, no event, an error', async () => {
  const hamlet = show()
  const twice = {
    ...hamlet,
    decide: (n: number) => [n, n].map((seats) => ({ type: 'SeatsSold', data: { seats } })),
  }
  const both = await meow.decide(twice, 'a', 10)
  assert.equal([both.state, both.result.version], [{ free: 80 }, 1])
  const none = await meow.decide(hamlet, 'a', { seats: 0 })
  assert.equal(none.state, { free: 80 })
  const { version, position } = both.result
  assert.equal(none.result, { events: [], version, position, deduplicated: false })
  assert.match((await rejects(meow.decide(hamlet, 'a', { seats: 81 }), RangeError)).message, 'only 80 left')
  assert.is((await meow.load({ category: hamlet.category as string, streamId: 'a' })).length, 2)
})

test('many at once, in two processes: each decides on the latest state, and no seat is sold twice', async () => {
  const hamlet = show(20)
  const outcomes = await Promise.allSettled(
    Array.from({ length: 24 }, (_, i) =>
      (i % 2 ? meow : other).decide(hamlet, 'a', { seats: 1 }, { retries: 50 }),
    ),
  )
  const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
  assert.equal(
    refused.map(({ reason }) => reason.message),
    Array(4).fill('only 0 left'),
  )
  assert.equal(await meow.state(hamlet, 'a'), { state: { free: 0 }, version: 19 })
})

test('many at once in one process cause no conflict: they take turns', async () => {
  const hamlet = show()
  let calls = 0
  const counting: typeof hamlet = {
    ...hamlet,
    decide: (command, state) => {
      calls++
      return hamlet.decide(command, state)
    },
  }
  const selling = Array.from({ length: 50 }, () => meow.decide(counting, 'a', { seats: 1 }))
  assert.equal(
    (await Promise.all(selling)).map(({ state }) => state.free),
    Array.from({ length: 50 }, (_, i) => 99 - i),
  )
  assert.is(calls, 50)
})

/** Another writer gets there first, this many times. */
function outrun(decider: Decider<Sell, RecordedEvent, { free: number }>, times: number) {
  const stream = { category: decider.category as string, streamId: 'a' }
  let calls = 0
  // The batcher keeps the order of calls to one stream: this one is appended first.
  const decide: typeof decider.decide = (command, state) => {
    if (calls++ < times) void meow.append(stream, { type: 'SeatsSold', data: { seats: 10 } })
    return decider.decide(command, state)
  }
  return { decider: { ...decider, decide }, calls: () => calls }
}

test('if another writer got there first it loads and decides again, up to `retries` times', async () => {
  const once = outrun(show(), 3)
  assert.equal((await meow.decide(once.decider, 'a', { seats: 1 })).state, { free: 69 })
  assert.is(once.calls(), 4)
  const never = outrun(show(), 3)
  const error = await rejects(
    meow.decide(never.decider, 'a', { seats: 1 }, { retries: 2 }),
    VersionConflictError,
  )
  assert.equal([error.expected, error.actual, never.calls()], [1, 2, 3])
  const none = outrun(show(), 1)
  await rejects(meow.decide(none.decider, 'a', { seats: 1 }, { retries: 0 }), VersionConflictError)
  assert.is(none.calls(), 1)
})

test("in a caller's transaction: decided on what it has written, seen elsewhere after the commit", async () => {
  const hamlet = show()
  const client = await pgClient()
  await client.query('begin')
  await meow.decide(hamlet, 'a', { seats: 1 }, { client })
  const { state } = await meow.decide(hamlet, 'a', { seats: 2 }, { client })
  assert.equal(state, { free: 97 })
  assert.equal(await meow.state(hamlet, 'a', { client }), { state, version: 1 })
  assert.is((await meow.state(hamlet, 'a')).version, -1)
  await client.query('commit')
  assert.equal(await meow.state(hamlet, 'a'), { state, version: 1 })

  await client.query('begin')
  await meow.decide(hamlet, 'a', { seats: 1 }, { client })
  await client.query('rollback')
  assert.equal(await meow.state(hamlet, 'a'), { state, version: 1 })
})

test("in a caller's transaction a conflict is decided again, and leaves it usable", async () => {
  const hamlet = show()
  const client = await pgClient()
  await client.query('begin')
  let calls = 0
  const stream = { category: hamlet.category as string, streamId: 'a' }
  let faster: Promise<unknown> = Promise.resolve()
  const racing: typeof hamlet = {
    ...hamlet,
    decide: (command, state) => {
      // It is sent first on the same connection, in the same transaction, so the loaded state is old.
      if (calls++ === 0) faster = meow.append(stream, { type: 'SeatsSold', data: { seats: 10 } }, { client })
      return hamlet.decide(command, state)
    },
  }
  assert.equal((await meow.decide(racing, 'a', { seats: 1 }, { client })).state, { free: 89 })
  assert.is(calls, 2)
  await faster
  await client.query('commit')
  assert.equal(await meow.state(hamlet, 'a'), { state: { free: 89 }, version: 1 })
})

test('a command whose event ids are known is not counted twice', async () => {
  const hamlet = show()
  const id = crypto.randomUUID()
  await meow.decide(hamlet, 'a', { seats: 5, id })
  await meow.decide(hamlet, 'a', { seats: 1 })
  const again = await meow.decide(hamlet, 'a', { seats: 5, id })
  assert.is(again.result.deduplicated, true)
  assert.equal(again.state, { free: 94 })
  assert.is((await meow.state(hamlet, 'a')).version, 1)
})

test('of a zod category: evolve gets what is upcast, and what decide makes is checked', async () => {
  const name = uniqueName('order')
  const Order = defineCategory(name, {
    Placed: {
      schema: z.object({ cents: z.number() }),
      version: 2,
      upcast: { 1: (old) => ({ cents: old.price * 100 }) },
    },
  })
  const total: Decider<unknown, EventOf<typeof Order>, number> = {
    category: Order,
    initial: 0,
    evolve: (sum, event) => (event.known ? sum + event.data.cents : sum),
    decide: (cents) => Order.Placed({ cents: cents as number }),
  }
  await meow.append({ category: name, streamId: 'a' }, [
    { type: 'Placed', data: { price: 2 } },
    { type: 'Lost', data: 1 },
  ])
  const { state, result } = await meow.decide(total, 'a', 50)
  assert.equal([state, result.events[0]!.metadata], [250, { schemaVersion: 2 }])
  assert.is((await rejects(meow.decide(total, 'a', 'x'), ValidationError)).path, 'events.data.cents')
  assert.equal(await meow.state(total, 'a'), { state: 250, version: 2 })
})

test('bad input is refused, with the path', async () => {
  const good = show()
  const cases: [Promise<unknown>, string][] = [
    [meow.decide(null as never, 'a', 1), 'decider'],
    [meow.decide({ ...good, category: '' }, 'a', { seats: 1 }), 'decider.category'],
    [meow.decide({ ...good, evolve: 1 as never }, 'a', { seats: 1 }), 'decider.evolve'],
    [meow.state({ ...good, decide: undefined as never }, 'a'), 'decider.decide'],
    [meow.state({ ...good, snapshotEvery: 0 }, 'a'), 'decider.snapshotEvery'],
    [meow.state({ ...good, snapshotEvery: 1, initial: { free: Number.NaN } }, 'a'), 'decider.initial.free'],
    [meow.state({ ...good, snapshotVersion: 1.5 }, 'a'), 'decider.snapshotVersion'],
    [meow.state({ ...good, name: 'x'.repeat(101) }, 'a'), 'decider.name'],
    [meow.decide(good, '', { seats: 1 }), 'stream.streamId'],
    [meow.decide(good, 'a', { seats: 1 }, { retries: -1 }), 'options.retries'],
    [meow.decide(good, 'a', { seats: 1 }, { retry: 1 } as never), 'options.retry'],
    [meow.state(good, 'a', { toVersion: -1 }), 'options.toVersion'],
  ]
  for (const [promise, path] of cases) assert.is((await rejects(promise, ValidationError)).path, path)
})

test.run()
