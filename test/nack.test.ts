// deliveries(): a nacked delivery comes again, followed by the later ones of its stream; other streams go on; the window limits
// all of them.
import { filter, tap } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Delivery, Meow, SubscriptionOptions } from '../src/index.ts'
import { LeaseLostError, ValidationError } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { collect } from './support/collect.ts'
import { named } from './support/named.ts'
import { seeded } from './support/random.ts'
import { rejects } from './support/rejects.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const told = ({ event, attempt }: Delivery) => `${named(event)}.${attempt}`

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 60_000 })
  await listening(meow)
})
test.after(closeAll)

/** A subscription to streams of a category of its own, which have that many events, and what it delivers. */
async function given(
  streams: Record<string, number>,
  options: Partial<SubscriptionOptions> = {},
  each: (delivery: Delivery) => void = () => {},
) {
  const [category, name] = [uniqueName('nack'), uniqueName('nack')]
  const append = async (streamId: string, count = 1) =>
    (await meow.append({ category, streamId }, Array(count).fill({ type: 'Happened', data: {} }))).events
  for (const [streamId, count] of Object.entries(streams)) await append(streamId, count)
  const subscribe = () => meow.subscription(name, { category, leaseMs: 60_000, ...options })
  const subscription = subscribe()
  const { all, has, subscription: running } = collect(subscription.deliveries(), each)
  /** The newest delivery of an event. */
  const of = (event: string) => all.findLast((delivery) => named(delivery.event) === event)!
  const position = async () => (await checkpoint(name)).position
  /** All that comes from here on. */
  const from = all.length
  return { category, name, append, subscribe, subscription, all, has, running, of, position, from }
}

const isSettled = async (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => true), new Promise((resolve) => setImmediate(() => resolve(false)))])

test('it comes again, one attempt on, with the later ones of its stream, all in order', async () => {
  const { all, has, of, running, position } = await given({ a: 4, b: 2 })
  await has(6)
  assert.equal(all.map(told), ['a0.1', 'a1.1', 'a2.1', 'a3.1', 'b0.1', 'b1.1'])
  await of('a0').ack()
  of('a1').nack()
  await has(9)
  assert.equal(all.slice(6).map(told), ['a1.2', 'a2.1', 'a3.1'])
  of('a2').nack({ error: new Error('not this one either') })
  await has(11)
  assert.equal(all.slice(9).map(told), ['a2.2', 'a3.1'])
  of('a1').nack()
  await has(14)
  assert.equal(all.slice(11).map(told), ['a1.3', 'a2.2', 'a3.1'])
  const acks = ['b1', 'a3', 'a1', 'b0', 'a2'].map((event) => of(event).ack())
  await Promise.all(acks)
  assert.is(await position(), of('b1').event.position)
  assert.is(all.length, 14)
  running.unsubscribe()
})

test('acks of deliveries that were taken back resolve, and do nothing', async () => {
  const { all, has, of, running, position, append } = await given({ a: 3, b: 1 })
  await has(4)
  const [a0, a1, a2] = [of('a0'), of('a1'), of('a2')]
  await a0.ack()
  const before = await position()
  a1.nack({ delayMs: 3_600_000 })
  await Promise.all([a1.ack(), a2.ack(), of('b0').ack()])
  a1.nack()
  a2.nack()
  await a1.park(new Error('taken back'))
  const [b1] = await append('b')
  await has(5)
  assert.is(named(all[4]!.event), named(b1!))
  await of('b1').ack()
  assert.is(await position(), before, 'the checkpoint does not move over them')
  assert.is(all.length, 5)
  running.unsubscribe()
})

test('not before delayMs', async () => {
  const { all, has, of, running } = await given({ a: 2 })
  await has(2)
  for (const delayMs of [0, 100]) {
    const begin = performance.now()
    const before = all.length
    of('a0').nack({ delayMs })
    assert.is(all.length, before, 'never at once')
    await has(before + 2)
    assert.ok(performance.now() - begin > delayMs - 3)
  }
  running.unsubscribe()
})

