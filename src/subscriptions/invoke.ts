import type pg from 'pg'
import { abortWith } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { TimeoutError } from '../core/errors.ts'
import { isPromise } from '../core/kinds.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { ConsumerTelemetry, Processing } from '../telemetry/telemetry.ts'
import type { HandedOut } from './delivery.ts'

/** What a handler is told beside the event. */
export interface HandlerContext {
  /** 1, 2, 3 … */
  attempt: number
  /** Aborts when the worker is stopped, the partition is given back, the lease is lost, or time is up: finish soon. */
  signal: AbortSignal
  /** Where `transactional`: the transaction that also carries the checkpoint. */
  client?: pg.ClientBase
}

/** Handles one event; the event is acked when it returns or its promise resolves. */
export type Handler<E = RecordedEvent> = (event: E, context: HandlerContext) => unknown | Promise<unknown>

/** How a handler is called. */
export interface Invoking {
  readonly timeoutMs?: number | undefined
  readonly clock: Clock
  readonly telemetry?: ConsumerTelemetry | undefined
}

/** Call a handler. A promise only where it returned one: a tick an event is much for a handler that needs none. */
export function invoke(
  handler: Handler,
  delivery: HandedOut,
  how: Invoking,
  client?: pg.ClientBase,
): undefined | Promise<unknown> {
  const processing = how.telemetry?.process(delivery.event, delivery.attempt, delivery.partition)
  if (!processing) return call(handler, delivery, how, client)
  return told(processing, () => call(handler, delivery, how, client))
}

/** The same call, and what becomes of it is told. */
function told(
  processing: Processing,
  call: () => undefined | Promise<unknown>,
): undefined | Promise<unknown> {
  const failed = (error: unknown): never => {
    processing.end({ error })
    throw error
  }
  let result: undefined | Promise<unknown>
  try {
    result = processing.run(call)
  } catch (error) {
    failed(error)
  }
  if (result) return result.then(() => processing.end(), failed)
  processing.end()
  return
}

function call(
  handler: Handler,
  { event, attempt, signal }: HandedOut,
  { timeoutMs, clock }: Invoking,
  client?: pg.ClientBase,
): undefined | Promise<unknown> {
  if (timeoutMs === undefined) {
    const result = handler(event, client ? { attempt, signal, client } : { attempt, signal })
    return isPromise(result) ? Promise.resolve(result) : undefined
  }
  const stop = abortWith(signal)
  return new Promise((resolve, reject) => {
    const forget = clock.after(timeoutMs, () => {
      const error = new TimeoutError('a handler', timeoutMs)
      stop.abort(error)
      reject(error)
    })
    new Promise((done) =>
      done(handler(event, { attempt, signal: stop.signal, ...(client ? { client } : {}) })),
    )
      .then(resolve, reject)
      .finally(() => {
        forget()
        stop.abort()
      })
  })
}
