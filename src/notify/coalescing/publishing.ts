import { randomUUID } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/logger.ts'
import type { Published, PublisherLease } from './publisher-lease.ts'

/** The pause between two calls of publish(): the longest additional delay of a notification. In ms. */
const PUBLISH_MS = 5
/** The pause between two renewals of a lease of 500 ms. */
const RENEW_MS = 150
/** How often to decide whether coalescing still pays. In ms. */
const WINDOW_MS = 1_000
/** If an open append holds the store's horizon back by more positions than this, each call has too much to read. */
const MAX_BEHIND = 10_000

export interface PublishingPorts {
  readonly lease: PublisherLease
  readonly clock: Clock
  readonly logger: Logger
  /** Aborts when this process closes. */
  readonly closing: AbortSignal
  /** How long to wait for open appends after that. Then another process has to notify the rest. In ms. */
  readonly leaveMs: number
}

/**
 * One term as the publisher: notify for all appends while they leave their notifications out; then let them notify again, and
 * go on until everything that they left out is notified.
 *
 *     claim -> coalescing -> finishing -> closed
 *           \______________/
 *       if a publisher died: only what it left
 *
 * After an error nothing is undone: the lease expires without being closed, and a process that finds it so claims it.
 */
export async function publishForAll(coalescing: boolean, ports: PublishingPorts): Promise<void> {
  const { lease, clock, logger } = ports
  const owner = randomUUID()
  let published = await lease.claim(owner)
  if (!published) return
  const began = clock.now()
  logger.debug({ from: published.settled, coalescing }, 'notifying for all appends of the store')
  if (!(await lease.renew(owner, published, coalescing))) return
  if (coalescing) published = await coalesce(owner, published, ports)
  if (published) await finish(owner, published, ports)
  logger.debug({ ms: Math.round(clock.now() - began) }, 'appends notify for themselves again')
}

/** Publish while it pays. Returns null if another process has taken the lease. */
async function coalesce(owner: string, first: Published, ports: PublishingPorts): Promise<Published | null> {
  const { lease, clock, closing } = ports
  let published = first
  let renewed = clock.now()
  let windowBegan = renewed
  let commits = 0
  let most = 0
  for (;;) {
    published = await lease.publish(published)
    commits += published.commits
    const now = clock.now()
    let pays = published.head - published.settled <= MAX_BEHIND && !closing.aborted
    if (now - windowBegan >= WINDOW_MS) {
      // There are fewer than a third of the commits of the busiest window. Whether they would still wait for each other shows
      // only when they notify again.
      most = Math.max(most, commits)
      if (commits === 0 || commits < most / 3) pays = false
      commits = 0
      windowBegan = now
    }
    if (!pays || now - renewed >= RENEW_MS) {
      renewed = now
      if (!(await lease.renew(owner, published, pays))) return null
      if (!pays) return published
    }
    await clock.sleep(PUBLISH_MS, closing).catch(() => {})
  }
}

/** Appends notify again. Publish until the horizon has passed the present head: everything that was left out is below it. */
async function finish(owner: string, first: Published, ports: PublishingPorts): Promise<void> {
  const { lease, clock, closing, leaveMs } = ports
  let published = await lease.publish(first)
  const until = published.head
  let renewed = clock.now()
  let closingSince: number | undefined // when this process began to close
  for (let pause = PUBLISH_MS; published.held && published.settled < until; pause = Math.min(50, pause * 2)) {
    const now = clock.now()
    if (closing.aborted) closingSince ??= now
    if (closingSince !== undefined && now - closingSince >= leaveMs) return
    if (now - renewed >= RENEW_MS) {
      renewed = now
      if (!(await lease.renew(owner, published, false))) return
    }
    await clock.sleep(pause)
    published = await lease.publish(published)
  }
  await lease.close(owner)
}
