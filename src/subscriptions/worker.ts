import { abortable, whenAborted } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { readable } from '../core/describe.ts'
import type { Logger } from '../core/logger.ts'
import type { StopOptions } from '../core/stop-options.ts'
import { stopOptionsSchema, TimeLimit } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import { enclosingCall } from '../events/event-context.ts'
import { rejectOwnHandler } from '../events/own-handler.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { Consumer } from './consumer.ts'
import type { DeliveryOwner, InternalDelivery, Retry } from './delivery.ts'
import { logEnd, logExhausted } from './ended.ts'
import { LeaseLostError } from './errors.ts'
import type { Executor } from './executor.ts'
import type { Handler } from './invoke.ts'
import { Outage } from './outage.ts'
import type { RetryPolicy } from './retry.ts'
import { retryPause } from './retry.ts'

/** An executor that runs a handler. `subscription.process` starts it. */
export interface Worker extends AsyncDisposable {
  /** Resolves when it is registered as an executor; rejects if that fails. */
  readonly ready: Promise<void>
  /**
   * Finishes the running handlers, writes the checkpoints, and releases the partitions. It may be called several times.
   *
   * By default it waits until all handlers end. With `timeoutMs` (in ms, minimum 0) it gives up handlers that have not ended by
   * then, and logs a warning for each. Other executors handle their events again at once. What such a handler still does has
   * no effect on the checkpoint; with `transactional` its transaction is rolled back. If `stop` is called several times, the
   * shortest limit counts. Releasing the partitions may take 5 s more if the database does not answer.
   *
   * @throws ValidationError for an invalid `timeoutMs`
   * @throws DeadlockError if a handler of this worker waits for it without a `timeoutMs`; the worker stops nevertheless
   * @example
   * await worker.stop({ timeoutMs: 10_000 })
   */
  stop(options?: StopOptions): Promise<void>
  /** Resolves when it has ended after `stop()`; rejects with the error that ended it. */
  readonly done: Promise<void>
  /** `stop()` without a limit. */
  [Symbol.asyncDispose](): Promise<void>
}

/** How a worker handles events: all options, with defaults. */
export interface Handling<H = Handler> {
  readonly handler: H
  readonly concurrency: number
  readonly timeoutMs?: number | undefined
  readonly batchSize: number
  /** How long a batch waits to be filled, in ms, and with how many events it is taken to be full. */
  readonly maxWaitMs: number
  readonly fullSize: number
  readonly retry: RetryPolicy
  readonly outage: false | { readonly streams: number }
  readonly onExhausted: 'park' | 'stop'
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: ConsumerTelemetry | undefined
  /** The name of the subscription. */
  readonly subscription: string
}

/** What a caller says of how events are handled. */
export type HandlingOptions<H> = Omit<Handling<H>, 'clock' | 'logger' | 'telemetry' | 'subscription'> & {
  readonly transactional: boolean
}

/** Starts the executor of a worker. */
export type Start = (worker: Consumer) => Executor

/**
 * What all kinds of workers share: how they start and stop, and what happens after a handler failed.
 *
 *     running -> stopping (stop, or an error) -> ended
 */
export abstract class BaseWorker<H = Handler> implements Worker, Consumer {
  readonly ackWaitMs = Infinity
  readonly isWorker = true
  ready!: Promise<void>
  done!: Promise<void>
  protected readonly handling: Handling<H>
  protected stopping = false
  /** All partitions are released. */
  protected ended = false
  /** Deliveries whose handler runs. */
  protected readonly running = new Set<InternalDelivery>()
  readonly #limit: TimeLimit
  protected readonly outage: Outage
  readonly #watched = new WeakSet<DeliveryOwner>()
  #executor!: Executor
  #failure: { error: unknown } | undefined