test('events of a nacked stream that arrive meanwhile wait until it comes again', async () => {
  const { all, has, of, running, append } = await given({ a: 1 })
  await has(1)
  of('a0').nack({ delayMs: 150 })
  await append('a', 2)
  await append('b', 1)
  await append('a', 1)
  await has(5)
  await has(6)
  const again = all.slice(1).map(told)
  assert.equal(
    again.filter((event) => event !== 'b0.1'),
    ['a0.2', 'a1.1', 'a2.1', 'a3.1'],
  )
  assert.ok(again.includes('b0.1'))
  running.unsubscribe()
})

test('nacked at once, again and again: later events of the stream are not acked before it', async () => {
  const acked: string[] = []
  const { append, running } = await given({ a: 4, b: 3 }, {}, (delivery) => {
    if (delivery.event.version % 2 === 0 && delivery.attempt < 4) return delivery.nack()
    acked.push(told(delivery))
    delivery.ack()
  })
  await append('a', 3)
  await until(() => acked.length >= 10, { what: 'all' })
  for (const [stream, count] of [
    ['a', 7],
    ['b', 3],
  ] as const) {
    assert.equal(
      acked.filter((event) => event.startsWith(stream)),
      upTo(count).map((version) => `${stream}${version}.${version % 2 ? 1 : 4}`),
    )
  }
  running.unsubscribe()
})

test('nacked again during the same call: the next delivery waits', async () => {
  const seen: string[] = []
  const { has, of, running } = await given({ a: 3 }, {}, (delivery) => {
    seen.push(told(delivery))
    if (delivery.attempt > 1 && delivery.attempt < 4) delivery.nack()
  })
  await has(3)
  of('a0').nack()
  await until(() => seen.includes('a0.4'), { what: 'the fourth attempt' })
  await until(() => seen.at(-1) === 'a2.1', { what: 'the rest' })
  assert.equal(seen, ['a0.1', 'a1.1', 'a2.1', 'a0.2', 'a0.3', 'a0.4', 'a1.1', 'a2.1'])
  running.unsubscribe()
})

test("another stream's ack behind a nacked one resolves at once; a checkpoint follows when that is through", async () => {
  const { has, of, running, position, append, all } = await given({ a: 1, b: 2 })
  await has(3)
  const early = of('b0').ack()
  assert.not(await isSettled(early), 'it waits for a0')
  of('a0').nack({ delayMs: 300 })
  await early
  await of('b1').ack()
  const [c0] = await append('c')
  await until(() => of('c0'), { what: 'c0' })
  const late = of('c0').ack()
  if (all.length === 4) await late
  await has(5)
  assert.ok((await position()) < all[0]!.event.position)
  await of('a0').ack()
  await until(async () => (await position()) === c0!.position, { what: 'the checkpoint' })
  running.unsubscribe()
})

test('nack after ack does nothing, to it or to any other', async () => {
  const { all, has, of, running, append, position } = await given({ a: 3, b: 2 })
  await has(5)
  const waiting = of('a1').ack()
  of('a1').nack()
  assert.not(await isSettled(waiting), 'a0 is not acked')
  const late = of('b0').ack()
  assert.not(await isSettled(late), 'and no nacked one holds the checkpoint back')
  await append('c')
  await has(6)
  assert.equal(all.slice(5).map(told), ['c0.1'])
  await of('a0').ack()
  await waiting
  assert.is(await position(), of('a1').event.position)
  await of('a2').ack()
  await late
  of('a0').nack()
  of('a2').nack()
  await of('b1').ack()
  await of('c0').ack()
  assert.is(await position(), of('c0').event.position)
  await append('a')
  await has(7)
  assert.equal(all.slice(5).map(told), ['c0.1', 'a3.1'])
  running.unsubscribe()
})

test('never more than maxInFlight are unacked, including nacked ones', async () => {
  const dice = seeded('window')
  let inHand = 0
  let most = 0
  const open: Delivery[] = []
  const acked: string[] = []
  const { running, append } = await given({ a: 20, b: 20, c: 20 }, { maxInFlight: 7 }, (delivery) => {
    most = Math.max(most, ++inHand)
    open.push(delivery)
  })
  await append('d', 20)
  await until(
    async () => {
      for (let count = dice.int(1, 7); count > 0 && open.length > 0; count--) {
        const i = dice.int(0, open.length - 1)
        const [delivery] = open.splice(i, 1) as [Delivery]
        inHand--
        if (dice.chance(0.7)) {
          acked.push(named(delivery.event))
          delivery.ack()
          continue
        }
        // Those of its stream that are later are taken back.
        for (let j = open.length - 1; j >= 0; j--) {
          const { event } = open[j]!
          if (event.streamId !== delivery.event.streamId || event.version < delivery.event.version) continue
          open.splice(j, 1)
          inHand--
        }
        delivery.nack({ delayMs: dice.int(0, 3) })
      }
      return acked.length >= 80
    },
    { what: 'all' },
  )
  assert.is(new Set(acked).size, 80)
  assert.is(acked.length, 80, 'what is acked does not come again')
  assert.is(most, 7)
  running.unsubscribe()
})

