// A relay: reads events through a subscription and publishes them to a broker.
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

export interface RelaySettings {
  readonly broker: Broker
  readonly prefix: string
  readonly window: number
  readonly subjectPartitions: number | undefined
  readonly context: BrokerContext
}

/**
 * A running relay: a worker of a subscription whose handler publishes. `relay` makes it.
 *
 *     opening -> publishing -> (no success for leaseMs) -> opening …
 *
 * While the broker is not reachable the relay owns no partition, so another relay that can reach the broker takes over.
 */
export class Relay implements Worker {
  /** Resolves when the broker is open and this relay is an executor of the subscription; rejects if that is impossible. */
  readonly ready: Promise<void>
  /** Settles when the relay has ended: resolves after `stop()` or when the store closes, rejects with the error that ended it. */
  readonly done: Promise<void>
  /** The status of the subscription in this process: position, lag, messages in flight. */
  readonly status$: Observable<SubscriptionStatus>
  readonly #subscription: DurableSubscription
  readonly #settings: RelaySettings
  readonly #outage: Outage
  readonly #stopping = new AbortController()
  readonly #limit: TimeLimit
  #published = 0
  #duplicates = 0
  #reopen = () => {}

  /** @internal Use `relay`. */
  constructor(subscription: DurableSubscription, settings: RelaySettings) {
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

  /** The number of messages that the broker has confirmed since the start. */
  get published(): number {
    return this.#published
  }

  /** The number of confirmed messages that the broker already had, and has dropped. */
  get duplicates(): number {
    return this.#duplicates
  }

  /**
   * Stops publishing, waits for messages in flight, writes the checkpoints and hands over the partitions. You may call it twice.
   *
   * With `timeoutMs` (in ms, minimum 0; no limit by default) it waits no longer than that for the broker: messages that are not confirmed by then are
   * published again later.
   *
   * @throws ValidationError if `timeoutMs` is invalid
   * @example
   * await orders.stop({ timeoutMs: 5_000 })
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
    // If there is no executor yet, only the status says that the store closes.
    const closed = this.#subscription.status$.subscribe({ complete: () => this.#stopping.abort() })
    const { broker, context } = this.#settings
    try {
      for (let opened = false; await this.#open(opened); opened = true) await this.#work(ready)
    } catch (error) {
      const { name } = this.#subscription
      context.logger.error(
        { err: error, relay: name },
        `relay "${name}" has ended: ${messageOf(error)}; correct the cause and start it again; it continues at its checkpoint`,
      )
      throw error
    } finally {
      closed.unsubscribe()
      await settledOrAborted(broker.close(), this.#limit.over)
    }
  }

  /** Opens the broker, however long that takes. Returns false if the relay is stopped meanwhile. */
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

  /** Publishes until the relay is stopped, the store closes, or the broker has not been reachable for `leaseMs`. */
  async #work(ready: () => void): Promise<void> {
    const { signal } = this.#stopping
    const away = new AbortController()
    this.#reopen = () => away.abort()
    const worker = this.#subscription.process(
      async (event, { signal }) => {
        await this.#publish(event, signal)
      },
      { concurrency: this.#settings.window, retry: { maxAttempts: 1 } }, // only a refused message fails here
    )
    const forget = whenAborted(signal, () => void worker.stop())
    const forgetLimit = whenAborted(this.#limit.up, () => void worker.stop({ timeoutMs: 0 }))
    worker.ready.then(ready, () => {})
    try {
      await settledOrAborted(worker.done, away.signal)
      if (!away.signal.aborted) this.#stopping.abort() // the worker ended because it was stopped or the store closed
    } finally {
      forget()
      await worker.stop()
      forgetLimit()
      await settledOrAborted(this.#settings.broker.close(), this.#limit.over)
    }
  }

  /** Publishes an event, and retries until the broker has it. Rejects if the broker refuses it, or this relay has to stop. */
  async #publish(event: RecordedEvent, signal: AbortSignal): Promise<void> {
    const { broker, prefix, subjectPartitions, context } = this.#settings
    const { clock } = this.#subscription.db
    const message = toMessage(event, prefix, subjectPartitions)
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
        if (this.#outage.failed(error, 'publish') >= context.leaseMs) this.#reopen()
      }
      await clock.sleep(backoff(attempt, clock), signal)
    }
  }
}