  constructor(handling: Handling<H>) {
    this.handling = handling
    this.#limit = new TimeLimit(handling.clock)
    const { outage, retry, subscription, clock, logger } = handling
    this.outage = new Outage(
      {
        streams: outage ? outage.streams : Infinity,
        maxDelayMs: retry.maxDelayMs,
        subscription,
        clock,
        logger,
      },
      { changed: (failing) => this.#executor.report.failing(failing), wake: () => this.wake() },
    )
  }

  /** Start the executor. A constructor calls this last. */
  protected launch(start: Start): void {
    this.#executor = start(this)
    this.ready = this.#executor.ready
    const forget = whenAborted(this.givenUp, () => this.#giveUp())
    const forgetLast = whenAborted(this.#limit.over, () => void this.#executor.release())
    this.done = this.#executor.done
      .finally(() => {
        this.stopping = this.ended = true
        this.outage.close()
        this.wake()
        return this.released()
      })
      .finally(() => {
        forget()
        forgetLast()
        this.#limit.clear()
      })
      .finally(() => {
        if (this.#failure) throw this.#failure.error
      })
    this.done.catch(() => {}) // it is logged, so it must not be unhandled
  }

  abstract deliver(delivery: InternalDelivery): void

  /** Called when something changed, for example the outage or the end. */
  protected wake(): void {}

  /** Resolves when everything has ended that runs on after the partitions are released. */
  protected async released(): Promise<void> {}

  /** Wake also when this partition is handed over or lost. */
  protected watch(partition: DeliveryOwner): void {
    if (this.#watched.has(partition)) return
    this.#watched.add(partition)
    const left = () => {
      this.outage.left()
      this.wake()
    }
    partition.lease.signal.addEventListener('abort', left, { once: true })
  }

  protected get failed(): boolean {
    return this.#failure !== undefined
  }

  /** Aborts when handlers are not waited for any more. */
  protected get givenUp(): AbortSignal {
    return this.#limit.up
  }

  /** End the worker with an error. `exhausted` is the delivery whose attempts are used up, if a handler is the reason. */
  protected fail(error: unknown, exhausted?: InternalDelivery): void {
    const { logger, subscription } = this.handling
    if (!this.#failure && exhausted)
      logExhausted(logger, subscription, exhausted.event, exhausted.attempt, error)
    else if (!this.#failure) logEnd(logger, subscription, error)
    this.#failure ??= { error }
    this.stopping = true
    this.#executor.fail(error)
    this.wake()
  }

  /** Decide what happens after a failure: the pause before the next attempt, and whether this one counts. */
  protected retry(delivery: InternalDelivery, error: unknown): Retry {
    const { retry, clock, logger, subscription, onExhausted } = this.handling
    const { attempt, event } = delivery
    const { position, category, streamId, type } = event
    const details = { err: error, subscription, attempt, position, category, streamId, type }
    if (!this.outage.failed(delivery, error)) {
      logger.warn(details, 'a handler failed during an outage; trying again, this attempt does not count')
      return { delayMs: this.outage.pauseMs, counts: false }
    }
    if (attempt >= retry.maxAttempts) {
      if (onExhausted === 'park') {
        logger.error(
          details,
          'a handler failed for the last time; its stream is parked: remove the cause, then replayParked() delivers it again',
        )
        this.outage.parked(delivery)
      }
      return { delayMs: null, counts: true }
    }
    logger.warn(details, 'a handler failed; trying again')
    return { delayMs: retryPause(attempt, retry, clock), counts: true }
  }

  /** After a failure of its handler: deliver it again, park its stream, or end the worker. */
  protected async handlerFailed(delivery: InternalDelivery, thrown: unknown): Promise<void> {
    const error = readable(thrown)
    // The handler gave up because its signal aborted. That is no attempt, and the event comes again.
    if (delivery.signal.aborted) return delivery.nack({ error })
    const { delayMs, counts } = this.retry(delivery, error)
    if (delayMs !== null) return delivery.nack({ delayMs, error, counts })
    if (this.handling.onExhausted === 'stop') {
      delivery.nack({ error })
      return this.fail(error, delivery)
    }
    await delivery.park(error).catch((cause) => {
      if (!(cause instanceof LeaseLostError) && !delivery.signal.aborted) throw cause
    })
  }

  stop(options: StopOptions = {}): Promise<void> {
    try {
      const { timeoutMs } = parse(stopOptionsSchema, options, 'options')
      const own = timeoutMs === undefined ? enclosingCall(({ worker }) => worker === this) : undefined
      return rejectOwnHandler('worker.stop()', this.#stop(timeoutMs), own, this.handling.clock)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async #stop(timeoutMs?: number): Promise<void> {
    this.stopping = true
    this.#executor.stop()
    this.wake()
    if (timeoutMs !== undefined) this.#limit.set(timeoutMs)
    await abortable(this.done, this.#limit.over).catch(() => {})
  }

  /** `stop()` that gives up running handlers when the signal aborts. */
  async end(up: AbortSignal): Promise<void> {
    const forget = whenAborted(up, () => void this.stop({ timeoutMs: 0 }))
    await this.#stop().finally(forget)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #giveUp(): void {
    const { logger, subscription } = this.handling
    for (const { stale, entry, event, attempt, partition } of this.running) {
      if (stale || entry.state !== 'out') continue
      const { position, category, streamId, type } = event
      logger.warn(
        { subscription, partition, position, category, streamId, type, attempt },
        `stop() of a worker of "${subscription}" gave up waiting for the handler of position ${position} (${type} of stream "${category}/${streamId}"): the event is handled again, and what this handler still does has no effect on the checkpoint`,
      )
    }
    this.#executor.giveUp()
  }
}
