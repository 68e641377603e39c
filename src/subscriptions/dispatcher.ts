import type { LiveFeed } from '../live/live.ts'
import type { Budget } from '../read/budget.ts'
import type { Page } from '../read/page.ts'
import type { OwnedPartitions } from './owned-partitions.ts'

/** What a dispatcher needs from its executor. */
export interface DispatcherPorts {
  /** Read events after a position, without end. */
  follow(after: number): LiveFeed
  /** Report the state: `live` when all events up to the horizon are handed out. */
  report(state: 'catching-up' | 'live', horizon?: number): void
  /** A page is done: its events are handed out, or belong to other partitions. */
  passed(): void
  budget: Pick<Budget, 'allows'>
}

export interface DispatcherOptions {
  partitions: number
  maxInFlight: number
  /** Acked deliveries above the watermark count as in flight. */
  countsAcked: boolean
}

/**
 * Reads pages with one feed, from the lowest position of the owned partitions, and hands their deliveries to the
 * partitions. It pauses when `maxInFlight` deliveries are in flight, or as many bytes as the budget allows.
 */
export class Dispatcher {
  readonly #owned: OwnedPartitions
  readonly #options: DispatcherOptions
  readonly #ports: DispatcherPorts
  #restart = new AbortController()
  #isHeldBack = () => false

  constructor(owned: OwnedPartitions, options: DispatcherOptions, ports: DispatcherPorts) {
    this.#owned = owned
    this.#options = options
    this.#ports = ports
  }

  /** Read again from the lowest position, because partitions were added. */
  restart(): void {
    this.#restart.abort()
  }

  /** Whether an open append holds back the next events. */
  get isHeldBack(): boolean {
    return this.#isHeldBack()
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
    const feed = this.#ports.follow(after)
    this.#isHeldBack = () => feed.isHeldBack()
    const close = () => feed.close()
    restart.addEventListener('abort', close)
    let position = after
    const report = () => {
      if (this.#owned.active.length === 0) return // all partitions are lost or being handed over
      this.#ports.report(position < feed.horizon() ? 'catching-up' : 'live', feed.horizon())
    }
    try {
      this.#ports.report('catching-up')
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
        this.#ports.passed()
        report()
      }
    } catch (error) {
      if (!restart.aborted) throw error
    } finally {
      restart.removeEventListener('abort', close)
      feed.close()
      this.#isHeldBack = () => false
    }
  }

  /** False: interrupted by a restart. `passed` of each partition says which events were handed out by then. */
  async #handOut({ events, hashes, sizes }: Page, restart: AbortSignal): Promise<boolean> {
    const { partitions, maxInFlight, countsAcked } = this.#options
    const { budget } = this.#ports
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
        this.#ports.report('catching-up')
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