test('a full window delivers no more until one is acked', async () => {
  const { all, has, of, running, subscription, append } = await given({ a: 5, b: 5 }, { maxInFlight: 4 })
  await has(4)
  await append('c')
  await until(() => current(subscription.status$).inFlight === 4, { what: 'a full window' })
  assert.is(all.length, 4)
  await of('a0').ack()
  await has(5)
  assert.is(named(all[4]!.event), 'a4')
  of('a4').nack({ delayMs: 3_600_000 })
  assert.is(all.length, 5, 'a nacked one keeps its place')
  for (const event of ['a1', 'a2', 'a3']) of(event).ack()
  await has(8)
  assert.equal(all.slice(5).map(told), ['b0.1', 'b1.1', 'b2.1'])
  running.unsubscribe()
})

test('acks in any order, and of one delivery twice', async () => {
  const dice = seeded('acks')
  const { all, has, running, position } = await given({ a: 30, b: 30 }, { maxInFlight: 60 })
  await has(60)
  const rest = [...all]
  const acks: Promise<void>[] = []
  const resolved = new Set<number>()
  while (rest.length > 0) {
    const [delivery] = rest.splice(dice.int(0, rest.length - 1), 1) as [Delivery]
    const { position } = delivery.event
    acks.push(delivery.ack().then(() => void resolved.add(position)))
    if (dice.chance(0.2)) acks.push(delivery.ack())
    if (dice.chance(0.1)) await new Promise(setImmediate)
    const first = Math.min(...rest.map(({ event }) => event.position))
    for (const position of resolved)
      assert.ok(position < first, 'none resolves before all below it are acked')
  }
  await Promise.all(acks)
  assert.is(await position(), all.at(-1)!.event.position)
  running.unsubscribe()
})

test('its methods can be taken apart', async () => {
  const { all, has, running, name } = await given({ a: 2, b: 1 })
  await has(3)
  const [{ event, attempt, partition, nack }, , { park }] = all as [Delivery, Delivery, Delivery]
  assert.equal([named(event), attempt, partition], ['a0', 1, 0])
  nack()
  await park()
  await has(5)
  const { ack } = all[3]!
  const [first, second] = [ack(), ack()]
  await Promise.all([first, second, all[4]!.ack()])
  assert.equal(
    (await meow.parked(name)).map(({ event, error }) => [named(event), error]),
    [['b0', null]],
  )
  running.unsubscribe()
})

test('invalid options of nack', async () => {
  const { all, has, running } = await given({ a: 1 })
  await has(1)
  const wrong: [options: unknown, path: RegExp][] = [
    [{ delayMs: -1 }, /delayMs/],
    [{ delayMs: 1.5 }, /delayMs/],
    [{ delayMs: '1' }, /delayMs/],
    [{ delayMs: Number.NaN }, /delayMs/],
    [{ delayMs: 1e12 }, /delayMs/],
    [{ delay: 1 }, /delay/],
    [7, /options/],
  ]
  for (const [options, path] of wrong) {
    try {
      all[0]!.nack(options as object)
      assert.unreachable(`${path}`)
    } catch (error) {
      assert.instance(error, ValidationError)
      assert.match((error as ValidationError).path, path)
    }
  }
  await all[0]!.ack()
  assert.is(all.length, 1, 'it was not nacked')
  running.unsubscribe()
})

