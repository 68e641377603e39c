import { Condition } from '../core/condition.ts'
import { ClosedError, HistoryLostError } from '../core/errors.ts'
import { isTransient, isTransientAtStart } from '../database/failures.ts'
import { retryForever } from '../database/retry-policy.ts'
import { READS } from '../database/retry-reporter.ts'
import { streamKey } from '../events/event.ts'
import type { LiveFeed } from '../live/live.ts'
import { Checkpoints } from './checkpoints.ts'
import type { InternalDelivery } from './delivery.ts'
import { Dispatcher } from './dispatcher.ts'
import { logEnd } from './ended.ts'
import { LeaseLostError } from './errors.ts'
import { HandOver } from './hand-over.ts'
import type { Instant } from './instant.ts'
import { now } from './instant.ts'
import { LOST_MS, Losses } from './losses.ts'
import type { Failing } from './outage.ts'
import { OwnedPartitions } from './owned-partitions.ts'
import { Partition } from './partition.ts'
import { Replay } from './replay.ts'
import type { ExecutorStatus } from './report.ts'
import { Report } from './report.ts'
import type { Grant, ParkedStream, Share, Store } from './store.ts'
import { warnOfUnacked } from './unacked.ts'

/** What an executor needs from outside. */
export interface ExecutorPorts {
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
  status(status: ExecutorStatus): void
  /** Whether anyone observes the status. */
  isWatched(): boolean
}

export interface ExecutorOptions {
  name: string
  partitions: number
  maxInFlight: number
  leaseMs: number
  pollIntervalMs: number
  unackedWarningMs: number
  /** How long a partition that is handed over waits for the next ack, in ms. */
  ackWaitMs: number
  /** The consumer is a worker of `process()`, so no ack waits for its checkpoint. Else it is `deliveries()`. */
  isWorker: boolean
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
  readonly #ports: ExecutorPorts
  readonly #store: Store
  readonly #options: ExecutorOptions
  readonly #deliver: (delivery: InternalDelivery) => void
  readonly #owned = new OwnedPartitions()
  readonly #checkpoints: Checkpoints
  readonly #report: Report
  readonly #dispatcher: Dispatcher
  readonly #handOver: HandOver
  readonly #stopping = new AbortController()
  readonly #releasing: AbortController
  readonly #woken = new Condition()
  #cancelClaim: (() => void) | undefined // a claim that waits, after partitions were lost by an error
  #historyLosses = 0 // how often the server has lost history
  readonly #partitionLosses: Losses // losses caused by errors of the database
  #failure: { error: unknown } | undefined // the error that ended it
  /** Resolves when it is stopped and has released all partitions; rejects with the error that ended it. */
  readonly done: Promise<void>
  /** Resolves when the subscription exists and this executor is registered. */
  readonly ready: Promise<void>

