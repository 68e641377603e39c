// resetSubscription() and deleteSubscription() take a subscription away from its executors.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { From, SubscriptionInfo } from '../src/index.ts'
import { SubscriptionNotFoundError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import type { SqlExecutor } from './support/sql-executor.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
await sql.query(`set search_path = ${storeSchema}`)
test.after(closeAll)

const events = [1, 2, 3].map((data) => ({ type: 'T', data }))

async function info(name: string): Promise<SubscriptionInfo | undefined> {
  return (await meow.subscriptions()).find((one) => one.name === name)
}

/** The notifications of a channel, received on a connection of its own. */
async function listen({ client }: SqlExecutor, channelOf: string, name: string): Promise<string[]> {
  const { rows } = await client.query(`select ${channelOf}($1) as channel`, [name])
  const heard: string[] = []
  client.on('notification', ({ channel }) => channel === rows[0].channel && heard.push(channel))
  await client.query(`listen ${client.escapeIdentifier(rows[0].channel)}`)
  return heard
}

test('to the start, the end, after a position: each partition goes on there', async () => {
  const [name, category] = [uniqueName('reset'), uniqueName('reset')]
  await createSubscription(name, { categories: [category], partitions: 2, position: 3 })
  const { position } = await meow.append({ category, streamId: 'a' }, events)
  await meow.append({ category: uniqueName('other'), streamId: 'a' }, events)
  const positions = async () => (await info(name))!.partitions.map(({ position }) => position)
  const end = (await meow.read({ category })).horizon
  assert.ok(end > position)
  const places: [From, number][] = [
    ['start', 0],
    ['end', end],
    [{ after: 0 }, 0],
    [{ after: position }, position],
  ]
  for (const [to, expected] of places) {
    await meow.resetSubscription(name, to)
    assert.equal(await positions(), [expected, expected], JSON.stringify(to))
  }
})

test('the end is the horizon of the selection, below events that an open append holds back', async () => {
  const category = uniqueName('reset')
  const names = { own: uniqueName('own'), other: uniqueName('other'), all: uniqueName('all') }
  await createSubscription(names.own, { categories: [category] })
  await createSubscription(names.other, { categories: [uniqueName('other')] })
  await createSubscription(names.all)
  const { position } = await meow.append({ category, streamId: 'a' }, events)
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'open' }, events, { client })
  const last = await meow.append({ category, streamId: 'b' }, events)
  const found = []
  for (const name of Object.values(names)) {
    await meow.resetSubscription(name, 'end')
    found.push((await info(name))!.position)
  }
  assert.equal(found, [position, last.position, position])
  await client.query('rollback')
})

test('takes the leases away, forgets the parked events, and wakes the executors; the old owner can’t write any more', async () => {
  const [name, category] = [uniqueName('reset'), uniqueName('reset')]
  const { events: recorded } = await meow.append({ category, streamId: 'a' }, events)
  await createSubscription(name, { categories: [category], partitions: 2 })
  const owner = await sqlExecutor(name)
  for (const partition of [0, 1]) await owner.advance(recorded[2]!.position, partition)
  await owner.park(recorded[0]!)
  const wakeUps = await listen(owner, 'wake_channel', name)
  await meow.resetSubscription(name, 'start')
  const { partitions, parked } = (await info(name))!
  const free = { position: 0, owner: null, leaseUntil: null }
  assert.equal(partitions, [
    { partition: 0, ...free },
    { partition: 1, ...free },
  ])
  assert.is(parked, 0)
  await until(() => wakeUps.length > 0, { what: 'the wake-up' })
  assert.is(await owner.advance(99), false)
  assert.is(await owner.park(recorded[1]!), false)
  assert.is((await info(name))!.position, 0)
  const old = new Map(owner.epochs)
  await owner.claim()
  for (const [partition, epoch] of owner.epochs) assert.ok(epoch > old.get(partition)!)
  assert.is(await owner.advance(1), true, 'and goes on from there')
})

