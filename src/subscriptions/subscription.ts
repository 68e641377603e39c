import { Observable } from 'rxjs'
import { whenAborted } from '../core/abort.ts'
import { readable } from '../core/describe.ts'
import { methodSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Called, HandlerCall } from '../events/event-context.ts'
import { CALL, enclosingCall } from '../events/event-context.ts'
import type { Selection, View } from '../events/selector.ts'
import type { ConsumerTelemetry, WithTelemetry } from '../telemetry/telemetry.ts'
import { START_PROCESSING } from '../telemetry/telemetry.ts'
import type { Consumer } from './consumer.ts'
import type { Delivery, InternalDelivery } from './delivery.ts'
import type { Executor } from './executor.ts'
import { callScope, runIn } from './handler-scope.ts'
import type { BatchHandler, Handler } from './invoke.ts'
import type { BatchOptions, Options, ProcessOptions } from './options.ts'
import { batchOptionsSchema, nackOptionsSchema, processOptionsSchema } from './options.ts'
import type { SubscriptionStatus } from './status.ts'
import { Statuses } from './status.ts'
import type { BaseWorker, HandlingOptions, Worker } from './worker.ts'

/** How long close() waits for acks of deliveries that consumers have, in ms. */
const CLOSING_MS = 5_000

/** A running executor of this process. */
export interface Running {
  readonly executor: Executor
  readonly consumer: Consumer
  /** Whether its consumer has stopped it, so that it only waits for late acks. */
  retired: boolean
}

/** What a subscription needs from its store. */
export interface Executors {
  readonly db: Queries
  readonly closed: boolean
  /** Completes when the store is closed. */
  readonly closed$: Observable<never>
  start(subscription: DurableSubscription<any>, consumer: Consumer): Running
  work(subscription: DurableSubscription<any>, handling: HandlingOptions<Handler>): BaseWorker
  workInBatches(
    subscription: DurableSubscription<any>,
    handling: Omit<HandlingOptions<BatchHandler>, 'fullSize'>,
  ): BaseWorker<BatchHandler>
  /** An observer of its status came. */
  watch(subscription: string): void
  telemetry(subscription: string): ConsumerTelemetry | undefined
}

/** A durable, named consumer of events whose checkpoint is in the store. `meow.subscription` creates it. */
export class DurableSubscription<E = RecordedEvent> {
  readonly name: string
  /** The status of the subscription in this process: emits the current value first, then each change; completes when the store closes. */
  readonly status$: Observable<SubscriptionStatus>
  /** @internal */
  readonly selection: Selection
  /** @internal */
  readonly options: Options
  /** @internal */
  readonly statuses = new Statuses()
  readonly #subscriptions: Executors

  /** @internal Use `meow.subscription`. */
  constructor(name: string, selection: Selection, options: Options, subscriptions: Executors) {
    this.name = name
    this.selection = selection
    this.options = options
    this.#subscriptions = subscriptions
    this.status$ = new Observable((subscriber) => {
      subscriber.add(this.statuses.status$.subscribe(subscriber))
      subscriptions.watch(name)
      subscriber.add(subscriptions.closed$.subscribe({ complete: () => subscriber.complete() }))
    })
  }

  /** @internal */
  get db(): Queries {
    return this.#subscriptions.db
  }

