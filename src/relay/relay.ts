import type { Observable } from 'rxjs'
import { abortable, settledOrAborted, whenAborted } from '../core/abort.ts'
import { backoff } from '../core/backoff.ts'
import { messageOf, readable } from '../core/describe.ts'
import type { StopOptions } from '../core/stop-options.ts'
import { stopOptionsSchema, TimeLimit } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { SubscriptionStatus } from '../subscriptions/status.ts'
import type { DurableSubscription } from '../subscriptions/subscription.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { Broker, BrokerContext } from './broker.ts'
import { RefusedError } from './broker.ts'
import { toMessage } from './message.ts'
import { Outage } from './outage.ts'

export interface Settings {
  readonly broker: Broker
  readonly prefix: string
  readonly window: number
  readonly context: BrokerContext
}

/**
 * A subscription whose handler publishes.
 *
 *     opening -> publishing -> (nothing succeeded for leaseMs) -> opening …
 *
 * While the broker is away the executor holds no partition, so that a relay which still reaches it takes over.
 */
export class Relay implements Worker {
  /** Resolves once the broker is reached, and this is an executor of the subscription; rejects where that can't be. */
  readonly ready: Promise<void>
  /** Settles when it has ended: resolves after `stop()` or when the store closes, rejects with the error that ended it. */
  readonly done: Promise<void>
  /** How the subscription stands in this process: position, lag, messages in flight. */
  readonly status$: Observable<SubscriptionStatus>
  readonly #subscription: DurableSubscription
  readonly #settings: Settings
  readonly #outage: Outage
  readonly #stopping = new AbortController()
  readonly #limit: TimeLimit
  #published = 0
  #duplicates = 0
  #giveUp = () => {}

  /** @internal Use `relay`. */
  constructor(subscription: DurableSubscription, settings: Settings) {
    this.#subscription = subscription
    this.#settings = settings
    this.status$ = subscription.status$
    this.#outage = new Outage(subscription.name, subscription.db.clock, settings.context.logger)
    this.#limit = new TimeLimit(subscription.db.clock)
    let done: Promise<void> = Promise.resolve()
    this.ready = new Promise((resolve, reject) => {
      done = this.#run(resolve).finally(() => this.#limit.clear())
      done.catch(reject)
    })
    this.done = done
    this.ready.catch(() => {})
  }

  /** Messages that the broker has confirmed, since the start. */
  get published(): number {
    return this.#published
  }

  /** Those of them that it had already, and has dropped. */
  get duplicates(): number {
    return this.#duplicates
  }

  /**
   * Publish nothing more, wait for what is on its way, write the checkpoints, give the partitions back. Twice is fine. With
   * `timeoutMs` (in ms, minimum 0) it waits for the broker no longer than that: what is not confirmed by then is published again.
   *
   * @throws ValidationError for a `timeoutMs` that can't be right
   */
  async stop(options: StopOptions = {}): Promise<void> {
    const { timeoutMs } = parse(stopOptionsSchema, options, 'options')
    this.#stopping.abort()
    if (timeoutMs !== undefined) this.#limit.set(timeoutMs)
    await settledOrAborted(
      this.done.catch(() => {}),
      this.#limit.over,
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #run(ready: () => void): Promise<void> {
    // The store tells nobody who has no executor yet that it closes.
    const closed = this.#subscription.status$.subscribe({ complete: () => this.#stopping.abort() })
    const { broker, context } = this.#settings
    try {
      for (let opened = false; await this.#open(opened); opened = true) await this.#work(ready)
    } catch (error) {
      const { name } = this.#subscription
      context.logger.error(
        { err: error, relay: name },
        `relay "${name}" ends: ${messageOf(error)}; mend the cause, then start it again; it goes on at its checkpoint`,
      )
      throw error
    } finally {
      closed.unsubscribe()
      await settledOrAborted(broker.close(), this.#limit.over)
    }
  }

  /** Reach the broker, however long that takes. False: we are to stop. */
  async #open(before: boolean): Promise<boolean> {
    const { clock } = this.#subscription.db
    const { broker, context } = this.#settings
    const { signal } = this.#stopping
    const { up } = this.#limit
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await abortable(broker.open(context), up)
        return !signal.aborted
      } catch (failed) {
        if (up.aborted) return false
        const error = readable(failed)
        if (error instanceof RefusedError && !before) throw error
        this.#outage.failed(error, 'reach its broker')
      }
      await broker.close()
      await clock.sleep(backoff(attempt, clock), signal).catch(() => {})
    }
    return false
  }

  /** Publish, until we are to stop, the store closes, or the broker has been away for long. */
  async #work(ready: () => void): Promise<void> {
    const { signal } = this.#stopping
    const away = new AbortController()
    this.#giveUp = () => away.abort()
    const worker = this.#subscription.process(
      async (event, { signal }) => {
        await this.#publish(event, signal)
      },
      { concurrency: this.#settings.window, retry: { maxAttempts: 1 } }, // what fails here is refused
    )
    const forget = whenAborted(signal, () => void worker.stop())
    const forgetLimit = whenAborted(this.#limit.up, () => void worker.stop({ timeoutMs: 0 }))
    worker.ready.then(ready, () => {})
    try {
      await settledOrAborted(worker.done, away.signal)
      if (!away.signal.aborted) this.#stopping.abort() // or the store has closed
    } finally {
      forget()
      await worker.stop()
      forgetLimit()
      await settledOrAborted(this.#settings.broker.close(), this.#limit.over)
    }
  }

  /** Resolves once the broker has it; rejects where it never will, or somebody else is to do it. */
  async #publish(event: RecordedEvent, signal: AbortSignal): Promise<void> {
    const { broker, prefix, context } = this.#settings
    const { clock } = this.#subscription.db
    const message = toMessage(event, prefix)
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await broker.publish(message)
        this.#published++
        if (answer?.duplicate) this.#duplicates++
        this.#outage.over()
        return
      } catch (failed) {
        const error = readable(failed)
        if (error instanceof RefusedError) throw error
        if (this.#outage.failed(error, 'publish') >= context.leaseMs) this.#giveUp()
      }
      await clock.sleep(backoff(attempt, clock), signal)
    }
  }
}
