// While a stream waits for its next attempt, its later events wait, too, and other streams go on.
import { filter, firstValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent, SubscriptionOptions } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { holdingPool } from './support/holding-pool.ts'
import { ownSubscription, soon } from './support/own-subscription.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const randomNumber = Math.random

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 60_000 })
  await listening(meow)
})
test.after.each(() => {
  Math.random = randomNumber
})
test.after(closeAll)
const given = (options?: Partial<SubscriptionOptions>) => ownSubscription(meow, options)

for (const concurrency of [1, 4]) {
  test(`while one stream waits for its next attempt, the others go on, concurrency ${concurrency}`, async () => {
    Math.random = () => 0.999
    const { name, append, process } = given()
    await append('before', 3)
    const bad = await append('bad', 3)
    for (const stream of upTo(5)) await append(`${stream}`, 4)
    const handled: RecordedEvent[] = []
    const attempts: number[] = []
    const worker = process(
      async (event, { attempt }) => {
        if (event.streamId !== 'bad') return handled.push(event)
        attempts.push(event.version)
        throw new Error(`no ${attempt}`)
      },
      { concurrency, retry: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
    )
    await until(() => handled.length === 23, { what: 'the other streams' })
    await append('bad', 2)
    await append('later', 2)
    await until(() => handled.length === 25, { what: 'the later events' })
    assert.equal(attempts, [0], 'its later events wait')
    for (const stream of ['before', '0', '4', 'later']) {
      const versions = handled.filter(({ streamId }) => streamId === stream).map(({ version }) => version)
      assert.equal(versions, upTo(versions.length), stream)
    }
    const { position } = await checkpoint(name)
    assert.ok(position < bad[0]!.position, 'the checkpoint stays below')
    assert.equal(await meow.parked(name), [])

    await worker.stop() // during the pause of an hour
    const next: string[] = []
    const again = process((event, { attempt }) => {
      if (event.streamId === 'bad') next.push(`${event.version}.${attempt}`)
    })
    await until(() => next.length === 5, { what: 'the failed event to come again' })
    assert.equal(next, ['0.2', '1.1', '2.1', '3.1', '4.1'], 'the number of attempts is kept')
    await again.stop()
  })

  test(`the later events of a waiting stream follow it in order, concurrency ${concurrency}`, async () => {
    const { append, process, past, name } = given({ maxInFlight: 20 })
    const tried = new Map<string, string[]>(upTo(6).map((n) => [`${n}`, []]))
    const worker = process(
      async ({ streamId, version }, { attempt }) => {
        tried.get(streamId)!.push(`${version}.${attempt}`)
        if (version % 3 === 0 && attempt < 3) throw new Error('no')
      },
      { concurrency, retry: soon },
    )
    let last: RecordedEvent | undefined
    for (const _ of upTo(5)) {
      for (const streamId of tried.keys()) last = (await append(streamId, 2)).at(-1)
    }
    await past(last!)
    const expected = upTo(10).flatMap((version) =>
      (version % 3 === 0 ? [1, 2, 3] : [1]).map((attempt) => `${version}.${attempt}`),
    )
    for (const [streamId, seen] of tried) assert.equal(seen, expected, `stream ${streamId}`)
    assert.equal(await meow.parked(name), [])
    await worker.stop()
  })
}

test('if a worker stops while one stream waits, events of other streams are not handled again', async () => {
  const { append, process, past } = given()
  await append('bad', 2)
  for (const stream of upTo(20)) await append(`${stream}`, 2)
  const handled: string[] = []
  const fails = process(
    ({ streamId, version }) => {
      if (streamId === 'bad') throw new Error('not yet')
      handled.push(`${streamId}/${version}`)
    },
    { retry: { maxAttempts: 9, minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  Math.random = () => 0.999
  await until(() => handled.length === 40, { what: 'the other streams' })
  await fails.stop()
  const next = process(({ streamId, version }) => handled.push(`${streamId}/${version}`))
  const [last] = await append('bad', 1)
  await past(last!)
  // The stream was parked: the checkpoint passes its events before its replay has handled them.
  await until(() => handled.length >= 43, { what: 'the stream that waited' })
  await next.stop()
  assert.is(handled.length, 43)
  assert.is(new Set(handled).size, 43)
})

test('a new event that arrives while the replay of its stream ends follows at once, without another checkpoint', async () => {
  const { category, name, append, process } = given()
  const [, behind] = await append('bad', 2)
  await append('good', 1)
  const handled: string[] = []
  const fails = process(
    ({ streamId }) => {
      if (streamId === 'bad') throw new Error('not yet')
      handled.push(streamId)
    },
    { retry: { maxAttempts: 9, minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  Math.random = () => 0.999
  await until(() => handled.length === 1, { what: 'the other stream' })
  await fails.stop()
  const { pool, hold } = holdingPool()
  const store = await openStore({ pool, pollIntervalMs: 60_000 })
  await listening(store)
  const lastRead = hold('between $3 and $4', ([, , from]) => from > behind!.position)
  const versions: number[] = []
  const subscription = store.subscription(name, { category, leaseMs: 60_000 })
  const worker = subscription.process(({ version }) => versions.push(version))
  await lastRead.some()
  const [last] = await append('bad', 1)
  await firstValueFrom(
    subscription.status$.pipe(filter(({ state, horizon }) => state === 'live' && horizon >= last!.position)),
  )
  lastRead.release() // the new event is read and skipped, because its stream is still parked
  await until(() => versions.length === 3, { what: 'the new event' })
  assert.equal(versions, [0, 1, 2])
  await worker.stop()
  await store.close()
  await pool.end()
})

test('waiting streams keep others back only if they fill the ack window', async () => {
  Math.random = () => 0.999
  const { append, process } = given({ maxInFlight: 10 })
  for (const stream of upTo(9)) await append(`bad ${stream}`, 1)
  await append('good', 100)
  let handled = 0
  const worker = process(
    ({ streamId }) => {
      if (streamId !== 'good') throw new Error('no')
      handled++
    },
    { retry: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  await until(() => handled === 100, { what: 'all events of the other stream' })
  await worker.stop()
})

test.run()
