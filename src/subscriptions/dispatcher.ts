import type { LiveFeed } from '../live/live.ts'
import type { Budget } from '../read/budget.ts'
import type { Page } from '../read/page.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { OwnedPartitions } from './owned-partitions.ts'
import type { Report } from './report.ts'

export interface DispatcherOptions {
  partitions: number
  maxInFlight: number
  /** Acked deliveries above the watermark count as in flight. */
  countsAcked: boolean
  pollIntervalMs: number
  /** Read events after a position, without end. */
  follow(after: number): LiveFeed
}

/**
 * Reads pages with one feed, from the lowest position of the owned partitions, and hands their deliveries to the
 * partitions. It pauses when `maxInFlight` deliveries are in flight, or as many bytes as the budget allows.
 */
export class Dispatcher {
  readonly #owned: OwnedPartitions
  readonly #checkpoints: Checkpoints
  readonly #report: Report
  readonly #budget: Budget
  readonly #options: DispatcherOptions
  #restart = new AbortController()

  constructor(
    owned: OwnedPartitions,
    checkpoints: Checkpoints,
    report: Report,
    budget: Budget,
    options: DispatcherOptions,
  ) {
    this.#owned = owned
    this.#checkpoints = checkpoints
    this.#report = report
    this.#budget = budget
    this.#options = options
  }

  /** Read again from the lowest position, because partitions were added. */
  restart(): void {
    this.#restart.abort()
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const changed = this.#owned.changed.next()
      this.#restart = new AbortController()
      const end = () => this.#restart.abort()
      signal.addEventListener('abort', end, { once: true })
      const { active } = this.#owned
      try {
        if (active.length === 0) await changed
        else await this.#follow(Math.min(...active.map(({ window }) => window.passed)), this.#restart.signal)
      } finally {
        signal.removeEventListener('abort', end)
      }
    }
  }

  async #follow(after: number, restart: AbortSignal): Promise<void> {
    const feed = this.#options.follow(after)
    this.#report.feed = feed
    const close = () => feed.close()
    restart.addEventListener('abort', close)
    let position = after
    const report = () => {
      if (this.#owned.active.length === 0) return // all partitions are lost or being handed over
      this.#report.update(position < feed.horizon() ? 'catching-up' : 'live', feed.horizon())
    }
    try {
      this.#report.update('catching-up')
      // Without new events the first page may take long, so the state is reported as soon as the horizon is known.
      feed
        .horizonKnown()
        .then(() => restart.aborted || report())
        .catch(() => {})
      while (!restart.aborted && this.#owned.active.length > 0) {
        const page = await feed.next()
        if (!(await this.#handOut(page, restart)) || restart.aborted) return
        position = page.position
        for (const partition of this.#owned.active) partition.window.pass(position)
        this.#checkpoints.updateLater(this.#options.pollIntervalMs) // for partitions that had no event in the page
        report()
      }
    } catch (error) {
      if (!restart.aborted) throw error
    } finally {
      restart.removeEventListener('abort', close)
      feed.close()
      this.#report.feed = undefined
    }
  }

  /** False: interrupted by a restart. `passed` of each partition says which events were handed out by then. */
  async #handOut({ events, hashes, sizes }: Page, restart: AbortSignal): Promise<boolean> {
    const { partitions, maxInFlight, countsAcked } = this.#options
    const budget = this.#budget
    let room = 0
    let inFlight = 0 // bytes, at most
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!
      const partition = this.#owned.get(partitions === 1 ? 0 : hashes[i]! % partitions)?.partition
      if (!partition || partition.lease.draining || event.position <= partition.window.passed) continue
      const bytes = sizes[i]!
      while (room <= 0 || !budget.allows(inFlight, bytes) || !partition.lease.valid) {
        const changed = this.#owned.changed.next()
        room = this.#owned.room(maxInFlight, countsAcked)
        inFlight = this.#owned.bytes
        if (restart.aborted || partition.lease.draining) break
        if (room > 0 && budget.allows(inFlight, bytes) && partition.lease.valid) break
        this.#report.update('catching-up')
        await changed
      }
      if (restart.aborted) return false
      if (partition.lease.draining) continue
      room--
      inFlight += bytes
      partition.offer(event, bytes)
    }
    return true
  }
}
