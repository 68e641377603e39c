// Aggregates are made from the events of their stream, and saved if no other writer got there first. After a failed save, the
// events are still pending.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { EventOf, Meow, RecordedEvent } from '../src/index.ts'
import {
  defineCategory,
  EventBuffer,
  type MeowError,
  ValidationError,
  VersionConflictError,
} from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const category = uniqueName('account')

class Account {
  static readonly category = category
  readonly category: string = category
  readonly streamId: string
  balance = 0
  readonly events = new EventBuffer<number>({
    load: ({ data }) => data.amount,
    apply: (amount) => {
      if (this.balance + amount < 0) throw new Error('not enough')
      this.balance += amount
    },
    toNewEvent: (amount) => ({ type: 'Changed', data: { amount } }),
  })

  constructor(recorded: RecordedEvent[], streamId = recorded[0]?.streamId ?? '') {
    this.streamId = streamId
    this.events.loadRecorded(recorded)
  }

  change(amount: number): void {
    this.events.emit(amount)
  }

  collectPendingEvents() {
    return this.events.collectPendingEvents()
  }
}

let meow: Meow
test.before(async () => {
  meow = await openStore({ listen: false })
})
test.after(closeAll)

const amounts = async (streamId: string) =>
  (await meow.load({ category, streamId })).map(({ data }) => data.amount)

test('new, saved, loaded, changed, saved again', async () => {
  const ann = new Account([], 'ann')
  ann.change(10)
  ann.change(-3)
  assert.equal([ann.events.storedVersion, ann.events.currentVersion], [-1, 1])
  const result = await meow.saveAggregate(ann)
  assert.is(result.version, 1)
  assert.equal([ann.events.storedVersion, ann.events.currentVersion], [1, 1])
  ann.change(1)
  await meow.saveAggregate(ann)

  const loaded = await meow.loadAggregate(Account, 'ann')
  assert.instance(loaded, Account)
  assert.equal([loaded.balance, loaded.streamId, loaded.events.storedVersion], [8, 'ann', 2])
  loaded.change(2)
  assert.is((await meow.saveAggregate(loaded)).version, 3)
  assert.equal(await amounts('ann'), [10, -3, 1, 2])
})

test('nothing pending: nothing is written; no stream: no events', async () => {
  const nobody = await meow.loadAggregate(Account, 'nobody')
  assert.equal([nobody.balance, nobody.events.currentVersion], [0, -1])
  const saved = await meow.saveAggregate(new Account([], 'nobody'))
  assert.equal(saved, { events: [], version: -1, position: 0, deduplicated: false })
})

test('nothing pending: the answer tells where the stream stands, in a transaction of the caller too', async () => {
  const account = new Account([], 'idle')
  account.change(3)
  const { version, position } = await meow.saveAggregate(account)
  assert.equal(await meow.saveAggregate(account), { events: [], version, position, deduplicated: false })
  const client = await pgClient()
  await client.query('begin')
  account.change(4)
  const inside = await meow.saveAggregate(account, { client })
  assert.equal(await meow.saveAggregate(account, { client }), { ...inside, events: [] })
  await client.query('rollback')
  const stream = { category: Account.category, streamId: 'idle' }
  assert.equal(await meow.append(stream, []), { events: [], version, position, deduplicated: false })
})

test('an event that can not be applied has not happened', () => {
  const account = new Account([], 'poor')
  assert.throws(() => account.change(-1), 'not enough')
  assert.equal(account.collectPendingEvents().events, [])
})

test('a save that fails forgets nothing', async () => {
  const first = new Account([], 'contended')
  const second = new Account([], 'contended')
  first.change(1)
  second.change(2)
  await meow.saveAggregate(first)
  const error = await rejects(meow.saveAggregate(second), VersionConflictError)
  assert.equal([error.expected, error.actual], [-1, 0])
  const { events, expectedVersion } = second.collectPendingEvents()
  assert.equal([events, expectedVersion], [[{ type: 'Changed', data: { amount: 2 } }], -1])
  assert.equal([second.events.storedVersion, second.events.currentVersion], [-1, 0])
  second.change(Number.NaN)
  assert.is((await rejects(meow.saveAggregate(second), ValidationError)).path, 'events[1].data.amount')
  assert.is(second.collectPendingEvents().events.length, 2)
  assert.equal(await amounts('contended'), [1])
})

