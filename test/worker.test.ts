// process(): a handler gets one event after the other. How a worker begins, ends and fails, and how it hands over: promptly,
// and without handling an event twice.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Handler, Meow, ProcessOptions, SubscriptionOptions } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { seeded } from './support/random.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const event = { type: 'Happened', data: {} }

const errors: any[] = []
const logger = { debug() {}, info() {}, warn() {}, error: (fields: unknown) => void errors.push(fields) }
let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 60_000, logger })
  await listening(meow)
})
test.after(closeAll)

async function given(count: number, options: Partial<SubscriptionOptions> = {}) {
  const [category, name] = [uniqueName('worker'), uniqueName('worker')]
  const append = async (more: number) =>
    (await meow.append({ category, streamId: '1' }, Array(more).fill(event))).events
  const events = count > 0 ? await append(count) : []
  const subscribe = (store = meow) => store.subscription(name, { category, leaseMs: 60_000, ...options })
  const process = (handler: Handler, store = meow, how?: ProcessOptions) =>
    subscribe(store).process(handler, how)
  return { category, name, append, events, subscribe, process }
}

test('one event after the other, in order, each acked when its handler is done', async () => {
  const { name, events, append, process } = await given(20)
  const handled: number[] = []
  let running = 0
  const worker = process(async ({ version }, { attempt, signal }) => {
    assert.is(++running, 1)
    assert.is(attempt, 1)
    assert.instance(signal, AbortSignal)
    await Promise.resolve()
    const { position } = await checkpoint(name)
    assert.ok(position < events[version]!.position, 'not before it is handled')
    running--
    handled.push(version)
  })
  await worker.ready
  await until(() => handled.length === 20, { what: 'all to be handled' })
  await until(async () => (await checkpoint(name)).position === events[19]!.position, {
    what: 'the checkpoint',
  })
  await worker.stop()
  await worker.done
  assert.equal(handled, upTo(20))

  const more: number[] = []
  const again = process(({ version }) => more.push(version))
  await append(5)
  await until(() => more.length === 5, { what: 'a handler that is not async' })
  await again.stop()
  assert.equal(more, [20, 21, 22, 23, 24])
})

test('a thenable that works each time it is awaited, like those of query builders, is awaited once', async () => {
  const { process, append } = await given(0)
  let asked = 0
  const then = (resolve: () => void) => {
    asked++
    setImmediate(resolve)
  }
  const worker = process(() => ({ then }))
  const events = await append(3)
  await until(() => asked >= events.length, { what: 'all to be handled' })
  await worker.stop()
  assert.is(asked, events.length)
})

test('stop() aborts the signal of the running handler, waits for it, and begins no other', async () => {
  const { name, events, process } = await given(10)
  let release = () => {}
  const handled: number[] = []
  let signal: AbortSignal | undefined
  const worker = process(async (event, context) => {
    signal = context.signal
    await new Promise<void>((resolve) => {
      release = resolve
    })
    handled.push(event.version)
  })
  await until(() => signal, { what: 'the handler' })
  assert.not(signal!.aborted)
  let stopped = false
  const stopping = [worker.stop(), worker.stop(), worker[Symbol.asyncDispose]()]
  for (const stop of stopping)
    stop.then(() => {
      stopped = true
    })
  assert.ok(signal!.aborted)
  assert.ok((await checkpoint(name)).owner, 'kept as long as the handler runs')
  assert.not(stopped)
  release()
  await Promise.all(stopping)
  await worker.done
  assert.equal(handled, [0])
  assert.equal(await checkpoint(name), { position: events[0]!.position, epoch: 1, owner: null })
  await worker.stop()
})

test('stopped before it began, it ends; await using stops it', async () => {
  const { name, events, process } = await given(3)
  for (const turns of upTo(15)) {
    const worker = process(() => assert.unreachable('stopped already'))
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    await worker.stop()
    await worker.done
    await worker.ready.catch(() => {})
  }
  const handled: number[] = []
  {
    await using worker = process(({ version }) => handled.push(version))
    await worker.ready
    await until(() => handled.length === 3, { what: 'all to be handled' })
  }
  const { owner, position } = await checkpoint(name)
  assert.equal([owner, position], [null, events[2]!.position])
})

