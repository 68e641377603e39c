import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { Subject } from 'rxjs'
import { abortable, settledOrAborted, sharedController } from '../core/abort.ts'
import { ClosedError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { Semaphore } from '../core/semaphore.ts'
import { TimeLimit } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { refuseWide, select, selectorOf } from '../events/selector.ts'
import type { Live } from '../live/live.ts'
import type { Reader } from '../read/reader.ts'
import type { ConsumerTelemetry, Standing } from '../telemetry/telemetry.ts'
import { BatchWorker, TransactionalBatchWorker } from './batches.ts'
import type { Consumer } from './consumer.ts'
import { SubscriptionNotFoundError } from './errors.ts'
import { Executor } from './executor.ts'
import { HandlerWorker } from './handler-worker.ts'
import type { BatchHandler, Handler } from './invoke.ts'
import type { SubscriptionOptions } from './options.ts'
import { subscriptionOptionsSchema } from './options.ts'
import { merge } from './status.ts'
import { Store } from './store.ts'
import type { Executors, Running } from './subscription.ts'
import { DurableSubscription } from './subscription.ts'
import { TransactionalWorker } from './transaction.ts'
import type { BaseWorker, Handling, HandlingOptions, Start, Worker } from './worker.ts'

/** Creates the durable subscriptions of a store in this process, and ends their executors when the store closes. @internal */
export class Subscriptions implements Executors {
  readonly #db: Queries
  readonly #live: Live
  readonly #reader: Reader
  readonly #slots: Semaphore
  readonly #running = new Map<string, Set<Running>>()
  /** Completes when the store is closed. */
  readonly closed$ = new Subject<never>()
  readonly #closing = sharedController()
  readonly #onWorker: (worker: Worker) => void

  /** `onWorker` is called with each worker that starts. */
  constructor(db: Queries, live: Live, reader: Reader, onWorker: (worker: Worker) => void = () => {}) {
    this.#onWorker = onWorker
    this.#db = db
    this.#live = live
    this.#reader = reader
    // One connection is kept free, or leases could not be renewed while handlers use all connections.
    const { pool, maxConnections } = db.settings
    this.#slots = new Semaphore(Math.max((pool?.options.max ?? maxConnections) - 1, 1))
  }

  get(subscription: string, options: SubscriptionOptions, mustExist = false): DurableSubscription {
    refuseWide(options, 'options')
    const checked = parse(subscriptionOptionsSchema, options, 'options')
    const { category } = options // it may contain schemas, which the parsed options do not
    const selection = select(selectorOf({ ...checked, category }), 'options')
    const name = parse(nameSchema, subscription, 'name')
    return new DurableSubscription(name, selection, { ...checked, mustExist }, this)
  }

  /** @internal */
  start(subscription: DurableSubscription<any>, consumer: Consumer): Running {
    if (this.#closing.signal.aborted) throw new ClosedError()
    const { name, selection, options, statuses } = subscription
    const siblings = this.#running.get(name) ?? new Set()
    this.#running.set(name, siblings)
    // Executors of this process that only wait for late acks release their partitions at once.
    const leaving = [...siblings].filter(({ retired }) => retired)
    const owner = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`
    const releasing = sharedController()
    const about = { name, owner, selection, ...options }
    const store = new Store(this.#db, this.#reader, about, releasing.signal, this.#live.budget)
    const { pollIntervalMs } = this.#db.settings
    const executor = new Executor(
      {
        register: async () => {
          // Forgotten then, or consumers that always follow one another would keep all those before them in memory.
          await Promise.all(leaving.splice(0).map(({ executor }) => executor.release()))
          await store.register(options.from, options.mustExist)
        },
        follow: (after) => this.#live.follow(selection, after),
        onWake: (wake) => this.#onWake(store, wake),
        onHistoryLost: (lost) => this.#db.timeline.onLoss(lost),
        checkReached: async (position) => {
          if (position <= this.#db.timeline.position) return
          await retryForever(() => this.#reader.reaches(position), retryPolicy(this.#db, releasing.signal))
        },
        status: (status) => statuses.set(owner, status),
        isWatched: () => statuses.status$.observed,
      },
      store,
      { name, ...options, pollIntervalMs },
      releasing,
      consumer,
    )
    const running: Running = { executor, consumer, retired: false }
    siblings.add(running)
    executor.done
      .catch(() => {}) // the executor has logged it
      .finally(() => {
        siblings.delete(running)
        if (siblings.size === 0 && this.#running.get(name) === siblings) this.#running.delete(name)
      })
    return running
  }

  /** @internal */
  work(subscription: DurableSubscription<any>, handling: HandlingOptions<Handler>): BaseWorker {
    const worker = handling.transactional
      ? new TransactionalWorker(...this.#transactional(subscription, handling))
      : new HandlerWorker(this.#start(subscription), this.#handling(subscription, handling))
    this.#onWorker(worker)
    return worker
  }

  /** @internal */
  workInBatches(
    subscription: DurableSubscription<any>,
    options: Omit<HandlingOptions<BatchHandler>, 'fullSize'>,
  ): BaseWorker<BatchHandler> {
    // A larger batch would wait in vain to be filled.
    const { maxInFlight, partitions } = subscription.options
    const fullSize = Math.max(Math.floor(maxInFlight / partitions), 1)
    const handling = { ...options, fullSize: Math.min(options.batchSize, fullSize) }
    const worker = handling.transactional
      ? new TransactionalBatchWorker(...this.#transactional(subscription, handling))
      : new BatchWorker(this.#start(subscription), this.#handling(subscription, handling))
    this.#onWorker(worker)
    return worker
  }

  #transactional<H>(subscription: DurableSubscription<any>, options: HandlingOptions<H>) {
    const { leaseMs } = subscription.options
    const handling = this.#handling(subscription, options)
    return [this.#start(subscription), handling, this.#db, leaseMs, this.#slots] as const
  }

  #start(subscription: DurableSubscription<any>): Start {
    return (worker) => this.start(subscription, worker).executor
  }

  #handling<H>({ name }: DurableSubscription<any>, options: HandlingOptions<H>): Handling<H> {
    const { clock, settings } = this.#db
    const { logger } = settings
    return { ...options, clock, logger, telemetry: this.telemetry(name), subscription: name }
  }

  /**
   * Run an action on a subscription. If this process is just creating the subscription, wait for that first; reject when the
   * signal aborts before.
   */
  async known<T>(
    subscription: string,
    action: () => Promise<T>,
    signal: AbortSignal = this.#closing.signal,
  ): Promise<T> {
    const begun = [...(this.#running.get(subscription) ?? [])].map(({ executor }) => executor.ready)
    try {
      return await action()
    } catch (error) {
      if (!(error instanceof SubscriptionNotFoundError) || begun.length === 0) throw error
      await Promise.any(begun.map((ready) => abortable(ready, signal))).catch(() => {
        throw signal.aborted ? signal.reason : error
      })
      return action()
    }
  }

  /** Resolves when all executors of this process are registered, or have failed to be. Rejects when the signal aborts. */
  async registered(signal: AbortSignal): Promise<void> {
    const starting = [...this.#running.values()].flatMap((siblings) =>
      [...siblings].map(({ executor }) => abortable(executor.ready, signal).catch(() => {})),
    )
    await Promise.all(starting)
    signal.throwIfAborted()
  }

  /** An observer of its status came. @internal */
  watch(subscription: string): void {
    for (const { executor } of this.#running.get(subscription) ?? []) executor.report.count()
  }

  /** @internal */
  get db(): Queries {
    return this.#db
  }

  /** @internal */
  telemetry(subscription: string): ConsumerTelemetry | undefined {
    return this.#db.telemetry?.consumer(subscription)
  }

  /** The status of each subscription that has executors in this process. */
  standings(): Promise<Standing[]> {
    const ask = async ([subscription, siblings]: [string, Set<Running>]) => {
      const all = await Promise.all([...siblings].map(({ executor }) => executor.report.read()))
      const { lag, inFlight } = merge(all)
      return { subscription, lag, inFlight }
    }
    return Promise.all([...this.#running].map(ask))
  }

  /** Whether the store is closed, so that no executor starts any more. */
  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Whether any executor runs. */
  get running(): boolean {
    return this.#running.size > 0
  }

  /** End all executors. Resolves when they have ended, or when the time limit is over. */
  async close({ up, over }: Pick<TimeLimit, 'up' | 'over'> = new TimeLimit(this.#db.clock)): Promise<void> {
    this.#closing.abort(new ClosedError())
    const ends = [...this.#running.values()].flatMap((siblings) =>
      [...siblings].map(({ consumer }) => consumer.end(up)),
    )
    await settledOrAborted(Promise.all(ends), over)
    if (over.aborted)
      this.#db.settings.logger.warn(
        { subscriptions: [...this.#running.keys()] },
        'the store closes before all partitions are released, because the database does not answer; their leases expire by themselves',
      )
    this.closed$.complete()
  }

  #onWake(store: Store, wake: () => void): () => void {
    const closing = new AbortController()
    let off = () => {}
    const { clock, settings } = this.#db
    // Without a listen connection each poll wakes the executor.
    const endPolls = clock.every(settings.pollIntervalMs, () => this.#live.listener.listening || wake())
    retryForever(() => store.channel(), retryPolicy(this.#db, closing.signal))
      .then((channel) => {
        if (!closing.signal.aborted) off = this.#live.listener.on(channel, wake)
      })
      .catch((err) => {
        if (!closing.signal.aborted)
          settings.logger.error(
            { err },
            'an executor can not listen for wake-ups; it claims partitions at intervals',
          )
      })
    return () => {
      closing.abort()
      endPolls()
      off()
    }
  }
}
