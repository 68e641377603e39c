// Runs a handler on what JetStream delivers.
import { abortable, settledOrAborted } from '../../core/abort.ts'
import type { Clock } from '../../core/clock.ts'
import { messageOf, readable } from '../../core/describe.ts'
import type { Logger } from '../../core/logger.ts'
import { Queue } from '../../core/queue.ts'
import type { StopOptions } from '../../core/stop-options.ts'
import { stopOptionsSchema, TimeLimit } from '../../core/stop-options.ts'
import { parse } from '../../core/validate.ts'
import type { HandlerCall } from '../../events/event-context.ts'
import { enclosingCall } from '../../events/event-context.ts'
import { rejectOwnHandler } from '../../events/own-handler.ts'
import type { View } from '../../events/selector.ts'
import { logEnd, logExhausted } from '../../subscriptions/ended.ts'
import { callScope, runIn } from '../../subscriptions/handler-scope.ts'
import type { HandlerContext } from '../../subscriptions/invoke.ts'
import { invoke } from '../../subscriptions/invoke.ts'
import type { RetryPolicy } from '../../subscriptions/retry.ts'
import { retryPause } from '../../subscriptions/retry.ts'
import type { Worker } from '../../subscriptions/worker.ts'
import type { HeldDelivery } from './delivery.ts'
import type { Intake, Sink } from './intake.ts'

/** What a handler gets besides the event. */
export interface JetStreamHandlerContext extends Omit<HandlerContext, 'client'> {
  /**
   * Whether the event was delivered before. It may have been handled then: `event.id` is the same each time, so it is the key by
   * which a repeat is recognised.
   */
  redelivered: boolean
}

export interface JetStreamHandling {
  readonly handler: (event: any, context: JetStreamHandlerContext) => unknown
  readonly concurrency: number
  readonly timeoutMs?: number | undefined
  readonly retry: RetryPolicy
  readonly onExhausted: 'park' | 'stop'
  readonly subscription: string
  readonly view: View | null
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * @internal
 * A worker, as that of a subscription in PostgreSQL.
 *
 *     starting -> running -> stopping (stop, close, or an error): the running handlers end -> ended
 */
export class JetStreamWorker implements Worker, Sink {
  readonly ready: Promise<void>
  readonly done: Promise<void>
  readonly #handling: JetStreamHandling
  readonly #limit: TimeLimit
  readonly #waiting = new Queue<HeldDelivery>()
  readonly #changed: () => void
  #running = 0
  #intake: Intake | undefined
  #failure: { error: unknown } | undefined
  #stop!: () => void
  #idle = () => {}

  /** @internal */
  constructor(
    handling: JetStreamHandling,
    start: (worker: Sink, stopping: AbortSignal) => Promise<Intake | undefined>,
    changed: () => void,
  ) {
    this.#handling = handling
    this.#changed = changed
    this.#limit = new TimeLimit(handling.clock)
    const stopping = new AbortController()
    const stopped = new Promise<void>((resolve) => {
      this.#stop = () => {
        stopping.abort()
        resolve()
      }
    })
    const started = start(this, stopping.signal)
    this.ready = started.then(() => {})
    this.ready.catch(() => {})
    this.done = this.#run(started, stopped)
    this.done.catch(() => {})
  }

  deliver(delivery: HeldDelivery): void {
    this.#waiting.push(delivery)
    this.#next()
  }

