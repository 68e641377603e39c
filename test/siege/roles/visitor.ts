import { setTimeout as delay } from 'node:timers/promises'
import { filter, firstValueFrom, skip } from 'rxjs'
import type { Meow } from '../../../src/index.ts'
import { connect } from '../../../src/index.ts'
import type { Playing, Stage } from '../child.ts'

const TOGETHER = 10

/**
 * Opens and ends observers, workers, waits and whole stores, on a busy store and on one without appends, where nothing ever
 * wakes what should have been forgotten.
 */
export async function play({ options, meow, dice, log }: Stage): Promise<Playing> {
  const { schema, connectOptions } = options
  const url = { connectionString: options.url, ...connectOptions }
  const quiet = await connect({ ...url, schema: `${schema}_quiet` })
  await quiet.migrate()
  const { position } = await quiet.append({ category: 'a', streamId: '1' }, { type: 'Happened', data: {} })
  const counter = { category: 'a', initial: 0, evolve: (n: number) => n + 1, decide: () => [] }
  const pause = () => delay(dice.int(1, 20))

  const visits: readonly ((store: Meow) => Promise<unknown>)[] = [
    async (store) => {
      const events = store.events({ category: 'a' }, { from: 'end' }).subscribe()
      await pause()
      events.unsubscribe()
    },
    async (store) => {
      const abort = new AbortController()
      const next = store
        .iterate({ category: 'b' }, { from: 'end', signal: abort.signal })
        [Symbol.asyncIterator]()
        .next()
      await pause()
      abort.abort()
      await next
    },
    async (store) => {
      const state = store.watch(counter, '1').subscribe()
      await pause()
      state.unsubscribe()
    },
    (store) => firstValueFrom(store.status$),
    async () => {
      const subscription = quiet.subscription('visited', { category: 'b' })
      // The first value says that it has not begun.
      const ended = firstValueFrom(
        subscription.status$.pipe(
          skip(1),
          filter(({ state }) => state === 'stopped'),
        ),
      )
      const deliveries = subscription.deliveries().subscribe()
      await pause()
      deliveries.unsubscribe()
      // An executor that ends still has to give its partitions back: without this, they pile up faster than the server answers.
      await ended
    },
    async () => {
      const worker = quiet.subscription('worked', { category: 'a' }).process(() => {})
      await worker.ready
      await worker.stop()
    },
    // It waits in vain, for an event that will not come.
    () => quiet.waitFor('visited', position + 1_000, { timeoutMs: dice.int(1, 20) }).catch(() => {}),
    async () => {
      const store = await connect({ ...url, schema, maxConnections: 1 })
      await store.read({}, { limit: 1 })
      await store.close()
    },
  ]
  let stopped = false
  await quiet
    .subscription('visited', { category: 'b' })
    .process(() => {})
    .stop()
  const running = Promise.all(
    Array.from({ length: TOGETHER }, async () => {
      while (!stopped) {
        const visit = dice.pick(visits.slice(0, dice.chance(0.05) ? visits.length : -1)) // a store is dear
        await visit(dice.pick([meow, quiet])).catch((error) =>
          log({ kind: 'broken', what: `a visit: ${error.stack}` }),
        )
      }
    }),
  )
  return {
    stop: async () => {
      stopped = true
      await running
      await quiet.close()
    },
  }
}
