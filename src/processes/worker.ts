// A running process manager: the worker of its subscription, and its timers.
import type { StopOptions } from '../core/stop-options.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { TimerRunner } from '../timers/runner.ts'
import type { ProcessTimers } from './timers.ts'

/** Fires the timers of a process manager as long as its worker runs. */
export class ProcessWorker implements Worker {
  readonly ready: Promise<void>
  readonly done: Promise<void>
  readonly #worker: Worker
  #removeTimers = () => {}
  #stopTimers = () => {}
  #failure: { error: unknown } | undefined

  constructor(
    worker: Worker,
    runner: TimerRunner,
    timersOf: (onStop: (error: unknown) => void) => ProcessTimers,
  ) {
    this.#worker = worker
    const timers = timersOf((error) => {
      this.#failure ??= { error }
      void this.stop()
    })
    this.#stopTimers = () => timers.stop()
    let hasEnded = false
    this.ready = worker.ready.then(() => {
      if (!hasEnded) this.#removeTimers = runner.add(timers)
    })
    this.ready.catch(() => {}) // `done` tells it, too
    this.done = worker.done
      .finally(() => {
        hasEnded = true
        this.#removeTimers()
        timers.stop()
        return timers.idle
      })
      .then(() => {
        if (this.#failure) throw this.#failure.error
      })
    this.done.catch(() => {}) // it is logged
  }

  async stop(options?: StopOptions): Promise<void> {
    this.#removeTimers()
    this.#stopTimers()
    await this.#worker.stop(options)
    await this.done.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
