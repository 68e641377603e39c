import type { Observable } from 'rxjs'
import type { RecordedEvent } from '../event.ts'
import { backoff } from '../live/patience.ts'
import type { SubscriptionStatus } from '../subscribe/status.ts'
import type { DurableSubscription } from '../subscribe/subscription.ts'
import type { Worker } from '../subscribe/worker.ts'
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
  #published = 0
  #duplicates = 0
  #giveUp = () => {}

  /** @internal Use `relay`. */
  constructor(subscription: DurableSubscription, settings: Settings) {
    this.#subscription = subscription
    this.#settings = settings
    this.status$ = subscription.status$
    this.#outage = new Outage(subscription.name, subscription.db.clock, settings.context.logger)
    let done: Promise<void> = Promise.resolve()
    this.ready = new Promise((resolve, reject) => {
      done = this.#run(resolve)
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

  /** Publish nothing more, wait for what is on its way, write the checkpoints, give the partitions back. Twice is fine. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.done.catch(() => {})
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
      context.logger.error({ err: error, relay: this.#subscription.name }, 'a relay ends with an error')
      throw error
    } finally {
      closed.unsubscribe()
      await broker.close()
    }
  }

  /** Reach the broker, however long that takes. False: we are to stop. */
  async #open(before: boolean): Promise<boolean> {
    const { clock } = this.#subscription.db
    const { broker, context } = this.#settings
    const { signal } = this.#stopping
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await broker.open(context)
        return !signal.aborted
      } catch (error) {
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
    const away = new Promise<'away'>((resolve) => {
      this.#giveUp = () => resolve('away')
    })
    const worker = this.#subscription.process(
      async (event, { signal }) => {
        await this.#publish(event, signal)
      },
      { concurrency: this.#settings.window, retry: { maxAttempts: 1 } }, // what fails here is refused
    )
    const stop = () => void worker.stop()
    signal.addEventListener('abort', stop)
    worker.ready.then(ready, () => {})
    try {
      if ((await Promise.race([worker.done, away])) !== 'away') this.#stopping.abort() // or the store has closed
    } finally {
      signal.removeEventListener('abort', stop)
      await worker.stop()
      await this.#settings.broker.close()
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
      } catch (error) {
        if (error instanceof RefusedError) throw error
        if (this.#outage.failed(error, 'publish') >= context.leaseMs) this.#giveUp()
      }
      await clock.sleep(backoff(attempt, clock), signal)
    }
  }
}
