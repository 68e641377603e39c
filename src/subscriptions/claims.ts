import { Condition } from '../core/condition.ts'
import { HistoryLostError } from '../core/errors.ts'
import { isTransient } from '../database/failures.ts'
import type { RetryPolicy } from '../database/retry-policy.ts'
import { retryForever } from '../database/retry-policy.ts'
import { streamKey } from '../events/event.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Consumer } from './consumer.ts'
import type { Dispatcher } from './dispatcher.ts'
import { LeaseLostError } from './errors.ts'
import type { HandOver } from './hand-over.ts'
import type { Instant } from './instant.ts'
import { now } from './instant.ts'
import { Lease } from './lease.ts'
import type { Losses } from './losses.ts'
import { LOST_MS } from './losses.ts'
import type { OwnedPartitions } from './owned-partitions.ts'
import type { ParkedStream } from './parked-streams.ts'
import type { PartitionEvents } from './partition.ts'
import { Partition } from './partition.ts'
import { Replay } from './replay.ts'
import type { Report } from './report.ts'
import type { Grant, Share, Store } from './store.ts'

export interface ClaimOptions {
  name: string
  leaseMs: number
  pollIntervalMs: number
}

/** The parts of an executor that its `Claims` use. */
export interface ClaimParts {
  readonly owned: OwnedPartitions
  readonly losses: Losses
  readonly report: Report
  readonly checkpoints: Checkpoints
  readonly dispatcher: Dispatcher
  readonly handOver: HandOver
  readonly consumer: Consumer
  /** Rejects with a HistoryLostError if a checkpoint is ahead of the store. */
  checkReached(position: number): Promise<void>
}

/**
 * Keeps an executor's share of the partitions, in a loop:
 *
 *     claim: register as alive and renew leases -> lose what another owns -> take what was granted
 *            -> hand over what is above the share; all, if the subscription is paused
 *            -> wait for a wake-up, at most a third of the lease
 */
export class Claims implements PartitionEvents {
  readonly #parts: ClaimParts
  readonly #store: Store
  readonly #options: ClaimOptions
  readonly #policy: RetryPolicy
  readonly #woken = new Condition()
  #cancelClaim: (() => void) | undefined // a claim that waits, after partitions were lost by an error
  #paused = false // what the last claim said
  #historyLosses = 0 // how often the server has lost history

  /** The loop ends when the signal of `policy` aborts. */
  constructor(parts: ClaimParts, store: Store, options: ClaimOptions, policy: RetryPolicy) {
    this.#parts = parts
    this.#store = store
    this.#options = options
    this.#policy = policy
  }

  /** `claimed` is called after each claim. */
  async run(claimed: () => void): Promise<void> {
    const { leaseMs, pollIntervalMs } = this.#options
    for (;;) {
      const woken = this.#woken.next() // before the claim, which may not see what the wake-up is about
      const { share, waitMs, paused } = await this.#claim()
      if (paused && !this.#paused) this.wake() // the next claim says that this executor no longer begins events
      this.#paused = paused
      claimed()
      // An executor without its full share claims more often, because a wake-up may be missed.
      const { size } = this.#parts.owned
      const isShort = size === 0 || size < share
      const cancel = this.#store.clock.after(
        Math.min(leaseMs / 3, isShort ? pollIntervalMs : Infinity, Math.max(waitMs ?? Infinity, 0) + 1),
        () => this.wake(),
      )
      await woken
      cancel()
      this.#policy.signal.throwIfAborted()
    }
  }

  /** Claim again now. */
  wake(): void {
    this.#woken.fire()
  }

  /** The server has lost history: continue from the checkpoints that it has now. */
  loseHistory(error: unknown): void {
    const { owned, report, dispatcher } = this.#parts
    this.#historyLosses++
    for (const partition of owned.partitions) this.lost(partition, error)
    report.forgetHorizon()
    dispatcher.restart()
  }

  end(): void {
    this.#cancelClaim?.()
  }

