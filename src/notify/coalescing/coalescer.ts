import { randomUUID } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/logger.ts'
import type { QuietLease, Rung } from './lease.ts'

/** Between two looks: what a notification comes later by, at most. */
const LOOK_MS = 5
/** Between two renewals of a lease of 500 ms. */
const RENEW_MS = 150
/** How often it is asked whether a turn still pays. */
const WINDOW_MS = 1_000
/** Where an open append holds the store's horizon back so far, each look has too much to look at. */
const BEHIND = 10_000

export interface ConductorPorts {
  readonly lease: QuietLease
  readonly clock: Clock
  readonly logger: Logger
  /** Aborts when this process closes. */
  readonly closing: AbortSignal
  /** How long it waits for open appends then, before it leaves the rest to others. */
  readonly leaveMs: number
}

/**
 * One turn: notify for all, while appends stay quiet; then let them speak, and go on until all that stayed quiet is told.
 *
 *     claim -> quiet -> ending -> closed
 *           \________/
 *       what somebody left behind
 *
 * Where anything fails, what is left is left: the lease expires unclosed, and whoever sees that claims it.
 */
export async function conduct(quiet: boolean, ports: ConductorPorts): Promise<void> {
  const { lease, clock, logger } = ports
  const owner = randomUUID()
  let rung = await lease.claim(owner)
  if (!rung) return
  const began = clock.now()
  logger.debug({ from: rung.settled, quiet }, 'notifying for all appends of the store')
  if (!(await lease.renew(owner, rung, quiet))) return
  if (quiet) rung = await keepQuiet(owner, rung, ports)
  if (rung) await finish(owner, rung, ports)
  logger.debug({ ms: Math.round(clock.now() - began) }, 'appends notify for themselves again')
}

/** Ring while it pays; null: somebody else has taken the lease. */
async function keepQuiet(owner: string, first: Rung, ports: ConductorPorts): Promise<Rung | null> {
  const { lease, clock, closing } = ports
  let rung = first
  let renewed = clock.now()
  let windowBegan = renewed
  let commits = 0
  let most = 0
  for (;;) {
    rung = await lease.ring(rung)
    commits += rung.commits
    const now = clock.now()
    let pays = rung.head - rung.settled <= BEHIND && !closing.aborted
    if (now - windowBegan >= WINDOW_MS) {
      // Fewer than a third of those that waited for each other once: do they still? They are let to show it.
      most = Math.max(most, commits)
      if (commits === 0 || commits < most / 3) pays = false
      commits = 0
      windowBegan = now
    }
    if (!pays || now - renewed >= RENEW_MS) {
      renewed = now
      if (!(await lease.renew(owner, rung, pays))) return null
      if (!pays) return rung
    }
    await clock.sleep(LOOK_MS, closing).catch(() => {})
  }
}

/** Appends speak: ring until the horizon has passed the head of now, below which all that stayed quiet is. */
async function finish(owner: string, first: Rung, ports: ConductorPorts): Promise<void> {
  const { lease, clock, closing, leaveMs } = ports
  let rung = await lease.ring(first)
  const until = rung.head
  let renewed = clock.now()
  let left: number | undefined // since when this process wants to leave
  for (let pause = LOOK_MS; rung.held && rung.settled < until; pause = Math.min(50, pause * 2)) {
    const now = clock.now()
    if (closing.aborted) left ??= now
    if (left !== undefined && now - left >= leaveMs) return
    if (now - renewed >= RENEW_MS) {
      renewed = now
      if (!(await lease.renew(owner, rung, false))) return
    }
    await clock.sleep(pause)
    rung = await lease.ring(rung)
  }
  await lease.close(owner)
}
