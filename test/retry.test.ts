// A handler that fails is called again after a pause, and its event is parked after the last attempt.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../src/core/clock.ts'
import { parse } from '../src/core/validate.ts'
import type { Meow, SubscriptionOptions } from '../src/index.ts'
import { TimeoutError, ValidationError } from '../src/index.ts'
import { processOptionsSchema } from '../src/subscriptions/options.ts'
import { retryPause } from '../src/subscriptions/retry.ts'
import { gate } from './support/gate.ts'
import { ownSubscription, soon } from './support/own-subscription.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
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

test('attempts are counted, and the event is parked after maxAttempts', async () => {
  const { name, append, process, past } = given()
  const [, last] = await append('a', 2)
  const seen: [version: number, attempt: number][] = []
  const worker = process(
    ({ version }, { attempt }) => {
      seen.push([version, attempt])
      throw new Error(`attempt ${attempt}`)
    },
    { retry: { ...soon, maxAttempts: 4 } },
  )
  await past(last!)
  assert.equal(seen, [
    [0, 1],
    [0, 2],
    [0, 3],
    [0, 4],
  ])
  const [parked] = await meow.parked(name)
  assert.is(parked!.attempts, 4)
  assert.match(parked!.error!, /^Error: attempt 4\n +at /)
  await worker.stop()
})

test('ten attempts by default, or as many as the option says', async () => {
  for (const [maxAttempts, expected] of [
    [undefined, 10],
    [1, 1],
  ] as const) {
    const { append, process, past } = given()
    const [event] = await append('a', 1)
    let attempts = 0
    const retry = maxAttempts === undefined ? soon : { ...soon, maxAttempts }
    const worker = process(() => Promise.reject(new Error(`${++attempts}`)), { retry })
    await past(event!)
    assert.is(attempts, expected)
    await worker.stop()
  }
})

test('an event whose handler succeeds in the end is acked; each event has its own number of attempts', async () => {
  const { append, process, past, name } = given()
  const events = await append('a', 3)
  const seen: string[] = []
  const worker = process(
    async ({ version }, { attempt }) => {
      seen.push(`${version}.${attempt}`)
      if (version !== 1 && attempt < 3) throw new Error('not yet')
    },
    { retry: { ...soon, maxAttempts: 3 } },
  )
  await past(events[2]!)
  assert.equal(seen, ['0.1', '0.2', '0.3', '1.1', '2.1', '2.2', '2.3'])
  assert.equal(await meow.parked(name), [])
  await worker.stop()
})

test('pauses: the upper limit grows fourfold up to maxDelayMs, and all values above half of it are equally likely', () => {
  const retry = { maxAttempts: 99, minDelayMs: 100, maxDelayMs: 3_000 }
  const draws = 4_000
  for (const [i, ceiling] of [100, 400, 1_600, 3_000, 3_000].entries()) {
    const pauses = upTo(draws).map(() => retryPause(i + 1, retry, systemClock))
    assert.ok(
      pauses.every((pause) => pause >= ceiling / 2 && pause < ceiling),
      `attempt ${i + 1}: from ${ceiling / 2} to ${ceiling}`,
    )
    for (const tenth of upTo(10)) {
      const share =
        pauses.filter((pause) => Math.floor((2 * pause - ceiling) * (10 / ceiling)) === tenth).length /
        (draws / 10)
      // 400 are expected, with a standard deviation of 19.
      assert.ok(Math.abs(share - 1) < 0.35, `attempt ${i + 1}, tenth ${tenth}: ${share} of its share`)
    }
  }
})

test('pauses: with the defaults, all attempts together take one to three minutes', () => {
  const { retry } = parse(processOptionsSchema, {}, 'options')
  const total = (random: number) =>
    upTo(retry.maxAttempts - 1).reduce(
      (sum, i) => sum + retryPause(i + 1, retry, { ...systemClock, random: () => random }),
      0,
    )
  assert.ok(total(0) > 60_000, `at least ${total(0)} ms`)
  assert.ok(total(1) < 180_000, `at most ${total(1)} ms`)
})