  /**
   * Deliveries to be acked, nacked or parked, as a cold Observable. Each subscribe starts an executor in this process, which
   * takes its share of the partitions and continues after lost leases and connections. It stops delivering while
   * `maxInFlight` deliveries are unacked. Unsubscribing ends the executor; deliveries that the consumer has can still be
   * acked for `leaseMs`, and for at most 5 s while the store closes. It completes when the store closes, and at once if the
   * store is already closed.
   *
   * @throws (as an error of the Observable) SubscriptionMismatchError if the subscription exists with a different selector
   *   or number of partitions; SubscriptionNotFoundError if it is deleted
   * @example
   * subscription.deliveries().pipe(concatMap(async (delivery) => {
   *   await handle(delivery.event)
   *   await delivery.ack()
   * })).subscribe()
   */
  deliveries(): Observable<Delivery<E>> {
    const { leaseMs } = this.options
    const telemetry = this.#subscriptions.telemetry(this.name)
    return new Observable((subscriber) => {
      if (this.#subscriptions.closed) return subscriber.complete() // after an error, `retry()` would try again for ever
      // The consumer may still work on deliveries that it has, so it can ack them for a while.
      const retire = async (patienceMs: number, up?: AbortSignal) => {
        running.retired = true
        executor.stop()
        const release = () => void executor.release()
        const cancel = this.db.clock.after(patienceMs, release)
        const cancelLimit = up && whenAborted(up, release)
        await executor.done.catch(() => {})
        cancel()
        cancelLimit?.()
      }
      const running = this.#subscriptions.start(this, {
        deliver: (delivery) => {
          if (!delivery.begin()) return
          const call = () => this.#call(delivery.event)
          const seen = toDelivery(delivery, this.selection.view, telemetry, call)
          if (seen) subscriber.next(seen as Delivery<E>)
        },
        end: (up) => retire(Math.min(leaseMs, CLOSING_MS), up),
        ackWaitMs: leaseMs,
        isWorker: false,
      })
      const executor: Executor = running.executor
      executor.done.then(
        () => subscriber.complete(),
        (error) => subscriber.error(error),
      )
      return () => void retire(leaseMs)
    })
  }

  /**
   * Runs a handler on each event and acks it; the events of a stream run in order. A failed handler is tried again (`retry`).
   * When no attempts are left, its stream is parked and the others go on (`onExhausted`). A handler must not wait for
   * `stop()` or `close()` without a time limit, because they wait for the handler: it would get a DeadlockError.
   *
   * @throws ValidationError for an invalid option
   * @example
   * const worker = subscription.process(async (event) => { await sendMail(event.data) }, { concurrency: 8 })
   * await worker.stop()
   * @example
   * subscription.process((event, { client }) => client.query('insert into mails …'), { transactional: true })
   */
  process(handler: Handler<E>, options?: ProcessOptions & { transactional?: false }): Worker
  process(
    handler: (
      event: E,
      context: Parameters<Handler>[1] & Required<Pick<Parameters<Handler>[1], 'client'>>,
    ) => unknown,
    options: ProcessOptions & { transactional: true },
  ): Worker
  process(handler: Handler<E>, options?: ProcessOptions): Worker
  process(handler: (event: any, context: any) => unknown, options: ProcessOptions = {}): Worker {
    parse(methodSchema, handler, 'handler')
    const checked = parse(processOptionsSchema, options, 'options')
    const { view } = this.selection
    const seeing: Handler = (event, context) => {
      const scope = callScope(event, this.#call(event, worker))
      return runIn(scope, () => handler(view ? view(event) : event, context))
    }
    const worker: BaseWorker = this.#subscriptions.work(this, {
      handler: seeing,
      maxWaitMs: 0,
      fullSize: 1,
      ...checked,
    })
    return worker
  }

  /**
   * Runs a handler on batches of events of one partition, in order, and acks each batch as a whole: one round trip for many
   * events. With `transactional`, what the handler writes with `context.client` commits together with the checkpoint.
   *
   * A batch that fails is split in halves until the event that fails is alone. Only that one is tried again (`retry`), alone,
   * and only its stream is parked; a handler must therefore not mind events that it has seen, or use `transactional`. What
   * the handler appends is caused by the last event of the batch.
   *
   * @throws ValidationError for an invalid option, or a `concurrency` above 1
   * @example
   * subscription.processBatches(
   *   (events, { client }) =>
   *     client.query('insert into mails select * from unnest($1::text[])', [events.map(({ data }) => data.to)]),
   *   { transactional: true, batchSize: 500 },
   * )
   */
  processBatches(handler: BatchHandler<E>, options?: BatchOptions & { transactional?: false }): Worker
  processBatches(
    handler: (
      events: E[],
      context: Parameters<BatchHandler>[1] & Required<Pick<Parameters<BatchHandler>[1], 'client'>>,
    ) => unknown,
    options: BatchOptions & { transactional: true },
  ): Worker
  processBatches(handler: BatchHandler<E>, options?: BatchOptions): Worker
  processBatches(handler: (events: any[], context: any) => unknown, options: BatchOptions = {}): Worker {
    parse(methodSchema, handler, 'handler')
    const checked = parse(batchOptionsSchema, options, 'options')
    const { view } = this.selection
    const seeing: BatchHandler = (events, context) => {
      const last = events.at(-1)!
      const scope = callScope(last, this.#call(last, worker))
      return runIn(scope, () => handler(view ? events.map(view) : events, context))
    }
    const worker: BaseWorker<BatchHandler> = this.#subscriptions.workInBatches(this, {
      handler: seeing,
      ...checked,
    })
    return worker
  }

  /** The context of a handler's call for this event. */
  #call({ position }: RecordedEvent, worker?: Worker): HandlerCall {
    const outer = enclosingCall() // if a handler has started this consumer, its call
    return { store: this.db, worker, subscription: this.name, position, active: true, outer }
  }
}

/**
 * The public form of a delivery: a plain object whose methods can be destructured and check their arguments. If the schema
 * of its category can't read the event, its stream is parked instead, and there is no delivery.
 */
function toDelivery(
  handed: InternalDelivery,
  view: View | null,
  telemetry: ConsumerTelemetry | undefined,
  call: () => HandlerCall,
): (Delivery & WithTelemetry & Called) | undefined {
  const { attempt, partition } = handed
  const { logger } = handed.source.partition
  const position = handed.event.position
  const logged = (promise: Promise<void>) => {
    promise.catch((error) =>
      logger.debug(
        { err: error, position },
        'an ack or park came too late: another executor owns the partition now, or this one has ended',
      ),
    )
    return promise
  }
  let acked: Promise<void> | undefined
  let event: RecordedEvent
  try {
    event = view ? view(handed.event) : handed.event
  } catch (error) {
    logger.error(
      { err: error, position },
      'an event can not be read; its stream is parked: correct the schema, then replayParked() delivers it again',
    )
    logged(handed.park(error))
    return
  }
  return {
    event,
    attempt,
    partition,
    get stale() {
      return handed.stale
    },
    ack: () => {
      acked ??= logged(handed.ack())
      return acked
    },
    nack: (options = {}) => handed.nack(parse(nackOptionsSchema, options, 'options')),
    park: (error) => {
      const { category, streamId, type } = handed.event
      const said = { err: readable(error), attempt, position, category, streamId, type }
      if (!handed.stale) logger.warn(said, 'a consumer has parked a stream; replayParked() delivers it again')
      return logged(handed.park(error))
    },
    [CALL]: call,
    ...(telemetry ? { [START_PROCESSING]: () => telemetry.process(handed.event, attempt, partition) } : {}),
  }
}
