import { retry, throwError, timer } from 'rxjs'
import { handle } from '../../../src/index.ts'
import { handlers } from '../../faults/handlers.ts'
import type { Subscribed } from '../checks/evidence.ts'
import type { Playing, Stage } from '../child.ts'

const HOW = { timeoutMs: 1_000, retry: { maxAttempts: 4, minDelayMs: 20, maxDelayMs: 300 } }

const CLOSED = 'ERR_CLOSED'
/** A handler or the connection failed; if the store is closed, it ends. */
const again = (error: { code?: string }) => (error.code === CLOSED ? throwError(() => error) : timer(50))

/**
 * An executor of all subscriptions: the transactional ones by transactional handlers, the one called `piped` by `deliveries`
 * and `handle`, the others by concurrent handlers. Told `trouble s`, the share s of all handlers fails.
 */
export function play({ options, meow, dice, log }: Stage): Playing {
  const troubles = options.subscriptions.map((subscribed) => {
    const { name } = subscribed
    const { plain, transactional, trouble } = handlers({
      begin: ({ id, position }) => log({ kind: 'begun', subscription: name, id, position }),
      done: ({ id, position }) => log({ kind: 'done', subscription: name, id, position }),
      effect: ({ id }, client) =>
        client.query(`insert into ${options.schema}.effects (subscription, id) values ($1, $2)`, [name, id]),
      dice,
      handlerMs: options.handlerMs,
    })
    const subscription = meow.subscription(name, { ...selector(subscribed), ...options.subscription })
    if (name === 'piped') {
      const events = subscription
        .deliveries()
        .pipe(handle(plain, { concurrency: 4 }), retry({ delay: again }))
      events.subscribe({
        error: (error) =>
          error.code === CLOSED || log({ kind: 'broken', what: `${name} ended: ${error.stack}` }),
      })
    } else {
      const worker = subscribed.transactional
        ? subscription.process(transactional, { ...HOW, transactional: true })
        : subscription.process(plain, { ...HOW, concurrency: 4 })
      worker.done.catch((error) =>
        log({ kind: 'broken', what: `the worker of ${name} ended: ${error.stack}` }),
      )
    }
    return trouble
  })
  return {
    tell: (command, value) => {
      if (command === 'trouble') for (const trouble of troubles) trouble(Number(value))
    },
  }
}

function selector({ categories, partitions }: Subscribed) {
  return { ...(categories ? { category: [...categories] } : {}), partitions }
}
