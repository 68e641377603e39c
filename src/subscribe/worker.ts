import type { Clock } from '../clock.ts'
import { LeaseLostError } from '../errors.ts'
import { streamKey } from '../event.ts'
import { Signal } from '../live/signal.ts'
import type { Logger } from '../options.ts'
import type { ConsumerTelemetry } from '../telemetry/telemetry.ts'
import type { HandedOut } from './delivery.ts'
import type { Executor } from './executor.ts'
import type { Handler } from './invoke.ts'
import { invoke } from './invoke.ts'
import type { RetryOptions } from './retry.ts'
import { retryPause } from './retry.ts'
import { Streams } from './streams.ts'

/** A running executor with a handler. */
export interface Worker extends AsyncDisposable {
  /** Resolves once it is registered as an executor; rejects where it can't be. */
  readonly ready: Promise<void>
  /** Finish the events in hand, write the checkpoints, give the partitions back. Twice is fine. */
  stop(): Promise<void>
  /** Settles when it has ended: resolves after `stop()`, rejects with the error that ended it. */
  readonly done: Promise<void>
}

/** How a worker handles; complete. */
export interface Handling {
  readonly handler: Handler
  readonly concurrency: number
  readonly timeoutMs?: number | undefined
  readonly batchSize: number
  readonly retry: Readonly<Required<RetryOptions>>
  readonly onExhausted: 'park' | 'stop'
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: ConsumerTelemetry | undefined
  /** Its name. */
  readonly subscription: string
}

/** Makes the executor whose deliveries go to `deliver`. */
export type Start = (deliver: (delivery: HandedOut) => void) => Executor

/** What both kinds of workers have in common: a life, and what becomes of a handler's failure. */
export abstract class BaseWorker implements Worker {
  ready!: Promise<void>
  done!: Promise<void>
  protected readonly handling: Handling
  protected stopping = false
  /** All is drained and given back. */
  protected ended = false
  #executor!: Executor
  #failure: { error: unknown } | undefined

  constructor(handling: Handling) {
    this.handling = handling
  }

  /** Begin; the last thing that a constructor does. */
  protected launch(start: Start): void {
    this.#executor = start((delivery) => this.deliver(delivery))
    this.ready = this.#executor.ready
    this.done = this.#executor.done
      .finally(() => {
        this.stopping = this.ended = true
        this.wake()
      })
      .finally(() => {
        if (this.#failure) throw this.#failure.error
      })
    this.done.catch(() => {}) // logged, never unhandled
  }

  protected abstract deliver(delivery: HandedOut): void

  /** Something to look at: a delivery, the end. */
  protected wake(): void {}

  protected get failed(): boolean {
    return this.#failure !== undefined
  }

  /** The error that ends the worker. */
  protected fail(error: unknown): void {
    const { logger, subscription } = this.handling
    if (!this.#failure) logger.error({ err: error, subscription }, 'a worker ends with an error')
    this.#failure ??= { error }
    this.stopping = true
    this.#executor.stop()
    this.wake()
  }

  /** How long to wait before the next attempt; null: there is none. */
  protected pause({ attempt, event }: HandedOut, error: unknown): number | null {
    const { retry, clock, logger, subscription, onExhausted } = this.handling
    const { position, category, streamId, type } = event
    const said = { err: error, subscription, attempt, position, category, streamId, type }
    if (attempt >= retry.maxAttempts) {
      if (onExhausted === 'park')
        logger.error(said, 'a handler failed for the last time; its stream is set aside')
      return null
    }
    logger.warn(said, 'a handler failed; trying again')
    return retryPause(attempt, retry, clock)
  }

  async stop(): Promise<void> {
    this.stopping = true
    this.#executor.stop()
    this.wake()
    await this.done.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** Runs a handler over deliveries, several streams at once, one stream in order, acking each. */
export class HandlerWorker extends BaseWorker {
  readonly #streams: Streams<HandedOut>
  readonly #arrived = new Signal()

  constructor(start: Start, handling: Handling) {
    super(handling)
    this.#streams = new Streams(handling.concurrency, ({ event }) => streamKey(event))
    this.launch(start)
    this.#run().catch((error) => this.fail(error))
  }

  protected deliver(delivery: HandedOut): void {
    this.#streams.push(delivery)
    this.#arrived.fire()
  }

  protected override wake(): void {
    this.#arrived.fire()
  }

  async #run(): Promise<void> {
    // A drain waits for some that are not begun yet.
    while (!this.ended) {
      const arrived = this.#arrived.next()
      for (let delivery = this.#streams.next(); delivery; delivery = this.#streams.next()) {
        const handled = this.#handle(delivery)
        if (handled) this.#finish(handled, delivery)
        else this.#streams.done(delivery)
      }
      await arrived
    }
  }

  async #finish(handled: Promise<void>, delivery: HandedOut): Promise<void> {
    await handled.catch((error) => this.fail(error))
    this.#streams.done(delivery)
    this.#arrived.fire()
  }

  /** A promise only where there is something to wait for. */
  #handle(delivery: HandedOut): undefined | Promise<void> {
    if (this.failed) return void delivery.nack() // let go of it
    if (!delivery.certain)
      return delivery.ours().then((ours) => (ours ? this.#handle(delivery) : delivery.nack()))
    if (!delivery.begin()) return
    try {
      const result = invoke(this.handling.handler, delivery, this.handling)
      if (!result) {
        delivery.done()
        return
      }
      return result.then(
        () => delivery.done(),
        (error) => this.#failed(delivery, error),
      )
    } catch (error) {
      return this.#failed(delivery, error)
    }
  }

  async #failed(delivery: HandedOut, error: unknown): Promise<void> {
    // Told to hurry, it gave up: that is no fault of the event, which comes again.
    if (delivery.signal.aborted) return delivery.nack({ error })
    const delayMs = this.pause(delivery, error)
    if (delayMs !== null) return delivery.nack({ delayMs, error })
    if (this.handling.onExhausted === 'stop') {
      delivery.nack({ error })
      return this.fail(error)
    }
    await delivery.park(error).catch((cause) => {
      if (!(cause instanceof LeaseLostError) && !delivery.signal.aborted) throw cause
    })
  }
}