  async #claim(): Promise<Share> {
    const { owned, report, checkpoints, handOver } = this.#parts
    const { partitions } = owned
    const losses = this.#historyLosses
    const at = now(this.#store.clock)
    const share = await retryForever(
      () =>
        this.#store.claim(
          partitions.map(({ lease }) => lease),
          this.#paused,
        ),
      this.#policy,
    )
    for (const partition of partitions) {
      const { number, epoch } = partition.lease
      if (share.kept.some((grant) => grant.partition === number && grant.epoch === epoch))
        partition.lease.renewed(at)
      else if (!partition.isReleasing) this.lost(partition)
    }
    await this.#take(share.taken, at, () => losses === this.#historyLosses)
    handOver.waitsForAcks = share.paused
    const staying = [...owned].filter(({ leaving }) => !leaving)
    for (const partition of staying.slice(share.share)) handOver.one(partition).then(() => report.update())
    if (share.paused) for (const { partition } of owned) partition.pause()
    if (share.paused) report.update('paused')
    else if (staying.length === 0) report.update('waiting')
    else if (report.isHeldBack) report.count()
    for (const { partition } of staying) checkpoints.update(partition)
    owned.changed.fire()
    return share
  }

  /** Add partitions that were granted. If the server has lost history since, they are claimed again instead. */
  async #take(taken: readonly Grant[], at: Instant, isCurrent: () => boolean): Promise<void> {
    const { owned, dispatcher, consumer } = this.#parts
    const numbers = taken.map(({ partition }) => partition)
    // Only the owner parks streams, but any process may ask to replay them, so the rows are read again. A replay may
    // end before the answer arrives, so the answer only counts for streams that were not being replayed when we asked.
    const notReplaying = new Set<ParkedStream>()
    for (const { partition } of owned) {
      if (partition.parked.size > 0) numbers.push(partition.number)
      for (const stream of partition.parked.values()) if (!stream.replaying) notReplaying.add(stream)
    }
    if (numbers.length === 0) return
    const rows = await retryForever(() => this.#store.parked.streams(numbers), this.#policy)
    if (!isCurrent()) return
    for (const grant of taken) {
      const lease = new Lease(grant, at, this.#options.leaseMs, this.#store.clock)
      const partition = new Partition(lease, grant.position, this.#store, consumer, this)
      for (const [number, stream] of rows)
        if (number === grant.partition) partition.parked.set(streamKey(stream), stream)
      owned.add({ partition, replay: new Replay(partition, this.#store) })
    }
    for (const [number, { replaying, attempts, discarded, ...stream }] of rows) {
      const there = owned.get(number) // undefined if it was lost or handed over meanwhile
      const parked = there?.partition.parked.get(streamKey(stream))
      if (parked && replaying && notReplaying.has(parked))
        Object.assign(parked, { replaying, attempts, discarded })
    }
    for (const { replay } of owned) replay.wake()
    if (taken.length === 0) return
    this.#store.logger.info(
      { subscription: this.#options.name, partitions: taken.map(({ partition }) => partition) },
      'took partitions',
    )
    dispatcher.restart()
    this.#checkReached(Math.max(...taken.map(({ position }) => position)))
  }

  #checkReached(position: number): void {
    this.#parts.checkReached(position).catch((error) => {
      if (error instanceof HistoryLostError)
        this.#store.logger.error(
          { err: error, subscription: this.#options.name },
          'a checkpoint is ahead of the store: events up to it would be skipped; set it with resetSubscription()',
        )
    })
  }

  changed(partition: Partition): void {
    const { owned, losses, checkpoints } = this.#parts
    if (partition.durable > partition.takenAt) losses.over(partition.number)
    checkpoints.update(partition)
    owned.changed.fire()
  }

  replayAdded({ number }: Partition): void {
    this.#parts.owned.get(number)?.replay.wake()
  }

  replayChanged(): void {
    this.#parts.report.update()
  }

  lost(partition: Partition, cause?: unknown): void {
    if (partition.lease.lost) return
    const { owned, losses } = this.#parts
    const { clock, logger, telemetry } = this.#store
    const error = new LeaseLostError(this.#options.name, partition.number, cause)
    logger.warn({ err: error }, 'a lease is lost; its unacked events are delivered again')
    telemetry?.leaseLost()
    partition.end(error)
    owned.remove(partition)
    owned.changed.fire()
    if (cause === undefined) {
      this.wake()
      return
    }
    // The error may come again, so wait before the next claim. It claims all partitions that are lost until then.
    const isTrouble = isTransient(cause) && !this.#policy.signal.aborted
    const pauseMs = isTrouble ? losses.lost(partition.number, cause) : LOST_MS
    this.#cancelClaim ??= clock.after(pauseMs, () => {
      this.#cancelClaim = undefined
      this.wake()
    })
  }
}
