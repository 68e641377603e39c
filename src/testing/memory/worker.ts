// A worker of a subscription in memory.
import { sharedController } from '../../core/abort.ts'
import { systemClock } from '../../core/clock.ts'
import { deferred } from '../../core/deferred.ts'
import { readable } from '../../core/describe.ts'
import { TimeoutError } from '../../core/errors.ts'
import type { StopOptions } from '../../core/stop-options.ts'
import { stopOptionsSchema } from '../../core/stop-options.ts'
import { withTimeout } from '../../core/timeout.ts'
import { parse } from '../../core/validate.ts'
import type { RecordedEvent } from '../../events/event.ts'
import { streamKey } from '../../events/event.ts'
import { enclosingCall } from '../../events/event-context.ts'
import { rejectOwnHandler } from '../../events/own-handler.ts'
import type { HandlerContext } from '../../subscriptions/invoke.ts'
import type { RetryPolicy } from '../../subscriptions/retry.ts'
import { retryPause } from '../../subscriptions/retry.ts'
import type { Worker } from '../../subscriptions/worker.ts'
import type { Consumer, Item } from './consumer.ts'
import type { MemoryTime } from './time.ts'

/** Not random, so that a test knows when a handler is tried again: each pause is the longest that the options allow. */
export const steady = { ...systemClock, random: () => 1 }

/** How a worker handles events. */
export interface MemoryHandling {
  handle(events: RecordedEvent[], context: HandlerContext, worker: Worker): unknown
  /** How many events a call gets at most. */
  readonly batchSize: number
  readonly concurrency: number
  readonly timeoutMs?: number | undefined
  readonly retry: RetryPolicy
  readonly onExhausted: 'park' | 'stop'
}

/** Takes events of a subscription and handles them, until it is stopped. */
export class MemoryWorker implements Worker {
  readonly ready: Promise<void>
  readonly done: Promise<void>
  readonly #consumer: Consumer
  readonly #handling: MemoryHandling
  readonly #time: MemoryTime
  readonly #ended = deferred()
  readonly #stopping = sharedController()
  readonly #calls = new Set<readonly Item[]>()
  #failure: { error: unknown } | undefined
  /** Whether what its handlers still do has no effect. */
  #hasGivenUp = false

  /** With a `refusal` it ends at once. */
  constructor(consumer: Consumer, handling: MemoryHandling, time: MemoryTime, refusal?: Error) {
    this.#consumer = consumer
    this.#handling = handling
    this.#time = time
    this.done = this.#ended.promise
    this.done.catch(() => {}) // callers that want the result await it
    this.ready = refusal ? Promise.reject(refusal) : Promise.resolve()
    this.ready.catch(() => {})
    if (refusal) this.fail(refusal)
    else consumer.workers.add(this)
    time.wake()
  }

  /** Aborts when the worker begins no further event. */
  get stopped(): AbortSignal {
    return this.#stopping.signal
  }

  /** Begins what can begin now. */
  pump(): void {
    const { concurrency, batchSize } = this.#handling
    while (!this.#stopping.signal.aborted && this.#calls.size < concurrency) {
      const items = this.#consumer.take(batchSize)
      if (items.length === 0) return
      this.#calls.add(items)
      const end = this.#time.begin()
      this.#run(items)
        .finally(() => {
          this.#calls.delete(items)
          this.#time.wake()
          this.#endIfDone()
          end()
        })
        .catch((error) => this.fail(error))
    }
  }

  /** A batch that fails is split, until the event that fails is alone. The later events of its stream wait for it. */
  async #run(items: readonly Item[], held = new Set<string>()): Promise<void> {
    const open = items.filter(({ event }) => !held.has(streamKey(event)))
    for (const item of items) if (!open.includes(item)) item.isTaken = false
    if (open.length === 0) return
    try {
      await this.#call(open)
    } catch (error) {
      if (this.#hasGivenUp) return
      if (open.length === 1) {
        held.add(streamKey(open[0]!.event))
        this.#failed(open[0]!, error)
        return
      }
      const middle = Math.ceil(open.length / 2)
      await this.#run(open.slice(0, middle), held)
      await this.#run(open.slice(middle), held)
      return
    }
    if (!this.#hasGivenUp) this.#consumer.handled(open)
  }

  async #call(items: readonly Item[]): Promise<void> {
    const { handle, timeoutMs } = this.#handling
    const stop = sharedController()
    const { signal } = this.#stopping
    const abort = () => stop.abort(signal.reason)
    signal.addEventListener('abort', abort)
    const attempt = items.length === 1 ? items[0]!.attempts + 1 : 1
    const events = items.map(({ event }) => event)
    const run = async () => handle(events, { attempt, signal: stop.signal }, this)
    try {
      if (timeoutMs === undefined) await run()
      else
        await withTimeout(timeoutMs, run, () => {
          const error = new TimeoutError('a handler', timeoutMs)
          stop.abort(error)
          throw error
        })
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  #failed(item: Item, thrown: unknown): void {
    const { retry, onExhausted } = this.#handling
    item.isTaken = false
    // The handler gave up because its worker stops. That is no attempt.
    if (this.#stopping.signal.aborted) return
    item.attempts++
    if (item.attempts < retry.maxAttempts) {
      item.readyAt = this.#time.now() + retryPause(item.attempts, retry, steady)
      return
    }
    const error = readable(thrown)
    if (onExhausted === 'park') this.#consumer.park(item, error)
    else {
      item.attempts = 0
      this.fail(error)
    }
  }

  /** Ends the worker with an error. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#begin()
  }

  stop(options: StopOptions = {}): Promise<void> {
    try {
      const { timeoutMs } = parse(stopOptionsSchema, options, 'options')
      const own = timeoutMs === undefined ? enclosingCall(({ worker }) => worker === this) : undefined
      return rejectOwnHandler('worker.stop()', this.#stop(timeoutMs), own, systemClock)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async #stop(timeoutMs?: number): Promise<void> {
    this.#begin()
    const forget = timeoutMs === undefined ? () => {} : systemClock.after(timeoutMs, () => this.#giveUp())
    await this.done.catch(() => {})
    forget()
  }

  #begin(): void {
    this.#consumer.workers.delete(this)
    this.#stopping.abort()
    this.#endIfDone()
  }

  /** Does not wait for handlers any longer: their events are handled again. */
  #giveUp(): void {
    if (this.#calls.size > 0) this.#hasGivenUp = true
    for (const items of this.#calls) for (const item of items) item.isTaken = false
    this.#calls.clear()
    this.#time.wake()
    this.#endIfDone()
  }

  #endIfDone(): void {
    if (!this.#stopping.signal.aborted || this.#calls.size > 0) return
    if (this.#failure) this.#ended.reject(this.#failure.error)
    else this.#ended.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
