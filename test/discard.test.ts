// discardParked() skips the failed event for ever, delivers the events that wait for it, and records in the store what was
// discarded and why.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { SubscriptionNotFoundError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
await sql.query(`set search_path = ${storeSchema}`)
test.after(closeAll)

const reason = 'the address never existed, ticket 4711'

/** A parked stream `a` with three events, whose second one fails, and a stream `b`. */
async function poisoned(transactional: boolean, partitions = 1) {
  const name = uniqueName('discard')
  const handled: string[] = []
  let attempts = 0
  const start = (store: Meow = meow) =>
    store.subscription(name, { category: name, partitions }).process(
      ({ streamId, data }) => {
        if (data === 'poison') {
          attempts++
          throw new Error('boom')
        }
        handled.push(`${streamId}${data}`)
      },
      { transactional, retry: { maxAttempts: 2, minDelayMs: 1 }, outage: false },
    )
  const worker = start()
  const events = []
  for (const [streamId, data] of [
    ['a', 1],
    ['a', 'poison'],
    ['b', 1],
    ['a', 3],
  ] as const)
    events.push(...(await meow.append({ category: name, streamId }, { type: 'T', data })).events)
  await until(async () => (await meow.parked(name))[0]?.attempts === 2 && handled.includes('b1'), {
    what: 'the parked stream',
  })
  return { name, handled, events, worker, start, attempts: () => attempts }
}

for (const transactional of [false, true])
  test(`the event is skipped, and the later ones are handled${transactional ? ', by a transactional handler' : ''}`, async () => {
    const { name, handled, events, worker, attempts } = await poisoned(transactional)
    const tried = attempts()
    const { error } = (await meow.parked(name))[0]!
    assert.is(await meow.discardParked(name, { streamId: 'a', reason }), 1)
    await until(() => handled.includes('a3'), { what: 'the event behind it' })
    await until(async () => (await meow.parked(name)).length === 0, { what: 'the end of the replay' })
    await meow.append({ category: name, streamId: 'a' }, { type: 'T', data: 4 })
    await until(() => handled.includes('a4'), { what: 'a new event' })
    // A transaction that was rolled back has handled some of them before.
    assert.equal([...new Set(handled)].sort(), ['a1', 'a3', 'a4', 'b1'])
    assert.ok(handled.lastIndexOf('a3') < handled.indexOf('a4'))
    assert.is(attempts(), tried)
    await meow.settled({ names: [name], timeoutMs: 60_000 })

    const [discarded, ...others] = await meow.discarded(name)
    assert.equal(others, [])
    const { rows } = await sql.query('select current_user as who')
    const { discardedAt, ...rest } = discarded!
    assert.equal(rest, { event: events[1]!, attempts: 2, error, reason, discardedBy: rows[0].who })
    assert.ok(Math.abs(discardedAt.getTime() - Date.now()) < 3_600_000)
    assert.is((await meow.load({ category: name, streamId: 'a' })).length, 4, 'it stays in its stream')
    await worker.stop()
    await meow.deleteSubscription(name)
    assert.is((await meow.discarded(name)).length, 1, 'kept')
  })

test('without an executor: the next one skips the event, even if it starts below it', async () => {
  const { name, handled, worker, start, attempts } = await poisoned(false)
  await worker.stop()
  const tried = attempts()
  // As if another stream had held the checkpoint back.
  await sql.query('update checkpoints set position = 0 where subscription = $1', [name])
  assert.is(await meow.discardParked(name, { streamId: 'a', reason }), 1)
  assert.equal(
    (await meow.parked(name)).map(({ event }) => event.data),
    [3],
  )
  assert.is((await meow.subscriptions({ names: [name] }))[0]!.parked, 1)
  const next = start()
  await until(async () => handled.length === 5 && (await meow.parked(name)).length === 0, {
    what: 'the replay',
  })
  assert.equal(handled.slice(2).sort(), ['a1', 'a3', 'b1'])
  assert.is(attempts(), tried)
  await next.stop()
})

