// The lag counts all committed events, also those that an open append holds back; heldBack says how many these are, and since
// when.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SubscriptionStatus } from '../src/index.ts'
import { heldBackBy } from '../src/subscriptions/admin/stallers.ts'
import { collect } from './support/collect.ts'
import { current } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 200 })
test.after(closeAll)
const event = { type: 'Happened', data: {} }
const info = async (name: string, exact = false) => (await meow.subscriptions({ names: [name], exact }))[0]!

/** An append that stays open. */
async function openAppend(category: string) {
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'open' }, event, { client })
  return client
}

test('an open append holds back 50 events: lag and heldBack in the list, the status and ask; and then 0', async () => {
  const [name, other] = [uniqueName('held'), uniqueName('free')]
  for (const category of [name, other]) await meow.append({ category, streamId: '1' }, event)
  const subscription = meow.subscription(name, { category: name, leaseMs: 900 })
  const seen = collect<SubscriptionStatus>(subscription.status$)
  const handled: number[] = []
  const worker = subscription.process(({ position }) => void handled.push(position))
  const free = meow.subscription(other, { category: other }).process(() => {})
  await until(() => handled.length === 1, { what: 'the first' })
  const client = await openAppend(name)
  for (let n = 0; n < 50; n++) await meow.append({ category: name, streamId: '1' }, event)
  await meow.append({ category: other, streamId: '1' }, event)
  for (const exact of [false, true]) {
    const told = await info(name, exact)
    assert.equal([told.lag, told.lagIsEstimate, told.heldBack.events], [50, false, 50])
    assert.ok(told.heldBack.seconds > 0 && told.heldBack.seconds < 600)
  }
  assert.is((await info(other)).heldBack.events, 0)
  await until(() => current(subscription.status$).heldBack.events === 50, { what: 'the status' })
  assert.is(current(subscription.status$).lag, 50)
  assert.is(handled.length, 1)
  await client.query('commit')
  await until(() => handled.length === 52, { what: 'all of them' })
  await until(() => current(subscription.status$).lag === 0, { what: 'the end of the lag' })
  assert.equal(current(subscription.status$).heldBack, { events: 0, seconds: 0 })
  await until(async () => (await info(name)).lag === 0, { what: 'the checkpoint' })
  assert.equal((await info(name)).heldBack, { events: 0, seconds: 0 })
  seen.subscription.unsubscribe()
  await Promise.all([worker.stop(), free.stop()])
})

test('a subscription without an executor: events before the open append are lag, and not held back', async () => {
  const name = uniqueName('held')
  await meow
    .subscription(name, { category: name, types: ['Happened'] })
    .process(() => {})
    .stop()
  for (let n = 0; n < 3; n++) await meow.append({ category: name, streamId: `${n}` }, event)
  const client = await openAppend(name)
  for (let n = 0; n < 4; n++) await meow.append({ category: name, streamId: `${n}` }, event)
  await meow.append({ category: name, streamId: '1' }, { type: 'Other', data: {} })
  const told = await info(name)
  assert.equal([told.lag, told.heldBack.events], [7, 4])
  await client.query('rollback')
  assert.equal([(await info(name)).lag, (await info(name)).heldBack.events], [7, 0])
})

test('an open append to a new category holds back only readers of all events, and heldBack says so', async () => {
  const [mine, all] = [uniqueName('held'), uniqueName('held')]
  await meow.append({ category: mine, streamId: '1' }, event)
  await meow
    .subscription(mine, { category: mine })
    .process(() => {})
    .stop()
  await meow
    .subscription(all, {})
    .process(() => {})
    .stop()
  const client = await openAppend(uniqueName('new'))
  await meow.append({ category: mine, streamId: '1' }, event)
  assert.is((await info(mine)).heldBack.events, 0)
  assert.is((await info(all)).heldBack.events, 1)
  const [staller] = await meow.stallers()
  assert.equal([staller!.category, staller!.everyCategory], [null, false])
  assert.match(heldBackBy(staller!), /the store as a whole/)
  await client.query('rollback')

  const raw = await pgClient()
  await raw.query('begin')
  await raw.query(
    `insert into ${storeSchema}.events (version, category, stream_id, type, data) values (0, $1, 'raw', 'T', '1')`,
    [uniqueName('raw')],
  )
  await meow.append({ category: mine, streamId: '1' }, event)
  assert.is((await info(mine)).heldBack.events, 1)
  const [every] = await meow.stallers()
  assert.equal([every!.category, every!.everyCategory], [null, true])
  assert.is(heldBackBy(every!), 'every category')
  await raw.query('rollback')
})

test.run()
