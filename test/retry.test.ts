// A handler that fails is tried again: how often, how soon, and what else goes on meanwhile.
import { filter, firstValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../src/core/clock.ts'
import { parse } from '../src/core/validate.ts'
import type { Handler, Meow, ProcessOptions, RecordedEvent, SubscriptionOptions } from '../src/index.ts'
import { TimeoutError, ValidationError } from '../src/index.ts'
import { processOptionsSchema } from '../src/subscriptions/options.ts'
import { retryPause } from '../src/subscriptions/retry.ts'
import { checkpoint } from './support/checkpoints.ts'
import { holdingPool } from './support/holding-pool.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
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

const soon = { minDelayMs: 1, maxDelayMs: 5 }

/** A subscription to streams of a category of its own. */
function given(options: Partial<SubscriptionOptions> = {}) {
  const [category, name] = [uniqueName('retry'), uniqueName('retry')]
  const append = async (streamId: string, count: number) =>
    (await meow.append({ category, streamId }, Array(count).fill({ type: 'Happened', data: {} }))).events
  const subscription = () => meow.subscription(name, { category, leaseMs: 60_000, ...options })
  const process = (handler: Handler, processing: ProcessOptions = {}) =>
    subscription().process(handler, { outage: false, ...processing }) // failing.test has outages
  const past = ({ position }: RecordedEvent) =>
    until(
      async () => (await meow.subscriptions()).find((it) => it.name === name && it.position >= position),
      {
        what: 'the checkpoint',
      },
    )
  return { category, name, append, subscription, process, past }
}

/** Something to wait for, that the test opens. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

test('attempts are counted, and end at maxAttempts', async () => {
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

test('what recovers is acked; each event has attempts of its own', async () => {
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

test('pauses: the ceiling grows fourfold up to maxDelayMs, and all above half of it is as likely', () => {
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

test('pauses: the defaults last for one to three minutes', () => {
  const { retry } = parse(processOptionsSchema, {}, 'options')
  const total = (random: number) =>
    upTo(retry.maxAttempts - 1).reduce(
      (sum, i) => sum + retryPause(i + 1, retry, { ...systemClock, random: () => random }),
      0,
    )
  assert.ok(total(0) > 60_000, `at least ${total(0)} ms`)
  assert.ok(total(1) < 180_000, `at most ${total(1)} ms`)
})

test('pauses: no ceiling at all, and attempts without end', () => {
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

for (const concurrency of [1, 4]) {
  test(`while one stream waits to be tried again the others flow, concurrency ${concurrency}`, async () => {
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
    await until(() => handled.length === 23, { what: 'the others' })
    await append('bad', 2)
    await append('later', 2)
    await until(() => handled.length === 25, { what: 'those that came later' })
    assert.equal(attempts, [0], 'its later events wait')
    for (const stream of ['before', '0', '4', 'later']) {
      const versions = handled.filter(({ streamId }) => streamId === stream).map(({ version }) => version)
      assert.equal(versions, upTo(versions.length), stream)
    }
    const { position } = await checkpoint(name)
    assert.ok(position < bad[0]!.position, 'the checkpoint stays below')
    assert.equal(await meow.parked(name), [])

    await worker.stop() // in the middle of that hour
    const next: string[] = []
    const again = process((event, { attempt }) => {
      if (event.streamId === 'bad') next.push(`${event.version}.${attempt}`)
    })
    await until(() => next.length === 5, { what: 'it to come again' })
    assert.equal(next, ['0.2', '1.1', '2.1', '3.1', '4.1'], 'the count of attempts goes along')
    await again.stop()
  })

  test(`its own later events come behind it, in order, concurrency ${concurrency}`, async () => {
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

test('stopped while one stream waits to be tried again: what the others handled is not handled again', async () => {
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
  await until(() => handled.length === 40, { what: 'the others' })
  await fails.stop()
  const next = process(({ streamId, version }) => handled.push(`${streamId}/${version}`))
  const [last] = await append('bad', 1)
  await past(last!)
  // The stream was set aside: the checkpoint passes what its replay comes to later.
  await until(() => handled.length >= 43, { what: 'the stream that waited' })
  await next.stop()
  assert.is(handled.length, 43)
  assert.is(new Set(handled).size, 43)
})

test('what comes to a stream while its replay ends follows at once, though nothing else has a checkpoint written', async () => {
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
  await until(() => handled.length === 1, { what: 'the other' })
  await fails.stop()
  const { pool, hold } = holdingPool()
  const store = await openStore({ pool, pollIntervalMs: 60_000 })
  await listening(store)
  const lastLook = hold('between $3 and $4', ([, , from]) => from > behind!.position)
  const versions: number[] = []
  const subscription = store.subscription(name, { category, leaseMs: 60_000 })
  const worker = subscription.process(({ version }) => versions.push(version))
  await lastLook.some()
  const [last] = await append('bad', 1)
  await firstValueFrom(
    subscription.status$.pipe(filter(({ state, horizon }) => state === 'live' && horizon >= last!.position)),
  )
  lastLook.release() // read, and passed over, since its stream is still set aside
  await until(() => versions.length === 3, { what: 'the new one' })
  assert.equal(versions, [0, 1, 2])
  await worker.stop()
  await store.close()
  await pool.end()
})

test('streams that wait hold others back only once they fill the window', async () => {
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
  await until(() => handled === 100, { what: 'a window of one' })
  await worker.stop()
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

test("onExhausted 'stop': done rejects with the very error; the event comes again to the next worker", async () => {
  for (const error of [new Error('the very one'), 'a string', undefined]) {
    for (const how of ['throws', 'rejects'] as const) {
      const { name, append, process, past } = given()
      const events = await append('a', 4)
      const seen: string[] = []
      const worker = process(
        ({ version }, { attempt }) => {
          seen.push(`${version}.${attempt}`)
          if (version !== 1) return
          if (how === 'rejects') return Promise.reject(error)
          throw error
        },
        { onExhausted: 'stop', retry: { ...soon, maxAttempts: 2 } },
      )
      await worker.ready
      const outcome = await worker.done.then(
        () => 'resolved',
        (reason) => ({ reason }),
      )
      assert.is((outcome as { reason: unknown }).reason, error)
      await Promise.all([worker.stop(), worker.stop()])
      await worker[Symbol.asyncDispose]()
      assert.is(await worker.done.catch((reason) => reason), error)
      assert.equal(seen, ['0.1', '1.1', '1.2'])
      assert.equal(await meow.parked(name), [])
      const { position, owner } = await checkpoint(name)
      assert.equal([position, owner], [events[0]!.position, null], 'given back at once')

      const next: string[] = []
      const again = process(({ version }, { attempt }) => next.push(`${version}.${attempt}`))
      await past(events[3]!)
      assert.equal(next, ['1.1', '2.1', '3.1'])
      await again.stop()
    }
  }
})

test("onExhausted 'stop': what others have in hand is finished and acked", async () => {
  const { name, append, process } = given()
  const [good] = await append('good', 1)
  await append('bad', 1)
  const held = gate()
  const done: string[] = []
  const worker = process(
    async ({ streamId }) => {
      if (streamId === 'bad') throw new Error('no')
      await held.opened
      done.push(streamId)
    },
    { concurrency: 2, onExhausted: 'stop', retry: { maxAttempts: 1 } },
  )
  let ended = false
  worker.done.catch(() => {
    ended = true
  })
  await worker.ready
  await until(async () => (await checkpoint(name)).owner, { what: 'an owner' })
  assert.not(ended)
  held.open()
  assert.is((await worker.done.catch((error) => error)).message, 'no')
  assert.equal(done, ['good'])
  assert.is((await checkpoint(name)).position, good!.position)
})

test('a handler that gives up because it is told to stop is not counted', async () => {
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

test('concurrency: so many streams at once, and one stream never twice at once', async () => {
  const { append, process, past } = given()
  let last: RecordedEvent | undefined
  for (const _ of upTo(5)) {
    for (const stream of upTo(10)) last = (await append(`${stream}`, 2)).at(-1)
  }
  const running = new Set<string>()
  const handled = new Map<string, number[]>()
  let most = 0
  let full = gate()
  const worker = process(
    async ({ streamId, version }, { attempt }) => {
      assert.not(running.has(streamId), `stream ${streamId} twice at once`)
      running.add(streamId)
      most = Math.max(most, running.size)
      // The first four wait for one another: they end only if they are all at once.
      if (running.size === 4) full.open()
      await full.opened
      running.delete(streamId)
      if (version % 4 === 1 && attempt === 1) throw new Error('once more')
      handled.set(streamId, [...(handled.get(streamId) ?? []), version])
    },
    { concurrency: 4, retry: soon },
  )
  await past(last!)
  assert.is(most, 4)
  assert.is(handled.size, 10)
  for (const [streamId, versions] of handled) assert.equal(versions, upTo(10), `stream ${streamId}`)

  // With fewer streams than slots, as many as there are streams.
  full = gate()
  full.open()
  most = 0
  const [, more] = [await append('0', 20), (await append('1', 20)).at(-1)]
  await past(more!)
  assert.ok(most <= 2)
  await worker.stop()
})

test('a slow stream keeps no slot but its own', async () => {
  const { append, process } = given()
  await append('slow', 50)
  await append('quick', 50)
  const held = gate()
  const quick: number[] = []
  const slow: number[] = []
  const worker = process(
    async ({ streamId, version }) => {
      if (streamId === 'slow') await held.opened
      ;(streamId === 'slow' ? slow : quick).push(version)
    },
    { concurrency: 2 },
  )
  await until(() => quick.length === 50, { what: 'the quick one' })
  assert.equal(slow, [])
  held.open()
  await until(() => slow.length === 50, { what: 'the slow one' })
  assert.equal([quick, slow], [upTo(50), upTo(50)])
  await worker.stop()
})

test('options that can not be right', () => {
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
