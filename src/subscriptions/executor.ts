import { ClosedError } from '../core/errors.ts'
import { isTransientAtStart } from '../database/failures.ts'
import type { RetryPolicy } from '../database/retry-policy.ts'
import { retryForever } from '../database/retry-policy.ts'
import { READS } from '../database/retry-reporter.ts'
import type { LiveFeed } from '../live/live.ts'
import { Checkpoints } from './checkpoints.ts'
import type { ClaimParts } from './claims.ts'
import { Claims } from './claims.ts'
import type { Consumer } from './consumer.ts'
import { Dispatcher } from './dispatcher.ts'
import { logEnd } from './ended.ts'
import { HandOver } from './hand-over.ts'
import { Losses } from './losses.ts'
import { OwnedPartitions } from './owned-partitions.ts'
import type { StatusObserver } from './report.ts'
import { Report } from './report.ts'
import type { Store } from './store.ts'
import { warnOfUnacked } from './unacked.ts'

/** What an executor needs from outside. */
export interface ExecutorPorts extends StatusObserver {
  /** Create the subscription if it does not exist. */
  register(): Promise<void>
  /** Read events after a position, without end. */
  follow(after: number): LiveFeed
  /** Call back when the executor should claim again: a partition is free, an executor joined, a replay was asked for. */
  onWake(wake: () => void): () => void
  /** Call back when the server has lost history: known positions are not valid any more. */
  onHistoryLost(lost: (error: unknown) => void): () => void
  /** Rejects with a HistoryLostError if a checkpoint is ahead of the store. */
  checkReached(position: number): Promise<void>
}

export interface ExecutorOptions {
  name: string
  partitions: number
  maxInFlight: number
  leaseMs: number
  pollIntervalMs: number
  unackedWarningMs: number
}

/**
 * One executor of a subscription. It runs two loops:
 *
 *     claim     registers as alive, renews leases, takes its share of the partitions, and hands over what is above the share
 *     dispatch  reads events and hands deliveries to its partitions
 *
 *     waiting (owns no partition) <-> catching-up <-> live -> stopped
 */
export class Executor {
  /** Its status. */
  readonly report: Report
  readonly #ports: ExecutorPorts
  readonly #store: Store
  readonly #options: ExecutorOptions
  readonly #stopping = new AbortController()
  readonly #releasing: AbortController
  readonly #policy: RetryPolicy
  readonly #owned = new OwnedPartitions()
  readonly #parts: ClaimParts
  readonly #claims: Claims
  #failure: { error: unknown } | undefined // the error that ended it
  /** Resolves when it is stopped and has released all partitions; rejects with the error that ended it. */
  readonly done: Promise<void>
  /** Resolves when the subscription exists and this executor is registered. */
  readonly ready: Promise<void>

  /** When `releasing` aborts, it waits for no further acks, and its calls of the database end too. */
  constructor(
    ports: ExecutorPorts,
    store: Store,
    options: ExecutorOptions,
    releasing: AbortController,
    consumer: Consumer,
  ) {
    this.#ports = ports
    this.#store = store
    this.#options = options
    this.#releasing = releasing
    const { clock, logger, retries, scope, budget } = store
    this.#policy = { signal: this.#stopping.signal, clock, logger, retries, scope }
    const owned = this.#owned
    const { isWorker, ackWaitMs } = consumer
    const { follow, checkReached } = ports
    const losses = new Losses(store)
    const report = new Report(owned, store, ports)
    const pace = { ...options, isPaced: isWorker }
    const checkpoints = new Checkpoints(owned, losses, report, store, pace)
    const reading = { ...options, countsAcked: isWorker, follow }
    const dispatcher = new Dispatcher(owned, checkpoints, report, budget, reading)
    const leaving = { ...options, ackWaitMs, parksUnfinished: isWorker }
    const handOver = new HandOver(owned, checkpoints, store, leaving, releasing.signal)
    this.report = report
    this.#parts = { owned, losses, report, checkpoints, dispatcher, handOver, consumer, checkReached }
    this.#claims = new Claims(this.#parts, store, options, this.#policy)
    let done: Promise<void> = Promise.resolve()
    this.ready = new Promise((resolve, reject) => {
      done = this.#run({ resolve, reject })
    })
    this.done = done
    this.ready.catch(() => {})
    this.done.catch(() => {})
  }

  /** Hand out no more deliveries. Partitions are owned until all deliveries are acked, or until `release` is called. */
  stop(): void {
    this.#stopping.abort()
    for (const { partition } of this.#owned) partition.drain()
    this.#owned.changed.fire()
    this.#claims.wake()
  }

  /** Stop because of an error of the consumer. The last status contains it. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.stop()
  }

  /** Stop, and take back all deliveries that the consumer has: later acks do nothing, and nothing waits for them. */
  giveUp(): void {
    this.stop()
    for (const { partition, replay } of this.#owned) {
      partition.window.reclaimAll()
      replay.reclaimAll()
    }
    this.#owned.changed.fire()
  }

  /** Stop, and release the partitions with their latest checkpoints, without waiting for acks. */
  async release(): Promise<void> {
    this.#releasing.abort()
    this.stop()
    await this.done.catch(() => {})
  }

  async #run(ready: { resolve(): void; reject(error: unknown): void }): Promise<void> {
    const { signal } = this.#stopping
    const { losses, checkpoints, dispatcher, handOver } = this.#parts
    const stopListening = this.#ports.onWake(() => this.#claims.wake())
    const { retries } = this.#store
    const forgetRetries = retries?.onChange(() =>
      this.report.retrying(retries.current(READS, this.#store.scope)),
    )
    const forgetHistory = this.#ports.onHistoryLost((error) => this.#claims.loseHistory(error))
    const endWatch = warnOfUnacked(this.#options, this.#store, () => [...this.#owned])
    let failure: { error: unknown } | undefined
    const until = async (loop: Promise<void>) => {
      await loop.catch((error) => {
        // An error after the stop does not matter any more.
        if (!signal.aborted) {
          failure ??= { error }
          this.#failure ??= failure
          logEnd(this.#store.logger, this.#options.name, error)
        }
        ready.reject(signal.aborted ? new ClosedError(`this executor of "${this.#options.name}"`) : error)
      })
      this.stop()
    }
    try {
      const registered = retryForever(this.#ports.register, this.#policy, isTransientAtStart)
      // Wait for both loops, because a claim under way may still take partitions.
      await Promise.all([
        until(registered.then(() => this.#claims.run(ready.resolve))),
        until(
          registered
            .then(() => dispatcher.run(signal))
            .catch((error) => {
              this.#releasing.abort() // the consumer must learn of the error without acking first
              throw error
            }),
        ),
      ])
      if (failure) throw (failure as { error: unknown }).error
    } finally {
      await handOver.all()
      this.#releasing.abort()
      endWatch()
      stopListening()
      forgetHistory()
      forgetRetries?.()
      losses.end()
      checkpoints.close()
      this.#claims.end()
      this.report.stopped(this.#failure)
    }
  }
}
