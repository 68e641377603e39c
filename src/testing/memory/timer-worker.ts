// `runTimers` of a store in memory.

import { deferred } from '../../core/deferred.ts'
import { ClosedError } from '../../core/errors.ts'
import type { StopOptions } from '../../core/stop-options.ts'
import { stopOptionsSchema } from '../../core/stop-options.ts'
import { parse } from '../../core/validate.ts'
import type { Worker } from '../../subscriptions/worker.ts'

/** The workers that only fire timers. */
export class TimerHolder {
  readonly #ends = new Set<() => void>()
  readonly #wake: () => void
  #closed = false

  constructor(wake: () => void) {
    this.#wake = wake
  }

  /** Whether any worker runs. */
  get running(): boolean {
    return this.#ends.size > 0
  }

  start(): Worker {
    if (this.#closed) throw new ClosedError()
    const { promise: done, resolve } = deferred()
    const end = () => {
      this.#ends.delete(end)
      resolve()
    }
    this.#ends.add(end)
    this.#wake()
    const stop = async (options: StopOptions = {}) => {
      parse(stopOptionsSchema, options, 'options')
      end()
    }
    return { ready: Promise.resolve(), done, stop, [Symbol.asyncDispose]: () => stop() }
  }

  close(): void {
    this.#closed = true
    for (const end of this.#ends) end()
  }
}
