import type { LiveFeed } from '../live/live.ts'
import type { Budget } from '../read/budget.ts'
import type { Page } from '../read/page.ts'
import type { OwnedPartitions } from './owned-partitions.ts'

export interface DispatcherPorts {
  /** Events after a position, without end. */
  follow(after: number): LiveFeed
  /** How it stands: what is there is handed out, or not yet. */
  report(state: 'catching-up' | 'live', horizon?: number): void
  /** All up to a position was handed out, or passed over. */
  passed(): void
  budget: Pick<Budget, 'allows'>
}

export interface DispatcherOptions {
  partitions: number
  maxInFlight: number
  /** What is acked behind an unacked one is in flight too. */
  countsAcked: boolean
}

/**
 * Reads from the least position of the partitions that are held on, by one feed for all of them, and hands out what is
 * theirs until maxInFlight are out, or as many bytes as the budget allows.
 */
export class Dispatcher {
  readonly #owned: OwnedPartitions
  readonly #options: DispatcherOptions
  readonly #ports: DispatcherPorts
  #restart = new AbortController()
  #isHeldBack = () => false

  constructor(holdings: OwnedPartitions, options: DispatcherOptions, ports: DispatcherPorts) {
    this.#owned = holdings
    this.#options = options
    this.#ports = ports
  }

  /** Begin anew, further back: partitions came. */
  restart(): void {
    this.#restart.abort()
  }

  /** Whether an open append holds back what is to be read next. */
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
      if (this.#owned.active.length === 0) return // all are lost, or on their way back
      this.#ports.report(position < feed.horizon() ? 'catching-up' : 'live', feed.horizon())
    }
    try {
      this.#ports.report('catching-up')
      // Where nothing is left to do, the first page is long in coming.
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

  /** False: interrupted. What was handed out till then is known by each partition's `passed`. */
  async #handOut({ events, hashes, sizes }: Page, restart: AbortSignal): Promise<boolean> {
    const { partitions, maxInFlight, countsAcked } = this.#options
    const { budget } = this.#ports
    let room = 0
    let inFlight = 0 // bytes, at most
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!
      const partition = this.#owned.get(partitions === 1 ? 0 : hashes[i]! % partitions)?.partition
      if (!partition || partition.draining || event.position <= partition.window.passed) continue
      const bytes = sizes[i]!
      while (room <= 0 || !budget.allows(inFlight, bytes) || !partition.valid) {
        const changed = this.#owned.changed.next()
        room = this.#owned.room(maxInFlight, countsAcked)
        inFlight = this.#owned.bytes
        if (restart.aborted || partition.draining) break
        if (room > 0 && budget.allows(inFlight, bytes) && partition.valid) break
        this.#ports.report('catching-up')
        await changed
      }
      if (restart.aborted) return false
      if (partition.draining) continue
      room--
      inFlight += bytes
      partition.offer(event, bytes)
    }
    return true
  }
}