test('pauses: there may be none, and a very high number of attempts does no harm', () => {
  const none = { maxAttempts: 1e9, minDelayMs: 0, maxDelayMs: 0 }
  assert.is(retryPause(1, none, systemClock), 0)
  assert.is(retryPause(5_000, { ...none, maxDelayMs: 1_000 }, systemClock), 0)
  for (const _ of upTo(100))
    assert.ok(retryPause(5_000, { ...none, minDelayMs: 1, maxDelayMs: 10 }, systemClock) < 10)
})

test('an event comes again after its pause, and not before', async () => {
  Math.random = () => 0.999
  const { append, process, past } = given()
  const [event] = await append('a', 1)
  const times: number[] = []
  const worker = process(
    () => {
      times.push(performance.now())
      throw new Error('no')
    },
    { retry: { maxAttempts: 5, minDelayMs: 40, maxDelayMs: 100 } },
  )
  await past(event!)
  await worker.stop()
  const pauses = times.slice(1).map((time, i) => time - times[i]!)
  assert.is(pauses.length, 4)
  for (const [i, least] of [40, 80, 100, 100].entries()) {
    assert.ok(pauses[i]! > least - 3, `pause ${i + 1}: ${pauses[i]} ms`)
  }
})

test('timeoutMs: a handler that takes longer fails, and its signal aborts', async () => {
  for (const ending of ['gives up', 'never ends'] as const) {
    const { name, append, process, past } = given()
    const [, slow, quick] = await append('a', 3)
    const signals: AbortSignal[] = []
    const worker = process(
      async ({ version }, { signal }) => {
        assert.not(signal.aborted)
        if (version !== slow!.version) return
        signals.push(signal)
        await new Promise((_, reject) => {
          if (ending === 'gives up') signal.addEventListener('abort', () => reject(new Error('gave up')))
        })
      },
      { timeoutMs: 20, retry: { ...soon, maxAttempts: 2 } },
    )
    await past(quick!)
    assert.is(signals.length, 2, ending)
    for (const { aborted, reason } of signals) {
      assert.ok(aborted)
      assert.instance(reason, TimeoutError)
      assert.is(reason.timeoutMs, 20)
    }
    const parked = await meow.parked(name)
    assert.equal(
      parked.map(({ event, attempts }) => [event.version, attempts]),
      [
        [1, 2],
        [2, 0],
      ],
    )
    assert.match(parked[0]!.error!, /^TimeoutError: /)
    await worker.stop()
  }
})

test('an attempt is not counted if the handler gives up because of stop()', async () => {
  for (const timeoutMs of [undefined, 60_000]) {
    const { name, append, process, past } = given()
    const events = await append('a', 2)
    const seen: number[] = []
    for (const _ of upTo(3)) {
      const begun = gate()
      const worker = process(
        async (_, { attempt, signal }) => {
          seen.push(attempt)
          begun.open()
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        },
        { retry: { maxAttempts: 1 }, onExhausted: 'park', ...(timeoutMs ? { timeoutMs } : {}) },
      )
      await begun.opened
      await worker.stop()
      await worker.done
    }
    assert.equal(seen, [1, 1, 1])
    assert.equal(await meow.parked(name), [])
    const worker = process((_, { attempt }) => seen.push(attempt))
    await past(events[1]!)
    assert.equal(seen, [1, 1, 1, 1, 1])
    await worker.stop()
  }
})

test('invalid options are refused', () => {
  const { process } = given()
  const wrong: [options: object, path: string][] = [
    [{ concurrency: 0 }, 'options.concurrency'],
    [{ concurrency: 1.5 }, 'options.concurrency'],
    [{ timeoutMs: 0 }, 'options.timeoutMs'],
    [{ retry: { maxAttempts: 0 } }, 'options.retry.maxAttempts'],
    [{ retry: { minDelayMs: -1 } }, 'options.retry.minDelayMs'],
    [{ retry: { minDelayMs: 100, maxDelayMs: 99 } }, 'options.retry.maxDelayMs'],
    [{ retry: { delayMs: 1 } }, 'options.retry.delayMs'],
    [{ onExhausted: 'drop' }, 'options.onExhausted'],
    [{ retries: 1 }, 'options.retries'],
  ]
  for (const [options, path] of wrong) {
    try {
      process(() => {}, options)
      assert.unreachable(path)
    } catch (error) {
      assert.instance(error, ValidationError)
      assert.is((error as ValidationError).path, path)
    }
  }
})

test.run()