test('it fails again: the next event of the stream is parked, and can be discarded, too', async () => {
  const { name, handled, worker } = await poisoned(false)
  await meow.append({ category: name, streamId: 'a' }, [
    { type: 'T', data: 'poison' },
    { type: 'T', data: 5 },
  ])
  assert.is(await meow.discardParked(name, { streamId: 'a', reason }), 3)
  await until(async () => (await meow.parked(name))[0]?.attempts === 2, { what: 'the second one' })
  assert.is(await meow.discardParked(name, { streamId: 'a', reason: 'again' }), 1)
  await until(() => handled.includes('a5'), { what: 'the rest' })
  assert.equal(
    (await meow.discarded(name)).map(({ reason }) => reason),
    ['again', reason],
  )
  assert.is((await meow.discarded(name, { limit: 1 })).length, 1)
  await worker.stop()
})

test('reset to an earlier position delivers it again', async () => {
  const { name, worker, attempts } = await poisoned(false)
  await meow.discardParked(name, { streamId: 'a', reason })
  await until(async () => (await meow.parked(name)).length === 0, { what: 'the replay' })
  const tried = attempts()
  await meow.resetSubscription(name, 'start')
  await until(() => attempts() > tried, { what: 'the event' })
  await worker.stop()
})

test('refused: no such stream, one that is being replayed, one of several categories, no reason', async () => {
  const { name, worker } = await poisoned(false)
  const path = async (options: object) =>
    (await rejects(meow.discardParked(name, options as never), ValidationError)).path
  for (const [options, wrong] of [
    [{ streamId: 'b', reason }, 'options.streamId'],
    [{ streamId: 'a', reason, category: 'other' }, 'options.streamId'],
    [{ streamId: 'a' }, 'options.reason'],
    [{ streamId: 'a', reason: '' }, 'options.reason'],
    [{ streamId: 'a', reason: ' \n' }, 'options.reason'],
    [{ reason }, 'options.streamId'],
    [{ streamId: 'a', reason, force: true }, 'options.force'],
    [undefined, 'options'],
  ] as [object, string][])
    assert.is(await path(options), wrong)
  const none = uniqueName('none')
  const error = await rejects(meow.discardParked(none, { streamId: 'a', reason }), SubscriptionNotFoundError)
  assert.is(error.subscription, none)
  await worker.stop()
  await meow.replayParked(name)
  assert.is(await path({ streamId: 'a', reason }), 'options.streamId')
  assert.equal(await meow.discarded(name), [])

  const [wide, one, two] = [uniqueName('wide'), uniqueName('one'), uniqueName('two')]
  await createSubscription(wide, { categories: [one, two].sort() })
  const executor = await sqlExecutor(wide)
  for (const category of [one, two]) {
    const { events } = await meow.append({ category, streamId: 'a' }, { type: 'T', data: 1 })
    await executor.park(events[0]!, { attempts: 1, error: 'boom' })
  }
  const ambiguous = await rejects(meow.discardParked(wide, { streamId: 'a', reason }), ValidationError)
  assert.is(ambiguous.path, 'options.category')
  assert.ok(ambiguous.message.includes(one) && ambiguous.message.includes(two))
  assert.is(await meow.discardParked(wide, { streamId: 'a', reason, category: one }), 0)
  assert.equal(
    (await meow.discarded(wide)).map(({ event }) => event.category),
    [one],
  )
})

test('an erasure blanks the error', async () => {
  const { name, worker } = await poisoned(false)
  await meow.discardParked(name, { streamId: 'a', reason })
  await meow.eraseStream({ category: name, streamId: 'a' })
  const [discarded] = await meow.discarded(name)
  assert.equal([discarded!.error, discarded!.reason, discarded!.event.data], [null, reason, {}])
  await worker.stop()
})

test.run()
