import { Condition } from '../core/condition.ts'
import { ClosedError, HistoryLostError } from '../core/errors.ts'
import { isTransient, isTransientAtStart } from '../database/failures.ts'
import { READS } from '../database/retries.ts'
import { retryForever } from '../database/retry-policy.ts'
import { streamKey } from '../events/event.ts'
import type { LiveFeed } from '../live/live.ts'
import { Checkpoints } from './checkpoints.ts'
import type { HandedOut } from './delivery.ts'
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

export interface ExecutorPorts {
  /** Make sure that the subscription exists. */
  register(): Promise<void>
  /** Events after a position, without end. */
  follow(after: number): LiveFeed
  /** Call back when there is something to look for: a free partition, a newcomer, a replay. */
  onWake(ring: () => void): () => void
  /** Call back when the store has gone back: what is known of positions is void. */
  onHistoryLost(lost: (error: unknown) => void): () => void
  /** Rejects with a HistoryLostError where a checkpoint is ahead of the store. */
  checkReached(position: number): Promise<void>
  status(status: ExecutorStatus): void
  /** Whether anybody is told of it. */
  isWatched(): boolean
}

export interface ExecutorOptions {
  name: string
  partitions: number
  maxInFlight: number
  leaseMs: number
  pollIntervalMs: number
  unackedWarningMs: number
  /** How long a partition that is to be given back waits for the next ack. */
  ackWaitMs: number
  /** What is acked behind an unacked one is in flight too, so that a takeover never repeats more than maxInFlight. */
  isWorker: boolean
}

/**
 * One executor of a subscription. Two loops:
 *
 *     share   says that it is alive, renews its leases, takes its fair share of the partitions, gives back what is more
 *     pump    reads, and hands out what belongs to its partitions
 */
export class Executor {
  readonly #ports: ExecutorPorts
  readonly #store: Store
  readonly #options: ExecutorOptions
  readonly #deliver: (delivery: HandedOut) => void
  readonly #owned = new OwnedPartitions()
  readonly #checkpoints: Checkpoints
  readonly #report: Report
  readonly #dispatcher: Dispatcher
  readonly #handOver: HandOver
  readonly #stopping = new AbortController()
  readonly #releasing: AbortController
  readonly #woken = new Condition()
  #cancelClaim: (() => void) | undefined // of partitions that were lost by an error
  #historyLosses = 0 // of the store's history
  readonly #partitionLosses: Losses // of partitions, by errors of the database
  #failure: { error: unknown } | undefined // what ended it
  /** Settles once it is stopped and has given all back; rejects where it can't go on. */
  readonly done: Promise<void>
  /** Registered: the subscription exists, and this is one of its executors. */
  readonly ready: Promise<void>

  constructor(
    ports: ExecutorPorts,
    store: Store,
    options: ExecutorOptions,
    /** Aborted: wait for no ack any more. The store gives up then too. */
    releasing: AbortController,
    deliver: (delivery: HandedOut) => void,
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

  /** Somebody begins to watch. */
  watch(): void {
    this.#report.count()
  }

  /** Its handlers fail, and why; undefined: no longer. */
  failing(failing: Failing | undefined): void {
    this.#report.failing(failing)
  }

  /** How it stands; what there is to catch up with is counted for whoever asks. */
  status(): Promise<ExecutorStatus> {
    return this.#report.read()
  }

  /** Hand out nothing more. Partitions are kept until what was handed out is acked, or `release` is called. */
  stop(): void {
    this.#stopping.abort()
    for (const { partition } of this.#owned) partition.drain()
    this.#owned.changed.fire()
    this.#woken.fire()
  }

  /** Stop because of an error of the consumer's own, which the status tells in the end. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.stop()
  }

  /** Take back what the consumer has in hand: what it does with that counts for nothing, and a drain need not wait for it. */
  giveUp(): void {
    this.stop()
    for (const { partition, replay } of this.#owned) {
      partition.takeBack()
      replay.takeBack()
    }
    this.#owned.changed.fire()
  }

  /** Give the partitions back, with their checkpoints as far as they go. */
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
        // What fails once we are stopped is of no interest.
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
      // All of them, for a claim under way may still take something.
      await Promise.all([
        until(registered.then(() => this.#keepShare(ready.resolve))),
        until(
          registered
            .then(() => this.#dispatcher.run(signal))
            .catch((error) => {
              this.#releasing.abort() // nobody should have to ack first to hear of it
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
      const woken = this.#woken.next() // before the claim, which may miss what it rings for
      const { share, waitMs } = await this.#claim()
      claimed()
      // Who has not got his share yet looks more often: the bell may not be heard.
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

  /** Say that we are alive, and take, renew and give back. */
  async #claim(): Promise<Share> {
    const owned = this.#owned.partitions
    const losses = this.#historyLosses
    const at = now(this.#store.clock)
    const share = await this.#retry(() => this.#store.claim(owned))
    for (const partition of owned) {
      const { number, epoch } = partition
      if (share.errorText.some((grant) => grant.partition === number && grant.epoch === epoch))
        partition.renewed(at)
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

  /** What a store granted that has gone back since is not counted on: it is claimed anew. */
  async #take(taken: readonly Grant[], at: Instant, isCurrent: () => boolean): Promise<void> {
    const numbers = taken.map(({ partition }) => partition)
    // Streams are set aside by us, or before: only whether they are to be replayed is for others to say.
    // The answer may be older than what becomes of a replay meanwhile: it tells only of those that wait now.
    const notReplaying = new Set<ParkedStream>()
    for (const { partition } of this.#owned) {
      if (partition.parked.size > 0) numbers.push(partition.number)
      for (const aside of partition.parked.values()) if (!aside.replaying) notReplaying.add(aside)
    }
    if (numbers.length === 0) return
    const rows = await this.#retry(() => this.#store.parkedStreams(numbers))
    if (!isCurrent()) return
    for (const grant of taken) {
      const partition = this.#partition(grant, at)
      for (const [number, aside] of rows)
        if (number === grant.partition) partition.parked.set(streamKey(aside), aside)
      this.#owned.add({ partition, replay: new Replay(partition, this.#store) })
    }
    for (const [number, { replaying, attempts, ...stream }] of rows) {
      const holding = this.#owned.get(number) // or lost or given back meanwhile
      const aside = holding?.partition.parked.get(streamKey(stream))
      if (aside && replaying && notReplaying.has(aside)) Object.assign(aside, { replaying, attempts })
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
        this.#store.logger.error({ err: error, subscription }, 'a checkpoint is ahead of the store')
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
    if (partition.lost) return
    const error = new LeaseLostError(this.#options.name, partition.number, cause)
    this.#store.logger.warn({ err: error }, 'a lease is lost')
    this.#store.telemetry?.leaseLost()
    partition.end(error)
    this.#owned.remove(partition)
    this.#owned.changed.fire()
    if (cause === undefined) {
      this.#woken.fire()
      return
    }
    // What failed may fail again: not at once. All that is lost until then is claimed together.
    const isTrouble = isTransient(cause) && !this.#stopping.signal.aborted
    const pauseMs = isTrouble ? this.#partitionLosses.lost(partition.number, cause) : LOST_MS
    this.#cancelClaim ??= this.#store.clock.after(pauseMs, () => {
      this.#cancelClaim = undefined
      this.#woken.fire()
    })
  }

  /** The store has gone back: go on from the checkpoints that it has. */
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