  constructor(
    ports: ExecutorPorts,
    store: Store,
    options: ExecutorOptions,
    /** When it aborts, wait for no further acks. Calls of the database end too. */
    releasing: AbortController,
    deliver: (delivery: InternalDelivery) => void,
  ) {
    this.#ports = ports
    this.#store = store
    this.#options = options
    this.#deliver = deliver
    this.#releasing = releasing
    this.#report = new Report(
      this.#owned,
      store,
      ports.status,
      ports.isWatched,
      () => this.#dispatcher.isHeldBack,
    )
    this.#partitionLosses = new Losses(store)
    this.#checkpoints = new Checkpoints(
      store,
      { maxInFlight: options.maxInFlight, isPaced: options.isWorker },
      {
        written: (partitions) => {
          for (const { number } of partitions) this.#partitionLosses.over(number)
          this.#owned.changed.fire()
          this.#report.update()
        },
        lost: (partition, cause) => this.#lose(partition, cause),
        partitions: () => this.#owned.size,
      },
    )
    this.#dispatcher = new Dispatcher(
      this.#owned,
      { ...options, countsAcked: options.isWorker },
      {
        follow: ports.follow,
        report: (state, horizon) => this.#report.update(state, horizon),
        budget: store.budget,
        passed: () => this.#checkpoints.updateLater(() => this.#owned.partitions, options.pollIntervalMs),
      },
    )
    this.#handOver = new HandOver(
      this.#owned,
      this.#checkpoints,
      store,
      { ...options, parksUnfinished: options.isWorker },
      releasing.signal,
    )
    let done: Promise<void> = Promise.resolve()
    this.ready = new Promise((resolve, reject) => {
      done = this.#run({ resolve, reject })
    })
    this.done = done
    this.ready.catch(() => {})
    this.done.catch(() => {})
  }

  /** An observer of the status came. */
  watch(): void {
    this.#report.count()
  }

  /** Its handlers fail; undefined: no longer. */
  failing(failing: Failing | undefined): void {
    this.#report.failing(failing)
  }

  /** Its status, with a fresh count of the lag. */
  status(): Promise<ExecutorStatus> {
    return this.#report.read()
  }

  /** Hand out no more deliveries. Partitions are owned until all deliveries are acked, or until `release` is called. */
  stop(): void {
    this.#stopping.abort()
    for (const { partition } of this.#owned) partition.drain()
    this.#owned.changed.fire()
    this.#woken.fire()
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
      partition.window.takeBackAll()
      replay.takeBack()
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
    const stopListening = this.#ports.onWake(() => this.#woken.fire())
    const { retries } = this.#store
    const forgetRetries = retries?.onChange(() =>
      this.#report.retrying(retries.current(READS, this.#store.scope)),
    )
    const forgetHistory = this.#ports.onHistoryLost((error) => this.#loseHistory(error))
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
      const registered = this.#retry(() => this.#ports.register(), isTransientAtStart)
      // Wait for both loops, because a claim under way may still take partitions.
      await Promise.all([
        until(registered.then(() => this.#keepShare(ready.resolve))),
        until(
          registered
            .then(() => this.#dispatcher.run(signal))
            .catch((error) => {
              this.#releasing.abort() // the consumer must learn of the error without acking first
              throw error
            }),
        ),
      ])
      if (failure) throw (failure as { error: unknown }).error
    } finally {
      await this.#handOver.all()
      this.#releasing.abort()
      endWatch()
      stopListening()
      forgetHistory()
      forgetRetries?.()
      this.#partitionLosses.end()
      this.#checkpoints.close()
      this.#cancelClaim?.()
      this.#report.stopped(this.#failure)
    }
  }

  async #keepShare(claimed: () => void): Promise<void> {
    const { leaseMs, pollIntervalMs } = this.#options
    for (;;) {
      const woken = this.#woken.next() // before the claim, which may not see what the wake-up is about
      const { share, waitMs } = await this.#claim()
      claimed()
      // An executor without its full share claims more often, because a wake-up may be missed.
      const isShort = this.#owned.size === 0 || this.#owned.size < share
      const cancel = this.#store.clock.after(
        Math.min(leaseMs / 3, isShort ? pollIntervalMs : Infinity, Math.max(waitMs ?? Infinity, 0) + 1),
        () => this.#woken.fire(),
      )
      await woken
      cancel()
      this.#stopping.signal.throwIfAborted()
    }
  }

  /** Register as alive, renew leases, take free partitions, and hand over what is above the share. */
  async #claim(): Promise<Share> {
    const owned = this.#owned.partitions
    const losses = this.#historyLosses
    const at = now(this.#store.clock)
    const share = await this.#retry(() => this.#store.claim(owned.map(({ lease }) => lease)))
    for (const partition of owned) {
      const { number, epoch } = partition.lease
      if (share.errorText.some((grant) => grant.partition === number && grant.epoch === epoch))
        partition.lease.renewed(at)
      else if (!partition.isReleasing) this.#lose(partition)
    }
    await this.#take(share.taken, at, () => losses === this.#historyLosses)
    const kept = [...this.#owned].filter(({ leaving }) => !leaving)
    for (const partition of kept.slice(share.share))
      this.#handOver.one(partition).then(() => this.#report.update())
    if (kept.length === 0) this.#report.update('waiting')
    else if (this.#dispatcher.isHeldBack) this.#report.count()
    for (const { partition } of kept) this.#checkpoints.update(partition)
    this.#owned.changed.fire()
    return share
  }

  /** Add partitions that were granted. If the server has lost history since, they are claimed again instead. */
  async #take(taken: readonly Grant[], at: Instant, isCurrent: () => boolean): Promise<void> {
    const numbers = taken.map(({ partition }) => partition)
    // Only the owner parks streams, but any process may ask to replay them, so the rows are read again. A replay may
    // end before the answer arrives, so the answer only counts for streams that were not being replayed when we asked.
    const notReplaying = new Set<ParkedStream>()
    for (const { partition } of this.#owned) {
      if (partition.parked.size > 0) numbers.push(partition.number)
      for (const stream of partition.parked.values()) if (!stream.replaying) notReplaying.add(stream)
    }
    if (numbers.length === 0) return
    const rows = await this.#retry(() => this.#store.parkedStreams(numbers))
    if (!isCurrent()) return
    for (const grant of taken) {
      const partition = this.#partition(grant, at)
      for (const [number, stream] of rows)
        if (number === grant.partition) partition.parked.set(streamKey(stream), stream)
      this.#owned.add({ partition, replay: new Replay(partition, this.#store) })
    }
    for (const [number, { replaying, attempts, ...stream }] of rows) {
      const owned = this.#owned.get(number) // undefined if it was lost or handed over meanwhile
      const parked = owned?.partition.parked.get(streamKey(stream))
      if (parked && replaying && notReplaying.has(parked)) Object.assign(parked, { replaying, attempts })
    }
    for (const { replay } of this.#owned) replay.wake()
    if (taken.length === 0) return
    const { name: subscription } = this.#options
    this.#store.logger.info(
      { subscription, partitions: taken.map(({ partition }) => partition) },
      'took partitions',
    )
    this.#dispatcher.restart()
    const furthest = Math.max(...taken.map(({ position }) => position))
    this.#ports.checkReached(furthest).catch((error) => {
      if (error instanceof HistoryLostError)
        this.#store.logger.error(
          { err: error, subscription },
          'a checkpoint is ahead of the store: events up to it would be skipped; set it with resetSubscription()',
        )
    })
  }

  #partition(grant: Grant, at: Instant): Partition {
    return new Partition(grant, at, this.#store, this.#options.leaseMs, {
      deliver: this.#deliver,
      changed: (partition) => {
        if (partition.durable > grant.position) this.#partitionLosses.over(partition.number)
        this.#checkpoints.update(partition)
        this.#owned.changed.fire()
      },
      replayAdded: (partition) => this.#owned.get(partition.number)?.replay.wake(),
      replayChanged: () => this.#report.update(),
      lost: (partition, cause) => this.#lose(partition, cause),
    })
  }

  #lose(partition: Partition, cause?: unknown): void {
    if (partition.lease.lost) return
    const error = new LeaseLostError(this.#options.name, partition.number, cause)
    this.#store.logger.warn({ err: error }, 'a lease is lost; its unacked events are delivered again')
    this.#store.telemetry?.leaseLost()
    partition.end(error)
    this.#owned.remove(partition)
    this.#owned.changed.fire()
    if (cause === undefined) {
      this.#woken.fire()
      return
    }
    // The error may come again, so wait before the next claim. It claims all partitions that are lost until then.
    const isTrouble = isTransient(cause) && !this.#stopping.signal.aborted
    const pauseMs = isTrouble ? this.#partitionLosses.lost(partition.number, cause) : LOST_MS
    this.#cancelClaim ??= this.#store.clock.after(pauseMs, () => {
      this.#cancelClaim = undefined
      this.#woken.fire()
    })
  }

  /** The server has lost history: continue from the checkpoints that it has now. */
  #loseHistory(error: unknown): void {
    this.#historyLosses++
    for (const partition of this.#owned.partitions) this.#lose(partition, error)
    this.#report.forgetHorizon()
    this.#dispatcher.restart()
  }

  #retry<T>(action: () => Promise<T>, transient?: (error: unknown) => boolean): Promise<T> {
    const { clock, logger, retries, scope } = this.#store
    return retryForever(action, { signal: this.#stopping.signal, clock, logger, retries, scope }, transient)
  }
}