test('waits for a running transactional handler, whose transaction is then rolled back', async () => {
  const [name, category] = [uniqueName('reset'), uniqueName('reset')]
  const { events: recorded } = await meow.append({ category, streamId: 'a' }, events)
  // A deadlock would wait for ever here.
  const url = new URL(directUrl())
  url.searchParams.set('options', '-c deadlock_timeout=1h')
  const patient = await openStore({ connectionString: url.href, listen: false, queryTimeoutMs: 10_000 })
  for (const [i, call] of [
    () => patient.resetSubscription(name, 'start'),
    () => patient.deleteSubscription(name),
  ].entries()) {
    if (i === 0) await createSubscription(name, { categories: [category] })
    const owner = await sqlExecutor(name, { owner: `host:${i}` })
    await owner.client.query(`set deadlock_timeout = '1h'; begin`)
    await owner.advance(recorded[0]!.position)
    const calling = call()
    await until(
      async () => {
        const { rows } = await sql.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query ~ '(reset|delete)_subscription'`,
        )
        return rows.length > 0
      },
      { what: 'the call to wait for the row' },
    )
    // The row of the parked stream refers to the subscription, which is being changed.
    assert.is(await owner.park(recorded[1]!), true)
    await owner.client.query('commit')
    await calling
    const { rows } = await sql.query('select from parked_events where subscription = $1', [name])
    assert.is(rows.length, 0)
    assert.is((await info(name))?.position, i === 0 ? 0 : undefined)
    await owner.leave()
  }
})

test('deleted: nothing is left, executors end with an error, and the name is free again', async () => {
  const [name, category] = [uniqueName('delete'), uniqueName('delete')]
  const { events: recorded } = await meow.append({ category, streamId: 'a' }, events)
  await createSubscription(name, { categories: [category], partitions: 2 })
  const owner = await sqlExecutor(name)
  await owner.park(recorded[0]!)
  const wakeUps = await listen(owner, 'wake_channel', name)
  await meow.deleteSubscription(name)
  await until(() => wakeUps.length > 0, { what: 'the wake-up' })
  assert.is(await info(name), undefined)
  for (const table of ['checkpoints', 'executors', 'parked_events']) {
    const { rows } = await sql.query(`select from ${table} where subscription = $1`, [name])
    assert.is(rows.length, 0, table)
  }
  assert.is(await owner.advance(5), false)
  assert.is(((await rejects(owner.claim(), Error)) as Error & { code: string }).code, 'MW011')
  await createSubscription(name, { categories: [uniqueName('other')] })
  assert.is((await info(name))!.position, 0)
})

test('locks that were taken crosswise: tried again, as often as it takes', async () => {
  const name = uniqueName('reset')
  await createSubscription(name, { partitions: 2 })
  const [one, other] = [await pgClient(), await pgClient()]
  const lock = (partition: number) =>
    `set search_path = ${storeSchema}; set deadlock_timeout = '1h';
     select from checkpoints where subscription = '${name}' and partition = ${partition} for update`
  await one.query(`begin; ${lock(1)}`)
  await other.query(`begin; ${lock(0)}`)
  const reset = meow.resetSubscription(name, { after: 8 })
  const waits = async (query: string) => {
    const { rows } = await sql.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and query ~ $1`,
      [query],
    )
    return rows.length > 0
  }
  await until(() => waits('reset_subscription'), { what: 'the reset to wait for partition 0' })
  await other.query('commit')
  // Now it holds partition 0 and waits for 1, whose holder waits for 0: after a second the server cancels the reset.
  const crossed = one.query(lock(0))
  await crossed
  await one.query('commit')
  await reset
  assert.is((await info(name))!.position, 8)
})

test('invalid input is refused, and so is an unknown name', async () => {
  const name = uniqueName('nobody')
  for (const to of ['start', 'end', { after: 1 }] as const) {
    assert.is((await rejects(meow.resetSubscription(name, to), SubscriptionNotFoundError)).subscription, name)
  }
  assert.is((await rejects(meow.deleteSubscription(name), SubscriptionNotFoundError)).subscription, name)
  for (const to of [undefined, 'begin', 5, { after: -1 }, { after: 0.5 }, { until: 1 }]) {
    const { path } = await rejects(meow.resetSubscription(name, to as From), ValidationError)
    assert.match(path, /^to/)
  }
  assert.is((await rejects(meow.resetSubscription('', 'start'), ValidationError)).path, 'name')
  assert.is((await rejects(meow.deleteSubscription(null as unknown as string), ValidationError)).path, 'name')
})

test.run()
