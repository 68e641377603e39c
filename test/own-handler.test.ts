// A handler that waits for something that waits for the handler gets an error, instead of both waiting for ever; a handler that
// does not wait gets none.
import { concatMap, from, lastValueFrom, timer } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { HandlerContext, RecordedEvent, Worker } from '../src/index.ts'
import { DeadlockError, handle, TimeoutError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))
test.after(async () => {
  await closeAll()
  assert.equal(unhandled, [])
})

type Handle = (
  event: RecordedEvent,
  given: { worker: Worker; store: Store; name: string; context: HandlerContext },
) => unknown
type Store = Awaited<ReturnType<typeof openStore>>

/** A store of its own, whose worker handles one event. What came of the first call, and once the worker has ended. */
async function run(handle: Handle, options: { transactional?: true; concurrency?: number } = {}) {
  const store = await openStore()
  const name = uniqueName('own')
  await store.append({ category: name, streamId: '1' }, { type: 'Happened', data: {} })
  let settle: (outcome: Promise<unknown>) => void
  const outcome = new Promise<unknown>((resolve) => {
    settle = resolve
  })
  const worker: Worker = store.subscription(name, { category: name }).process(
    (async (event: RecordedEvent, context: HandlerContext) => {
      const handled = (async () => handle(event, { worker, store, name, context }))()
      settle(handled)
      await handled
    }) as never,
    options as never,
  )
  outcome.catch(() => {})
  return { outcome, worker, store, name }
}

const deadlocks: Record<string, Handle> = {
  'worker.stop()': (_, { worker }) => worker.stop(),
  'meow.close()': (_, { store }) => store.close(),
  'deep inside, and later': async (_, { worker }) => {
    await Promise.resolve()
    await (async () => new Promise((resolve) => setImmediate(resolve)))()
    await Promise.all([worker.stop().then(() => 'stopped')])
  },
  'await using a worker': async (_, { worker }) => worker[Symbol.asyncDispose](),
  'await using a store': async (_, { store }) => store[Symbol.asyncDispose](),
}
for (const [what, handle] of Object.entries(deadlocks))
  for (const options of [{}, { transactional: true }, { concurrency: 4 }] as const)
    test(`${what} rejects inside of its handler, but still happens: ${JSON.stringify(options)}`, async () => {
      const { outcome, worker, store, name } = await run(handle, options)
      const error = await rejects(outcome, DeadlockError)
      assert.is(error.code, 'ERR_DEADLOCK')
      assert.is(error.subscription, name)
      assert.match(error.message, /void (worker\.stop|meow\.close)\(\)/)
      await worker.done
      await store.close()
    })

test('a handler that does not wait for it gets no error', async () => {
  for (const handle of [
    (_, { worker }) => void worker.stop(),
    (_, { store }) => void store.close(),
    (_, { worker }) => void worker.stop().then(() => undefined), // the rest waits for nothing
  ] as Handle[]) {
    const { outcome, worker, store, name } = await run(handle)
    await outcome
    await worker.done
    await store.close()
    const other = await openStore()
    const [info] = await other.subscriptions({ names: [name] })
    assert.is(info!.lag, 0, 'the event is handled')
    await other.close()
  }
})

test('a timer that a handler has begun may wait for it once the handler has ended', async () => {
  let stopped: Promise<void> | undefined
  const { outcome, worker, store } = await run((_, { worker }) => {
    stopped = new Promise((resolve, reject) => {
      setTimeout(() => worker.stop().then(resolve, reject), 20)
    })
  })
  await outcome
  await stopped
  await worker.done
  await store.close()
})

test('others wait for a handler as long as it takes, and with a limit a handler may wait, too', async () => {
  let [open, begun] = [() => {}, () => {}]
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const inside = new Promise<void>((resolve) => {
    begun = resolve
  })
  const { worker, store } = await run(async () => {
    begun()
    await gate
  })
  await inside
  const stopping = worker.stop()
  const late = new Promise((resolve) => setTimeout(resolve, 1_500, 'waiting'))
  assert.is(await Promise.race([stopping, late]), 'waiting')
  open()
  await stopping
  await store.close()

  const limited = await run((_, { worker }) => worker.stop({ timeoutMs: 1_500 }))
  await limited.outcome
  await limited.worker.done
  await limited.store.close()
})

test('an inline projection that waits for close()', async () => {
  const store = await openStore()
  const category = uniqueName('own')
  store.project(category, () => store.close())
  const appended = store.append({ category, streamId: '1' }, { type: 'Happened', data: {} })
  const error = await rejects(appended, DeadlockError)
  assert.is(error.subscription, undefined)
  await store.close()
})

test('a worker that is stopped by an inline projection of what its handler appends', async () => {
  const category = uniqueName('own')
  const { outcome, worker, store } = await run((_, { worker, store }) => {
    store.project(category, () => worker.stop())
    return store.append({ category, streamId: '1' }, { type: 'Happened', data: {} })
  })
  await rejects(outcome, DeadlockError)
  await worker.done
  await store.close()
})

const effects: Record<string, (store: Store) => unknown> = {
  'a promise': (store) => store.close(),
  'an Observable': (store) => from(store.close()),
  'await using': async (store) => store[Symbol.asyncDispose](),
  'deep inside, and later': (store) =>
    timer(1).pipe(concatMap(() => Promise.all([store.close().then(() => 'closed')]))),
}
for (const [what, effect] of Object.entries(effects))
  test(`close() is refused inside of the function of handle(), and done nevertheless: ${what}`, async () => {
    const store = await openStore()
    const name = uniqueName('own')
    const { position } = await store.append({ category: name, streamId: '1' }, { type: 'T', data: {} })
    const deliveries = store.subscription(name, { category: name }).deliveries()
    const error = await rejects(lastValueFrom(deliveries.pipe(handle(() => effect(store)))), DeadlockError)
    assert.equal([error.code, error.subscription, error.position], ['ERR_DEADLOCK', name, position])
    await store.close()
  })

test('close() in the function of handle(), without waiting for it, is as ever', async () => {
  const store = await openStore()
  const name = uniqueName('own')
  await store.append({ category: name, streamId: '1' }, { type: 'T', data: {} })
  const deliveries = store.subscription(name, { category: name }).deliveries()
  await lastValueFrom(deliveries.pipe(handle(() => void store.close())))
  await store.close()
  const other = await openStore()
  const [info] = await other.subscriptions({ names: [name] })
  assert.is(info!.lag, 0, 'the event is handled')
  await other.close()
})

test('a handler that waits for its own event gets an error that says why it took so long', async () => {
  const { outcome, worker, store } = await run(({ position }, { store, name }) =>
    store.waitFor(name, position, { timeoutMs: 50 }),
  )
  const error = await rejects(outcome, TimeoutError)
  assert.match(error.message, /its own handler/)
  await worker.stop()
  await store.close()
})

test.run()
