// settled() resolves as soon as subscriptions have handled or parked all that was appended before the call, Notifications wake
// it: polls are a minute apart here.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SubscriptionNotFoundError, TimeoutError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ schema: uniqueName('settled'), pollIntervalMs: 60_000 })
await listening(meow)
const other = await openStore({ schema: uniqueName('settled') })
test.after(closeAll)

const timeoutMs = 60_000
const append = (category: string, type = 'T', streamId = 'a') =>
  meow.append({ category, streamId }, { type, data: 1 })

test('without subscriptions, and without events, at once', async () => {
  await other.settled()
  await other.append({ category: 'a', streamId: 'a' }, { type: 'T', data: 1 })
  await other.settled()
})

test('a subscription that this process has just started counts, although it is not registered yet', async () => {
  const [category, name] = [uniqueName('settled'), uniqueName('settled')]
  await append(category)
  let handled = 0
  const worker = meow.subscription(name, { category }).process(() => {
    handled++
  })
  await meow.settled({ timeoutMs })
  assert.is(handled, 1)
  await worker.stop()
})

test('it waits for the last event of every partition, and not for other events', async () => {
  const [category, name] = [uniqueName('settled'), uniqueName('settled')]
  const handled: number[] = []
  let open = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const worker = meow.subscription(name, { category, partitions: 8, types: ['T'] }).process(
    async ({ position, streamId }) => {
      if (streamId === 's0') await gate
      handled.push(position)
    },
    { concurrency: 16 },
  )
  await worker.ready
  for (let n = 0; n < 16; n++) await append(category, 'T', `s${n}`)
  await append(category, 'Other')
  await append(uniqueName('other'))
  let isSettled = false
  const settled = meow.settled({ names: [name], timeoutMs }).then(() => {
    isSettled = true
  })
  await until(() => handled.length === 15, { what: 'all but one' })
  assert.not.ok(isSettled)
  open()
  await settled
  assert.is(handled.length, 16)
  await meow.settled({ names: [name] })
  await worker.stop()
})

test('it waits for each subscription, also for one that selects everything', async () => {
  const category = uniqueName('settled')
  const handled = { one: 0, every: 0 }
  const [one, every] = [uniqueName('one'), uniqueName('every')]
  await append(category)
  const names = [one, every]
  const workers = [
    meow.subscription(one, { category, streamId: 'a' }).process(() => void handled.one++),
    meow.subscription(every, {}).process((event) => void (event.category === category && handled.every++)),
  ]
  await meow.settled({ names, timeoutMs })
  assert.equal(handled, { one: 1, every: 1 })
  await Promise.all(workers.map((worker) => worker.stop()))
  await append(category)
  const error = await rejects(meow.settled({ names, timeoutMs: 50 }), TimeoutError)
  assert.ok(names.some((name) => error.message.includes(`"${name}"`)))
  await rejects(meow.settled({ timeoutMs: 50 }), TimeoutError)
})

test('parked events count as handled; events that are being replayed do not', async () => {
  const [category, name] = [uniqueName('settled'), uniqueName('settled')]
  let fails = true
  let open = () => {}
  let gate = Promise.resolve()
  const worker = meow.subscription(name, { category }).process(
    async () => {
      await gate
      if (fails) throw new Error('poison')
    },
    { retry: { maxAttempts: 1 } },
  )
  await worker.ready
  await append(category)
  await meow.settled({ names: [name], timeoutMs })
  assert.is((await meow.parked(name)).length, 1)
  fails = false
  gate = new Promise((resolve) => {
    open = resolve
  })
  await meow.replayParked(name)
  await rejects(meow.settled({ names: [name], timeoutMs: 50 }), TimeoutError)
  open()
  await meow.settled({ names: [name], timeoutMs })
  assert.equal(await meow.parked(name), [])
  await worker.stop()
})

test('an event that an open append holds back is waited for', async () => {
  const [category, name] = [uniqueName('settled'), uniqueName('settled')]
  const worker = meow.subscription(name, { category }).process(() => {})
  await worker.ready
  await meow.use((db) =>
    db.withClient(async (client) => {
      await client.query('begin')
      await meow.append({ category, streamId: 'open' }, { type: 'T', data: 1 }, { client })
      await append(category)
      await rejects(meow.settled({ names: [name], timeoutMs: 50 }), TimeoutError)
      await client.query('rollback')
    }),
  )
  await meow.settled({ names: [name], timeoutMs })
  await worker.stop()
})

test('unknown names, wrong options, an abort', async () => {
  const none = uniqueName('none')
  assert.is((await rejects(meow.settled({ names: [none] }), SubscriptionNotFoundError)).subscription, none)
  await meow.settled({ names: [] })
  for (const [options, path] of [
    [{ timeoutMs: 0 }, 'options.timeoutMs'],
    [{ names: [''] }, 'options.names[0]'],
    [{ name: 'a' }, 'options.name'],
  ] as const)
    assert.is((await rejects(meow.settled(options as never), ValidationError)).path, path)
  const name = uniqueName('settled')
  const worker = meow.subscription(name, { category: name }).process(() => {})
  await worker.ready
  await worker.stop()
  await append(name)
  const reason = new Error('enough')
  assert.is(
    await meow.settled({ names: [name], signal: AbortSignal.abort(reason) }).catch((error) => error),
    reason,
  )
})

test.run()