test('once the lease is lost: ack and park reject with LeaseLostError, nack does nothing', async () => {
  const sql = await pgClient()
  for (const how of ['reset', 'taken'] as const) {
    const { name, all, has, running, position } = await given({ a: 3, b: 1 })
    await has(4)
    const [a0, a1, , b0] = all as [Delivery, Delivery, Delivery, Delivery]
    await a0.ack()
    if (how === 'reset') await meow.resetSubscription(name, 'start')
    else
      await sql.query(
        `update ${storeSchema}.checkpoints set epoch = epoch + 1, owner = 'thief', lease_until = now() + interval '1 h'
         where subscription = $1`,
        [name],
      )
    const error = await rejects(a1.ack(), LeaseLostError)
    assert.equal([error.subscription, error.partition, error.code], [name, 0, 'ERR_LEASE_LOST'])
    await rejects(b0.ack(), LeaseLostError)
    await rejects(b0.park(), LeaseLostError)
    await rejects(a1.ack(), LeaseLostError)
    b0.nack()
    assert.equal(await meow.parked(name), [])
    if (how === 'reset') {
      await has(8)
      assert.equal(all.slice(4).map(told), ['a0.1', 'a1.1', 'a2.1', 'b0.1'])
      await Promise.all(all.slice(4).map(({ ack }) => ack()))
      assert.is(await position(), b0.event.position)
    } else {
      assert.is(await position(), a0.event.position)
      assert.is(all.length, 4)
    }
    running.unsubscribe()
  }
})

test('parking behind a lost lease: LeaseLostError, and nothing is parked', async () => {
  const { name, all, has, running } = await given({ a: 2 })
  await has(2)
  await meow.resetSubscription(name, { after: all[1]!.event.position })
  await rejects(all[0]!.park(new Error('too late')), LeaseLostError)
  assert.equal(await meow.parked(name), [])
  running.unsubscribe()
})

test('an event that a filter() drops is logged once, with its position and the number of events that wait for it', async () => {
  const warnings: any[] = []
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (fields: object, text: string) => void warnings.push({ ...fields, text }),
  }
  const other = await openStore({ pollIntervalMs: 60_000, logger })
  const [category, name] = [uniqueName('filter'), uniqueName('filter')]
  const append = async (type: string) =>
    (await meow.append({ category, streamId: type }, { type, data: {} })).events[0]!
  const kept = await append('Kept')
  const dropped = await append('Dropped')
  await append('Kept')
  const seen = collect(
    other
      .subscription(name, { category, leaseMs: 1_000, unackedWarningMs: 100 })
      .deliveries()
      .pipe(
        filter(({ event }) => event.type !== 'Dropped'),
        tap(({ ack }) => void ack()),
      ),
  )
  await seen.has(2)
  const begin = performance.now()
  const about = (position: number) => warnings.filter((warning) => warning.position === position)
  await until(() => about(dropped.position).length > 0, { what: 'a warning' })
  assert.ok(performance.now() - begin > 50, 'not at once')
  const [{ text, subscription, partition, streamId }] = about(dropped.position)
  assert.equal([subscription, partition, streamId], [name, 0, 'Dropped'])
  assert.match(text, `${dropped.position}`)
  // Once, while later ones are delivered and dropped; each is logged when it is its turn.
  await append('Kept')
  await seen.has(3)
  const passed = performance.now() + 400
  await until(() => performance.now() > passed, { what: 'four times as long' })
  assert.is(about(dropped.position).length, 1)
  assert.is(about(kept.position).length, 0)
  assert.is((await checkpoint(name)).position, kept.position)
  await other.close()
})

test('a replayed delivery that nobody acks is logged, too', async () => {
  const warnings: any[] = []
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (fields: object) => void warnings.push(fields),
  }
  const other = await openStore({ pollIntervalMs: 60_000, logger })
  const [category, name] = [uniqueName('filter'), uniqueName('filter')]
  const { events } = await meow.append({ category, streamId: 'a' }, { type: 'Happened', data: {} })
  let delivered = 0
  const seen = collect(
    other
      .subscription(name, { category, leaseMs: 1_000, unackedWarningMs: 2_000 })
      .deliveries()
      .pipe(tap((delivery) => ++delivered === 1 && void delivery.park())),
  )
  await seen.has(1)
  await until(async () => (await meow.parked(name)).length === 1, { what: 'it to be parked' })
  await meow.replayParked(name)
  await seen.has(2)
  await until(() => warnings.some(({ position }) => position === events[0]!.position), { what: 'a warning' })
  await other.close()
})

test.run()
