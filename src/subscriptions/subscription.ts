import { Observable } from 'rxjs'
import { whenAborted } from '../core/abort.ts'
import { readable } from '../core/describe.ts'
import { method } from '../core/fields.ts'
import { isPromise } from '../core/kinds.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Called, HandlerCall } from '../events/event-context.ts'
import { CALL, handling, openCall } from '../events/event-context.ts'
import type { Selection, View } from '../events/selector.ts'
import type { ConsumerTelemetry, WithTelemetry } from '../telemetry/telemetry.ts'
import { START_PROCESSING } from '../telemetry/telemetry.ts'
import type { Delivery, HandedOut } from './delivery.ts'
import type { Executor } from './executor.ts'
import type { Handler } from './invoke.ts'
import type { Options, ProcessOptions } from './options.ts'
import { nackOptions, processOptions } from './options.ts'
import type { SubscriptionStatus } from './status.ts'
import { Statuses } from './status.ts'
import type { BaseWorker, Handling, Start, Worker } from './worker.ts'

/** How long close() waits for acks of deliveries in hand. */
const CLOSING_MS = 5_000

/** An executor of this process. */
export interface Running {
  readonly executor: Executor
  /** Drain and end, as the consumer's kind asks for; when `up` aborts, without waiting for it any more. */
  end(up: AbortSignal): Promise<void>
  /** Stopped by its consumer, waiting for late acks. */
  retired: boolean
}

/** What an executor is started with. */
export interface Consumer {
  deliver(delivery: HandedOut): void
  end(up: AbortSignal): Promise<void>
  /** How long a partition that is to be given back waits for the next ack. */
  patienceMs: number
  /** Whether what is acked behind an unacked one is in flight too. */
  strict: boolean
}

/** What a subscription asks of those of its store. */
export interface Executors {
  readonly db: Queries
  readonly closed: boolean
  /** Completes once the store is closed. */
  readonly closed$: Observable<never>
  start(subscription: DurableSubscription<any>, consumer: Consumer): Running
  work(
    subscription: DurableSubscription<any>,
    how: Omit<Handling, 'clock' | 'logger' | 'telemetry' | 'subscription'> & { transactional: boolean },
    start: Start,
  ): BaseWorker
  /** Somebody begins to watch it. */
  watch(subscription: string): void
  telemetry(subscription: string): ConsumerTelemetry | undefined
}

/** A durable, named consumer of events with a checkpoint in the store. Made by `meow.subscription`. */
export class DurableSubscription<E = RecordedEvent> {
  readonly name: string
  /** How this process's part in it stands: the current value first, then each change; completes when the store closes. */
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
   * Deliveries to be acked, nacked or parked, as a cold Observable: subscribing makes this process an executor, which
   * takes its share of the partitions, and goes on after lost leases and connections. It delivers until `maxInFlight` are
   * unacked, which is the back-pressure. Unsubscribing ends the executor; deliveries in hand can still be acked for
   * `leaseMs`, and while the store closes for 5 s at most. It completes when the store closes, and at once if it is closed.
   *
   * @throws (as an error of the Observable) SubscriptionMismatchError where the name exists with another selector or
   *   partition count; SubscriptionNotFoundError where it is deleted
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
      if (this.#subscriptions.closed) return subscriber.complete() // an error would have `retry()` try again for ever
      // The consumer may be at work on what it has in hand: it can still ack, for a while.
      const retire = async (patienceMs: number, up?: AbortSignal) => {
        running.retired = true
        executor.stop()
        const release = () => void executor.release()
        const forget = this.db.clock.after(patienceMs, release)
        const forgetLimit = up && whenAborted(up, release)
        await executor.done.catch(() => {})
        forget()
        forgetLimit?.()
      }
      const running = this.#subscriptions.start(this, {
        deliver: (delivery) => {
          if (!delivery.begin()) return
          const call = () => this.#call(delivery.event)
          const seen = toDelivery(delivery, this.selection.view, telemetry, call)
          if (seen) subscriber.next(seen as Delivery<E>)
        },
        end: (up) => retire(Math.min(leaseMs, CLOSING_MS), up),
        patienceMs: leaseMs,
        strict: false,
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
   * Run a handler on each event and ack it; a stream's events in order. A handler that fails is tried again (`retry`);
   * when its attempts are used up its stream is set aside and the others go on (`onExhausted`). A handler must not wait
   * for `stop()` or `close()`, which wait for it: a DeadlockError says so (with a time limit they give it up).
   *
   * @throws ValidationError for an option that can't be right
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
    parse(method, handler, 'handler')
    const checked = parse(processOptions, options, 'options')
    const { view } = this.selection
    const seeing: Handler = (event, context) => {
      const call = this.#call(event, worker)
      const end = () => {
        call.active = false
      }
      let result: unknown
      try {
        result = handling(event, () => handler(view ? view(event) : event, context), call)
      } catch (error) {
        end()
        throw error
      }
      // Asked once: what is thenable may do its work whenever it is asked, as query builders do.
      if (isPromise(result)) return Promise.resolve(result).finally(end)
      end()
      return result
    }
    const worker: BaseWorker = this.#subscriptions.work(this, { handler: seeing, ...checked }, (deliver) => {
      const settings: Consumer = {
        deliver,
        end: (up) => worker.stopBefore(up),
        patienceMs: Infinity,
        strict: true,
      }
      return this.#subscriptions.start(this, settings).executor
    })
    return worker
  }

  /** A call of a handler for this event begins. */
  #call({ position }: RecordedEvent, worker?: BaseWorker): HandlerCall {
    const outer = openCall() // of a handler that has started this consumer
    return { store: this.db, worker, subscription: this.name, position, active: true, outer }
  }
}

/**
 * As users see it: what can be taken apart, and checks what it is given. An event that can't be read by its category's
 * schema is nothing to hand out: its stream is set aside, and the others flow.
 */
function toDelivery(
  handed: HandedOut,
  view: View | null,
  telemetry: ConsumerTelemetry | undefined,
  call: () => HandlerCall,
): (Delivery & WithTelemetry & Called) | undefined {
  const { attempt, partition } = handed
  const { logger } = handed.source.partition
  const position = handed.event.position
  const logged = (promise: Promise<void>) => {
    promise.catch((error) => logger.debug({ err: error, position }, 'an ack or park came too late'))
    return promise
  }
  let acked: Promise<void> | undefined
  let event: RecordedEvent
  try {
    event = view ? view(handed.event) : handed.event
  } catch (error) {
    logger.error({ err: error, position }, 'an event can not be read; its stream is set aside')
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
    nack: (options = {}) => handed.nack(parse(nackOptions, options, 'options')),
    park: (error) => {
      const { category, streamId, type } = handed.event
      const said = { err: readable(error), attempt, position, category, streamId, type }
      if (!handed.stale) logger.warn(said, 'a stream is set aside by its consumer')
      return logged(handed.park(error))
    },
    [CALL]: call,
    ...(telemetry ? { [START_PROCESSING]: () => telemetry.process(handed.event, attempt, partition) } : {}),
  }
}
