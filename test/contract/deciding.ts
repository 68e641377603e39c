import * as assert from 'uvu/assert'
import type { Decider, RecordedEvent } from '../../src/index.ts'
import { EventBuffer, ValidationError, VersionConflictError } from '../../src/index.ts'
import { collect } from '../support/collect.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import { until } from '../support/until.ts'
import type { Contract } from './contract.ts'

interface Sell {
  seats: number
  id?: string
}
type Show = Decider<Sell, RecordedEvent, { free: number }>
const show = (more: Partial<Show> = {}): Show => ({
  category: uniqueName('show'),
  initial: { free: 100 },
  evolve: ({ free }, { data }) => ({ free: free - data.seats }),
  decide: ({ seats, id }, { free }) => {
    if (seats > free) throw new RangeError(`only ${free} left`)
    return seats === 0 ? [] : { type: 'SeatsSold', data: { seats }, ...(id ? { id } : {}) }
  },
  ...more,
})
const ref = ({ category }: Show, streamId = 'a') => ({ category: category as string, streamId })

export const deciding: Contract = (test, store) => {
  for (const [kind, more] of [
    ['without snapshots', {}],
    ['with snapshots', { snapshotEvery: 2 }],
  ] as const) {
    test(`decide, state: ${kind}`, async () => {
      const hamlet = show(more)
      assert.equal(await store().state(hamlet, 'a'), { state: { free: 100 }, version: -1 })
      for (let n = 1; n <= 7; n++) {
        const { state, result } = await store().decide(hamlet, 'a', { seats: 10 })
        assert.equal(
          [state, result.version, result.events[0]!.type],
          [{ free: 100 - 10 * n }, n - 1, 'SeatsSold'],
        )
      }
      await store().append(ref(hamlet), { type: 'SeatsSold', data: { seats: 1 } })
      assert.equal(await store().state(hamlet, 'a'), { state: { free: 29 }, version: 7 })
      assert.equal(await store().state(hamlet, 'a', { toVersion: 3 }), { state: { free: 70 }, version: 2 })
      const none = await store().decide(hamlet, 'a', { seats: 0 })
      const { version, position } = (await store().load(ref(hamlet))).at(-1)!
      assert.equal(none, {
        state: { free: 29 },
        result: { events: [], version, position, deduplicated: false },
      })
      const nobody = await store().decide(hamlet, 'c', { seats: 0 })
      assert.equal(nobody.result, { events: [], version: -1, position: 0, deduplicated: false })
      const refused = await rejects(store().decide(hamlet, 'a', { seats: 30 }), RangeError)
      assert.is(refused.message, 'only 29 left')
      assert.is((await store().load(ref(hamlet))).length, 8)
      assert.is((await store().state(hamlet, 'b')).version, -1)
    })

    test(`decide: many at once, each on the latest state, ${kind}`, async () => {
      const hamlet = show({ ...more, initial: { free: 10 } })
      const all = await Promise.allSettled(
        Array.from({ length: 14 }, () => store().decide(hamlet, 'a', { seats: 1 })),
      )
      const refused = all.filter((one) => one.status === 'rejected')
      assert.equal(
        refused.map(({ reason }) => reason.message),
        Array(4).fill('only 0 left'),
      )
      assert.equal(await store().state(hamlet, 'a'), { state: { free: 0 }, version: 9 })
    })
  }

  test('decide: if another writer gets there first it decides again, up to `retries` times', async () => {
    let calls = 0
    const outrun = (times: number) => {
      const hamlet = show()
      calls = 0
      const decide: Show['decide'] = (command, state) => {
        // Appended first: the order of calls to one stream is kept.
        if (calls++ < times) void store().append(ref(hamlet), { type: 'SeatsSold', data: { seats: 10 } })
        return show().decide(command, state)
      }
      return { ...hamlet, decide }
    }
    assert.equal((await store().decide(outrun(3), 'a', { seats: 1 })).state, { free: 69 })
    assert.is(calls, 4)
    const late = store().decide(outrun(3), 'a', { seats: 1 }, { retries: 2 })
    const error = await rejects(late, VersionConflictError)
    assert.equal([error.expected, error.actual, calls], [1, 2, 3])
    await rejects(store().decide(outrun(1), 'a', { seats: 1 }, { retries: 0 }), VersionConflictError)
    assert.is(calls, 1)
  })

  test('decide: ids that are known do not count twice', async () => {
    const hamlet = show()
    const id = crypto.randomUUID()
    await store().decide(hamlet, 'a', { seats: 5, id })
    await store().decide(hamlet, 'a', { seats: 1 })
    const { state, result } = await store().decide(hamlet, 'a', { seats: 5, id })
    assert.equal([state, result.deduplicated], [{ free: 94 }, true])
  })

  test('watch: the state as it is, then after each event of this stream, for all who watch', async () => {
    const hamlet = show()
    await store().append(ref(hamlet), { type: 'SeatsSold', data: { seats: 1 } })
    const seen = collect(store().watch(hamlet, 'a'))
    await seen.has(1)
    await store().append(ref(hamlet, 'b'), { type: 'SeatsSold', data: { seats: 1 } })
    await store().decide(hamlet, 'a', { seats: 2 })
    await store().decide(hamlet, 'a', { seats: 3 })
    await seen.has(3)
    const late = collect(store().watch(hamlet, 'a'))
    await late.has(1)
    assert.equal(seen.all, [
      { state: { free: 99 }, version: 0 },
      { state: { free: 97 }, version: 1 },
      { state: { free: 94 }, version: 2 },
    ])
    assert.equal(late.all, seen.all.slice(2))
    await store().append(ref(hamlet), { type: 'SeatsSold', data: null })
    for (const one of [seen, late]) {
      await until(() => one.error, { what: 'the error of evolve' })
      assert.instance(one.error, TypeError)
    }
    assert.throws(() => store().watch(hamlet, ''), /streamId/)
  })

  test('aggregates: loaded, saved, and refused if another writer got there first', async () => {
    const category = uniqueName('account')
    class Account {
      static readonly category: string = category
      readonly category = category
      readonly streamId = 'ann'
      balance = 0
      readonly events = new EventBuffer<number>({
        load: ({ data }) => data.amount,
        apply: (amount) => {
          this.balance += amount
        },
        toNewEvent: (amount) => ({ type: 'Changed', data: { amount } }),
      })
      constructor(recorded: RecordedEvent[]) {
        this.events.loadRecorded(recorded)
      }
      collectPendingEvents() {
        return this.events.collectPendingEvents()
      }
    }
    const [first, second] = [await store().loadAggregate(Account, 'ann'), new Account([])]
    first.events.emit(10)
    first.events.emit(-3)
    second.events.emit(1)
    assert.is((await store().saveAggregate(first)).version, 1)
    await rejects(store().saveAggregate(second), VersionConflictError)
    assert.is(second.collectPendingEvents().events.length, 1)
    const again = await store().loadAggregate(Account, 'ann')
    assert.equal([again.balance, again.events.storedVersion], [7, 1])
    assert.is((await store().saveAggregate(again)).version, 1)
  })

  test('decide, state: bad input is refused, with the path', async () => {
    const good = show()
    const cases: [Promise<unknown>, string][] = [
      [store().decide(null as never, 'a', 1), 'decider'],
      [store().decide({ ...good, category: '' }, 'a', { seats: 1 }), 'decider.category'],
      [store().decide({ ...good, evolve: 1 as never }, 'a', { seats: 1 }), 'decider.evolve'],
      [store().state({ ...good, snapshotEvery: 0 }, 'a'), 'decider.snapshotEvery'],
      [store().decide(good, '', { seats: 1 }), 'stream.streamId'],
      [store().decide(good, 'a', { seats: 1 }, { retries: -1 }), 'options.retries'],
      [store().decide(good, 'a', { seats: 1 }, { retry: 1 } as never), 'options.retry'],
      [store().state(good, 'a', { toVersion: -1 }), 'options.toVersion'],
      [store().decide({ ...good, decide: () => ({ type: '', data: 1 }) }, 'a', { seats: 1 }), 'events.type'],
      [store().loadAggregate(class {} as never, 'a'), 'stream.category'],
      [store().saveAggregate({} as never), 'aggregate'],
    ]
    for (const [promise, path] of cases) assert.is((await rejects(promise, ValidationError)).path, path)
  })
}