test('what is emitted while a save is under way stays pending', async () => {
  const account = new Account([], 'busy')
  account.change(1)
  const saving = meow.saveAggregate(account)
  account.change(2)
  await saving
  assert.equal([account.events.storedVersion, account.events.currentVersion], [0, 1])
  await meow.saveAggregate(account)
  assert.equal(await amounts('busy'), [1, 2])
})

test('saved() said twice counts once', () => {
  const account = new Account([], 'twice')
  account.change(1)
  const pending = account.collectPendingEvents()
  pending.saved()
  account.change(2)
  pending.saved()
  assert.equal([account.events.storedVersion, account.events.currentVersion], [0, 1])
})

test('stored events are not loaded behind pending ones', () => {
  const { events } = new Account([], 'order')
  events.loadTransformed([1, 2])
  assert.is(events.storedVersion, 1)
  events.emit(3)
  for (const load of [() => events.loadTransformed([4]), () => events.loadRecorded([])])
    assert.throws(load, (error: unknown) => (error as MeowError).code === 'ERR_PENDING_EVENTS')
  assert.is(events.currentVersion, 2)
})

test("in a caller's transaction: seen there at once, elsewhere after the commit", async () => {
  const client = await pgClient()
  await client.query('begin')
  const account = new Account([], 'inside')
  account.change(4)
  await meow.saveAggregate(account, { client })
  assert.is((await meow.loadAggregate(Account, 'inside', { client })).balance, 4)
  assert.is((await meow.loadAggregate(Account, 'inside')).balance, 0)
  const late = new Account([], 'inside')
  late.change(1)
  await rejects(meow.saveAggregate(late, { client }), VersionConflictError) // which leaves it usable
  await client.query('commit')
  assert.is((await meow.loadAggregate(Account, 'inside')).balance, 4)
})

test('of a zod category: typed when loaded, checked when saved', async () => {
  const Order = defineCategory(uniqueName('order'), {
    Placed: {
      schema: z.object({ cents: z.number() }),
      version: 2,
      upcast: { 1: (old) => ({ cents: old.price * 100 }) },
    },
  })
  class Sum {
    static readonly category = Order
    readonly category = Order
    readonly streamId = 'a'
    total = 0
    constructor(recorded: EventOf<typeof Order>[]) {
      for (const event of recorded) if (event.known) this.total += event.data.cents
    }
    collectPendingEvents() {
      return { events: [Order.Placed({ cents: 'many' as unknown as number })], expectedVersion: 1 }
    }
  }
  await meow.append({ category: Order.name, streamId: 'a' }, { type: 'Placed', data: { price: 2 } })
  await meow.append(Order.stream('a'), Order.Placed({ cents: 50 }))
  const sum = await meow.loadAggregate(Sum, 'a')
  assert.is(sum.total, 250)
  assert.is((await rejects(meow.saveAggregate(sum), ValidationError)).path, 'events[0].data.cents')
})

test('anything but an aggregate is refused, with the path', async () => {
  const cases: [Promise<unknown>, string][] = [
    [meow.loadAggregate({ category } as never, 'a'), 'Class'],
    [meow.loadAggregate(class {} as never, 'a'), 'stream.category'],
    [meow.loadAggregate(Account, ''), 'stream.streamId'],
    [meow.loadAggregate(Account, 'a', { limit: 1 } as never), 'options.limit'],
    [meow.saveAggregate({} as never), 'aggregate'],
    [meow.saveAggregate(null as never), 'aggregate'],
  ]
  for (const [promise, path] of cases) assert.is((await rejects(promise, ValidationError)).path, path)
})

test.run()