test('onExhausted stop: the worker ends with the error, logged; its event comes again', async () => {
  for (const failing of [
    () => {
      throw new Error('at once')
    },
    () => Promise.reject(new Error('later')),
  ]) {
    const { name, events, process } = await given(5)
    const handled: number[] = []
    const worker = process(
      (event) => (event.version === 2 ? failing() : void handled.push(event.version)),
      meow,
      { retry: { maxAttempts: 1 }, onExhausted: 'stop' },
    )
    // Nobody looks at `done` before it rejects.
    await until(() => errors.some(({ subscription }) => subscription === name), { what: 'the log' })
    const error = await worker.done.catch((error) => error)
    assert.match(error.message, /at once|later/)
    await worker.stop()
    assert.equal(handled, [0, 1])
    const { owner, position } = await checkpoint(name)
    assert.equal([owner, position], [null, events[1]!.position])
    assert.is(errors.filter(({ subscription }) => subscription === name).length, 1)

    const again = process(({ version }) => handled.push(version))
    await until(() => handled.length === 5, { what: 'the rest' })
    assert.equal(handled, upTo(5))
    await again.stop()
  }
})

test('the hand-over is prompt: by a wake-up, not by a lease or a poll of a minute', async () => {
  const { append, process } = await given(0)
  const other = await openStore({ pollIntervalMs: 60_000 })
  await listening(other)
  const handled: number[] = []
  let worker = process(({ version }) => handled.push(version))
  await worker.ready
  for (const round of upTo(5)) {
    const store = round % 2 ? meow : other
    const next = process(({ version }) => handled.push(version), store)
    await next.ready
    const before = handled.length
    await append(10)
    await until(() => handled.length === before + 10, { what: 'the events' })
    await worker.stop()
    worker = next
    await append(1)
    await until(() => handled.length === before + 11, { timeoutMs: 5_000, what: 'its successor' })
  }
  assert.equal(handled, upTo(55))
  await worker.stop()
  await other.close()
})

test('without the wake-up, the next poll finds a free partition', async () => {
  const [first, second] = await Promise.all(
    [1, 2].map(() => openStore({ listen: false, pollIntervalMs: 50 })),
  )
  const { append, subscribe } = await given(3)
  const handled: number[] = []
  const worker = subscribe(first!).process(({ version }) => handled.push(version))
  await until(() => handled.length === 3, { what: 'the first worker' })
  const waiting = subscribe(second!)
  const next = waiting.process(({ version }) => handled.push(version))
  await until(() => current(waiting.status$).state === 'waiting', { what: 'the second to wait' })
  await worker.stop()
  await append(3)
  await until(() => handled.length === 6, { timeoutMs: 5_000, what: 'the second worker' })
  await next.stop()
  assert.equal(handled, upTo(6))
  await Promise.all([first!.close(), second!.close()])
})

test('workers that come and go under load handle each event once, in order', async () => {
  const dice = seeded('hand over')
  const { category, process } = await given(0, { maxInFlight: 50 })
  const stores = [meow, ...(await Promise.all([1, 2].map(() => openStore({ pollIntervalMs: 60_000 }))))]
  const handled: number[] = []
  const handler: Handler = async ({ position }) => {
    if (dice.chance(0.05)) await new Promise((resolve) => setTimeout(resolve, dice.int(0, 5)))
    handled.push(position)
  }
  const workers = stores.map((store) => process(handler, store))
  const [first] = workers
  await first!.ready
  let count = 0
  let writing = true
  const write = async () => {
    while (writing) {
      const size = dice.int(1, 10)
      await meow.append({ category, streamId: `${dice.int(0, 9)}` }, Array(size).fill(event))
      count += size
    }
  }
  const writers = [write(), write()]
  for (const round of upTo(25)) {
    const progress = handled.length
    await until(() => handled.length > progress, { timeoutMs: 10_000, what: `progress in round ${round}` })
    const i = dice.int(0, 2)
    await workers[i]!.stop()
    workers[i] = process(handler, stores[i]!)
  }
  writing = false
  await Promise.all(writers)
  await until(() => handled.length >= count, { what: `all ${count} events` })
  await Promise.all(workers.map((worker) => worker.stop()))
  const truth = (await meow.read({ category }, { limit: 100_000 })).events.map(({ position }) => position)
  assert.is(truth.length, count)
  assert.equal(handled, truth)
  await Promise.all(stores.slice(1).map((store) => store.close()))
})

test.run()
