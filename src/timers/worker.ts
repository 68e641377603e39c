// `runTimers`: a worker that only fires timers.
import { abortable } from '../core/abort.ts'
import { deferred } from '../core/deferred.ts'
import type { Logger } from '../core/logger.ts'
import type { StopOptions } from '../core/stop-options.ts'
import { stopOptionsSchema } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { TimerRunner } from './runner.ts'

/** Lets the process fire timers until the worker is stopped or the store closes. */
export class TimerWorker implements Worker {
  readonly ready: Promise<void>
  readonly done: Promise<void>
  readonly #end: () => void

  constructor(runner: TimerRunner, closing: AbortSignal, logger: Logger) {
    const ending = new AbortController()
    const release = runner.hold()
    runner.askAgain()
    const stopped = deferred()
    this.#end = () => {
      release()
      stopped.resolve()
      ending.abort()
    }
    this.ready = abortable(runner.asked, ending.signal)
    this.ready.catch((error) => {
      release()
      if (ending.signal.aborted) return
      logger.error({ err: error }, 'runTimers() has ended: this role can not fire timers')
      stopped.reject(error)
    })
    this.done = stopped.promise
    closing.addEventListener('abort', this.#end, { once: true })
    this.done.finally(() => closing.removeEventListener('abort', this.#end)).catch(() => {})
  }

  async stop(options: StopOptions = {}): Promise<void> {
    parse(stopOptionsSchema, options, 'options')
    this.#end()
    await this.done.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
