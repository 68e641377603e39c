import type { RecordedEvent } from '../event.ts'
import { Signal } from '../live/signal.ts'
import type { HandedOut } from './delivery.ts'
import type { Executor } from './executor.ts'
import { Queue } from './queue.ts'

export interface HandlerContext {
  /** 1, 2, 3 … */
  attempt: number
  /** Aborts when the worker is stopped or its lease is lost: finish soon. */
  signal: AbortSignal
}

/** Handles one event; the event is acked when it returns or its promise resolves. */
export type Handler<E = RecordedEvent> = (event: E, context: HandlerContext) => unknown | Promise<unknown>

/** A running executor with a handler. */
export interface Worker extends AsyncDisposable {
  /** Resolves once it is registered as an executor; rejects where it can't be. */
  readonly ready: Promise<void>
  /** Finish the event in hand, write the checkpoint, give the partition back. Twice is fine. */
  stop(): Promise<void>
  /** Settles when it has ended: resolves after `stop()`, rejects with the error that ended it. */
  readonly done: Promise<void>
}

/** Runs a handler over deliveries, one after the other. A handler that fails ends the worker; its event stays unacked. */
export class HandlerWorker implements Worker {
  readonly ready: Promise<void>
  readonly done: Promise<void>
  readonly #executor: Executor
  readonly #queue = new Queue<HandedOut>() // at most maxInFlight
  readonly #arrived = new Signal()
  #stopping = false

  constructor(
    start: (deliver: (delivery: HandedOut) => void) => Executor,
    handler: Handler,
    failed: (error: unknown) => void,
  ) {
    this.#executor = start((delivery) => {
      this.#queue.push(delivery)
      this.#arrived.fire()
    })
    this.ready = this.#executor.ready
    this.done = this.#run(handler, failed)
    this.done.catch(() => {}) // logged, never unhandled
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#executor.stop()
    this.#arrived.fire()
    await this.done.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #run(handler: Handler, failed: (error: unknown) => void): Promise<void> {
    const ended = this.#executor.done.finally(() => {
      this.#stopping = true
      this.#arrived.fire()
    })
    ended.catch(() => {})
    try {
      while (!this.#stopping) {
        const delivery = this.#queue.shift()
        if (!delivery) {
          await this.#arrived.next()
        } else if (delivery.certain || (await delivery.ours())) {
          const result = handler(delivery.event, { attempt: delivery.attempt, signal: delivery.signal })
          if (isPromise(result)) await result // a tick an event is much for a handler that needs none
          delivery.done()
        }
      }
    } catch (error) {
      failed(error)
      throw error
    } finally {
      await this.#executor.release()
    }
    await ended
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null)?.then === 'function'
}
