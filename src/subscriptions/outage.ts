import { backoff } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'
import { streamKey } from '../events/event.ts'
import type { InternalDelivery } from './delivery.ts'

/** Why a worker is failing, and since when. */
export interface Failing {
  readonly error: unknown
  readonly since: Date
}

export interface OutageOptions {
  /** How many streams must fail without a success between them. */
  readonly streams: number
  /** The longest pause between two tries, in ms. */
  readonly maxDelayMs: number
  readonly subscription: string
  readonly clock: Clock
  readonly logger: Logger
}

export interface OutageEvents {
  /** The worker is failing now, or (undefined) no longer. */
  changed(failing: Failing | undefined): void
  /** The next event may be tried. */
  wake(): void
}

/** The pause after the first failed attempt, in ms. Each further one is twice as long. */
const FIRST_PAUSE_MS = 100

/**
 * Finds out whether the event is faulty, or something that handlers need is down. Each worker has one.
 *
 *     healthy -- `streams` streams fail without a success between them --> failing
 *     failing -- the first success --> healthy
 *
 * A failing worker tries one event at a time, with growing pauses, and counts no attempts, because the events are not
 * faulty. If only one stream waits and fails again, its attempts count, or a single faulty event would never be parked.
 */
export class Outage {
  readonly #options: OutageOptions
  readonly #events: OutageEvents
  /** Streams that failed since the last success. */
  readonly #failed = new Set<string>()
  /** The failed deliveries that wait for their next attempt, by stream. */
  readonly #waiting = new Map<string, InternalDelivery>()
  #failing: Failing | undefined
  #began = 0
  #probe: InternalDelivery | undefined
  #tries = 0
  #nextAt = 0
  #cancelWake = () => {}

  constructor(options: OutageOptions, events: OutageEvents) {
    this.#options = options
    this.#events = events
  }

  get failing(): boolean {
    return this.#failing !== undefined
  }

  /** Whether an event may begin now; if not, `wake` is called when it may. */
  get mayBegin(): boolean {
    return !this.#failing || (!this.#probe && this.#options.clock.now() >= this.#nextAt)
  }

  /** The pause after a failure that does not count, in ms. */
  get pauseMs(): number {
    return Math.max(this.#nextAt - this.#options.clock.now(), 0)
  }

  /** A handler begins. Call `settled` when it has ended, successfully or not. */
  begin(delivery: InternalDelivery): void {
    if (this.#failing) this.#probe ??= delivery
  }

  settled(delivery: InternalDelivery): void {
    if (this.#probe !== delivery) return
    this.#probe = undefined
    this.#wakeLater()
  }

  succeeded(): void {
    if (this.#failed.size === 0) return
    this.#failed.clear()
    this.#waiting.clear()
    this.#end('handlers succeed again')
  }

  /** A handler failed. Returns whether that counts as an attempt of its event. */
  failed(delivery: InternalDelivery, error: unknown): boolean {
    const key = streamKey(delivery.event)
    this.#failed.add(key)
    this.#waiting.set(key, delivery)
    this.#forgetLeft()
    if (this.#failing) {
      this.#failing = { ...this.#failing, error }
      if (delivery === this.#probe) this.#tries++
    } else {
      if (this.#failed.size < this.#options.streams) return true
      this.#begin(error)
    }
    if (delivery === this.#probe || this.#tries === 0) this.#pause()
    this.#events.changed(this.#failing)
    return this.#waiting.size === 1
  }

  /** The stream of this event is parked, so it does not wait any more. */
  parked({ event }: InternalDelivery): void {
    this.#waiting.delete(streamKey(event))
    if (this.#waiting.size === 0) this.#end('the outage is over: the last stream that failed is parked')
  }

  /** A partition was handed over or lost: its next owner tries the waiting events. */
  left(): void {
    this.#forgetLeft()
    if (this.#waiting.size === 0)
      this.#end('the outage is over here: other executors try the streams that failed')
  }

  close(): void {
    this.#cancelWake()
  }

  #begin(error: unknown): void {
    const { clock, logger, streams, subscription } = this.#options
    this.#failing = { error, since: new Date(clock.wall()) }
    this.#began = clock.now()
    this.#tries = 0
    logger.error(
      { err: error, subscription, streams },
      `handlers failed for ${streams} streams in a row, which is taken for an outage: the worker tries one event at a time until one succeeds, and counts no attempts`,
    )
  }

  #forgetLeft(): void {
    for (const [key, { source }] of this.#waiting) {
      if (!source.partition.lease.signal.aborted) continue
      this.#waiting.delete(key)
      this.#failed.delete(key)
    }
  }

  #end(why: string): void {
    if (!this.#failing) return
    this.#cancelWake()
    this.#probe = undefined
    this.#failing = undefined
    const { clock, logger, subscription } = this.#options
    logger.info({ subscription, ms: Math.round(clock.now() - this.#began) }, why)
    this.#events.changed(undefined)
    this.#events.wake()
  }

  #pause(): void {
    const { clock, maxDelayMs } = this.#options
    const growth = { firstMs: FIRST_PAUSE_MS, maxMs: maxDelayMs }
    this.#nextAt = clock.now() + backoff(this.#tries + 1, clock, growth)
    this.#wakeLater()
  }

  #wakeLater(): void {
    this.#cancelWake()
    if (!this.#failing) return
    this.#cancelWake = this.#options.clock.after(this.pauseMs + 1, () => {
      if (this.pauseMs > 0)
        this.#wakeLater() // Node may call back a little before the time
      else this.#events.wake()
    })
  }
}