  failed(error: unknown): void {
    if (this.#failure) return
    logEnd(this.#handling.logger, this.#handling.subscription, error)
    this.#end(error)
  }

  changed(): void {
    this.#changed()
  }

  stop(options: StopOptions = {}): Promise<void> {
    try {
      const { timeoutMs } = parse(stopOptionsSchema, options, 'options')
      const own = timeoutMs === undefined ? enclosingCall(({ worker }) => worker === this) : undefined
      this.#stop()
      if (timeoutMs !== undefined) this.#limit.set(timeoutMs)
      const ended = abortable(this.done, this.#limit.over).catch(() => {})
      return rejectOwnHandler('worker.stop()', ended, own, this.#handling.clock)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #run(started: Promise<Intake | undefined>, stopped: Promise<void>): Promise<void> {
    try {
      this.#intake = await started.catch((error) => {
        this.failed(error)
        return undefined
      })
      await stopped
      this.#intake?.stop()
      for (let left = this.#waiting.shift(); left; left = this.#waiting.shift()) left.nack()
      const idle = new Promise<void>((resolve) => {
        this.#idle = resolve
      })
      if (this.#running > 0) await settledOrAborted(idle, this.#limit.up)
      if (this.#running > 0)
        this.#handling.logger.warn(
          { subscription: this.#handling.subscription, handlers: this.#running },
          `stop() of a worker of "${this.#handling.subscription}" gave up waiting for ${this.#running} handlers: their events are handled again`,
        )
      await this.#intake?.end()
      if (this.#failure) throw this.#failure.error
    } finally {
      this.#limit.clear()
      this.#changed()
    }
  }

  #end(error: unknown): void {
    this.#failure ??= { error }
    this.#stop()
  }

  #next(): void {
    const { concurrency } = this.#handling
    while (this.#running < concurrency) {
      const delivery = this.#waiting.shift()
      if (!delivery) return
      if (delivery.signal.aborted || this.#failure) {
        delivery.nack()
        continue
      }
      this.#running++
      this.#handle(delivery)
        .catch((error) => this.failed(error))
        .finally(() => {
          this.#running--
          if (this.#running === 0) this.#idle()
          this.#next()
        })
    }
  }

  async #handle(delivery: HeldDelivery): Promise<void> {
    const { handler, view, logger } = this.#handling
    const { event, redelivered } = delivery
    let seen = event
    try {
      if (view) seen = view(event)
    } catch (error) {
      logger.error(
        { err: error, position: event.position },
        'an event can not be read; its stream is parked: correct the schema, then replayParked() delivers it again',
      )
      return this.#park(delivery, error)
    }
    const call: HandlerCall = {
      store: this,
      worker: this,
      subscription: this.#handling.subscription,
      position: event.position,
      active: true,
      outer: enclosingCall(),
    }
    try {
      const run = (_: unknown, context: HandlerContext) =>
        runIn(callScope(event, call), () => handler(seen, { ...context, redelivered }))
      await invoke(run, delivery, this.#handling)
    } catch (error) {
      return this.#failed(delivery, readable(error))
    }
    // A replay may fail to remove what it has handled: then that comes again.
    await delivery.ack(false).catch(() => {})
  }

  async #failed(delivery: HeldDelivery, error: unknown): Promise<void> {
    const { retry, onExhausted, clock, logger, subscription } = this.#handling
    const { event, attempt, signal } = delivery
    if (signal.aborted) return delivery.nack()
    const { position, category, streamId, type } = event
    const details = { err: error, subscription, attempt, position, category, streamId, type }
    if (attempt < retry.maxAttempts) {
      logger.warn(details, 'a handler failed; trying again')
      return delivery.nack({ delayMs: retryPause(attempt, retry, clock) })
    }
    if (onExhausted === 'stop') {
      if (!this.#failure) logExhausted(logger, subscription, event, attempt, error)
      this.#end(error)
      return delivery.nack()
    }
    logger.error(
      details,
      'a handler failed for the last time; its stream is parked: remove the cause, then replayParked() delivers it again',
    )
    await this.#park(delivery, error)
  }

  async #park(delivery: HeldDelivery, error: unknown): Promise<void> {
    await delivery.park(error).catch((cause) => {
      this.#handling.logger.warn(
        { err: cause, position: delivery.event.position },
        `a stream could not be parked (${messageOf(cause)}); its event comes again`,
      )
    })
  }
}
