import type pg from 'pg'
import { abortWith } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { TimeoutError } from '../core/errors.ts'
import { isPromise } from '../core/kinds.ts'
import { withTimeout } from '../core/timeout.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { InternalDelivery } from './delivery.ts'
import { runIn } from './handler-scope.ts'

/** What a handler gets besides the event. */
export interface HandlerContext {
  /** Which attempt this is: 1, 2, 3 … */
  attempt: number
  /** Aborts when the worker stops, the partition is handed over, the lease is lost, or `timeoutMs` is over: finish soon. */
  signal: AbortSignal
  /** With `transactional`: the client whose transaction also writes the checkpoint. */
  client?: pg.ClientBase
}

/** Handles one event. The event is acked when the handler returns or its promise resolves. */
export type Handler<E = RecordedEvent> = (event: E, context: HandlerContext) => unknown | Promise<unknown>

/** What a handler of batches gets besides the events. With more than one event, `attempt` is 1. */
export type BatchContext = HandlerContext

/** Handles events of one partition, in order. All are acked when the handler returns or its promise resolves. */
export type BatchHandler<E = RecordedEvent> = (
  events: E[],
  context: BatchContext,
) => unknown | Promise<unknown>

/** How a handler is called. */
export interface Invoking {
  readonly timeoutMs?: number | undefined
  readonly clock: Clock
  readonly telemetry?: ConsumerTelemetry | undefined
}

/** What calling a handler needs of a delivery. */
export type Invoked = Pick<InternalDelivery, 'event' | 'attempt' | 'partition' | 'signal'>

/** Call a handler. Returns a promise only if the handler does: waiting a tick for each event costs time. */
export function invoke(
  handler: Handler,
  delivery: Invoked,
  how: Invoking,
  client?: pg.ClientBase,
): undefined | Promise<unknown> {
  const telemetry = how.telemetry?.process(delivery.event, delivery.attempt, delivery.partition)
  if (!telemetry) return call(handler, delivery, how, client)
  return runIn(telemetry, () => call(handler, delivery, how, client))
}

/** Call a handler with a batch. Each event has its own telemetry; the handler runs in that of the last one. */
export function invokeBatch(
  handler: BatchHandler,
  batch: readonly InternalDelivery[],
  how: Invoking,
  client?: pg.ClientBase,
): undefined | Promise<unknown> {
  const events = batch.map(({ event }) => event)
  const run = () => call((_, context) => handler(events, context), batch[0]!, how, client)
  const scopes = batch.flatMap(
    ({ event, attempt, partition }) => how.telemetry?.process(event, attempt, partition) ?? [],
  )
  const last = scopes.at(-1)
  if (!last) return run()
  const end = (failure?: { error: unknown }) => {
    for (const scope of scopes) scope.end(failure)
  }
  return runIn({ run: (code) => last.run(code), end }, run)
}

function call(
  handler: Handler,
  { event, attempt, signal }: Invoked,
  { timeoutMs, clock }: Invoking,
  client?: pg.ClientBase,
): undefined | Promise<unknown> {
  if (timeoutMs === undefined) {
    const result = handler(event, client ? { attempt, signal, client } : { attempt, signal })
    return isPromise(result) ? Promise.resolve(result) : undefined
  }
  const stop = abortWith(signal)
  const context = { attempt, signal: stop.signal, ...(client ? { client } : {}) }
  const late = () => {
    const error = new TimeoutError('a handler', timeoutMs)
    stop.abort(error)
    throw error
  }
  const run = async () => handler(event, context)
  return withTimeout(timeoutMs, run, late, { clock }).finally(() => stop.abort())
}
