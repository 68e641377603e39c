import { setTimeout as delay } from 'node:timers/promises'
import { isTransient } from '../database.ts'
import { backoff } from '../live/patience.ts'
import type { Logger } from '../options.ts'
import type { Instant } from './instant.ts'
import { elapsed, now } from './instant.ts'

/** What the database does for a lease; sql/006_subscriptions.sql. The epoch is the fence: an old one does nothing. */
export interface LeasePorts {
  claim(owner: string, leaseMs: number): Promise<{ epoch: number; position: number } | { waitMs: number }>
  advance(epoch: number, position: number, leaseMs: number): Promise<boolean>
  release(epoch: number, position: number): Promise<boolean>
  logger: Logger
}

export interface LeaseEvents {
  /** The position that a checkpoint may be written at now. */
  watermark(): number
  /** A checkpoint is written. */
  durable(position: number): void
  /** Another owns the partition, or nobody can tell any more. Called once. */
  lost(cause?: unknown): void
}

/**
 * A partition that we own: writes the checkpoint and renews the lease, both by one statement. At most one is under way,
 * and the next one carries the newest watermark, so that acks cost what the database can take and not more.
 */
export class Lease {
  readonly #ports: LeasePorts
  readonly #epoch: number
  readonly #leaseMs: number
  readonly #events: LeaseEvents
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  #written: number
  #renewedAt: Instant // counted from before the request: it never runs out later here than in the database
  #lost = false
  #poke = () => {}

  constructor(
    ports: LeasePorts,
    claim: { epoch: number; position: number; at: Instant },
    leaseMs: number,
    events: LeaseEvents,
  ) {
    this.#ports = ports
    this.#epoch = claim.epoch
    this.#written = claim.position
    this.#leaseMs = leaseMs
    this.#renewedAt = claim.at
    this.#events = events
    this.#running = this.#run()
  }

  /** False: it may have run out (we were frozen, or cut off). Nothing more is to be handed out until it is renewed. */
  get valid(): boolean {
    return !this.#lost && elapsed(this.#renewedAt) < this.#leaseMs
  }

  /** The watermark moved. */
  poke(): void {
    this.#poke()
  }

  /** Write the last checkpoint and give the partition back at once, so that another need not wait. */
  async release(): Promise<void> {
    if (this.#stopping.signal.aborted) return this.#running
    this.#stopping.abort()
    this.#poke()
    await this.#running
    if (this.#lost) return
    const position = this.#events.watermark()
    try {
      if (await this.#ports.release(this.#epoch, position)) this.#events.durable(position)
      else this.#lose()
    } catch (error) {
      // It runs out by itself.
      this.#ports.logger.warn({ err: error }, 'a lease could not be given back; it runs out by itself')
      this.#lose(error)
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted && !this.#lost) {
      const renewIn = this.#leaseMs / 3 - elapsed(this.#renewedAt)
      if (this.#events.watermark() <= this.#written && renewIn > 0) await this.#poked(renewIn)
      else await this.#write()
    }
  }

  async #write(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const at = now()
      const position = this.#events.watermark()
      try {
        if (!(await this.#ports.advance(this.#epoch, position, this.#leaseMs))) return this.#lose()
        this.#renewedAt = at
        this.#written = position
        return this.#events.durable(position)
      } catch (error) {
        if (!isTransient(error)) return this.#lose(error)
        if (this.#stopping.signal.aborted) return
        this.#ports.logger.warn({ err: error, attempt }, 'a checkpoint could not be written; trying again')
        await delay(Math.min(backoff(attempt), this.#leaseMs / 4), undefined, {
          signal: this.#stopping.signal,
        }).catch(() => {})
      }
    }
  }

  #poked(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#poke = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #lose(cause?: unknown): void {
    if (this.#lost) return
    this.#lost = true
    this.#events.lost(cause)
  }
}
