// A running process manager: the worker of its subscription, and its timers.
import { settledOrAborted } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import type { StopOptions } from '../core/stop-options.ts'
import { stopOptionsSchema, TimeLimit } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { TimerRunner } from '../timers/runner.ts'
import type { ProcessTimers } from './timers.ts'

/** Fires the timers of a process manager as long as its worker runs. */
export class ProcessWorker implements Worker {
  readonly ready: Promise<void>
  readonly done: Promise<void>
  readonly #worker: Worker
  readonly #clock: Clock
  #removeTimers = () => {}
  #stopTimers = () => {}
  #failure: { error: unknown } | undefined

  constructor(
    worker: Worker,
    runner: TimerRunner,
    clock: Clock,
    timersOf: (onStop: (error: unknown) => void) => ProcessTimers,
  ) {
    this.#worker = worker
    this.#clock = clock
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

  /** The timers get what is left of the time. A transaction of them that takes longer still ends by itself. */
  async stop(options: StopOptions = {}): Promise<void> {
    const { timeoutMs } = parse(stopOptionsSchema, options, 'options')
    const limit = new TimeLimit(this.#clock)
    if (timeoutMs !== undefined) limit.set(timeoutMs)
    this.#removeTimers()
    this.#stopTimers()
    try {
      await this.#worker.stop(options)
      await settledOrAborted(this.done, limit.up).catch(() => {})
    } finally {
      limit.clear()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
