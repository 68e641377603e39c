import { LeaseLostError } from '../errors.ts'
import type { RecordedEvent } from '../event.ts'
import type { LiveFeed } from '../live/live.ts'
import { persist } from '../live/patience.ts'
import { Signal } from '../live/signal.ts'
import { aborted } from '../live/tail.ts'
import type { HandedOut } from './delivery.ts'
import type { Instant } from './instant.ts'
import { now } from './instant.ts'
import type { LeasePorts } from './lease.ts'
import { Lease } from './lease.ts'
import { Window } from './window.ts'

export interface ExecutorStatus {
  state: 'waiting' | 'catching-up' | 'live' | 'stopped'
  /** The checkpoint, as far as this executor knows. */
  position: number
  horizon: number
  inFlight: number
  /** The partitions that this executor owns. */
  partitions: number[]
}

export interface ExecutorPorts extends LeasePorts {
  /** Make sure that the subscription exists. */
  register(): Promise<void>
  /** Events after a position, without end. */
  follow(after: number): LiveFeed
  /** Call back when a partition may have become free. */
  onBell(ring: () => void): () => void
  status(status: ExecutorStatus): void
}

export interface ExecutorOptions {
  name: string
  owner: string
  maxInFlight: number
  leaseMs: number
  pollIntervalMs: number
}

/** Deliveries above the watermark at most, acked ones among them, or 16 times maxInFlight. */
const MAX_SPAN = 10_000

/**
 * One executor of a subscription:
 *
 *     waiting -> claims the partition -> catching up -> live -> (lease lost) -> waiting …
 *
 * Hands out deliveries until `maxInFlight` are unacked, and goes on as they are acked.
 */
export class Executor {
  readonly #ports: ExecutorPorts
  readonly #options: ExecutorOptions
  readonly #deliver: (delivery: HandedOut) => void
  readonly #stopping = new AbortController()
  readonly #releasing = new AbortController()
  readonly #changed = new Signal() // room in the window, a ring, the end of a drain
  /** Settles once it is stopped and has given its partition back; rejects where it can't go on. */
  readonly done: Promise<void>
  /** Registered: the subscription exists, and this is one of its executors. */
  readonly ready: Promise<void>

  constructor(ports: ExecutorPorts, options: ExecutorOptions, deliver: (delivery: HandedOut) => void) {
    this.#ports = ports
    this.#options = options
    this.#deliver = deliver
    this.ready = persist(() => ports.register(), { signal: this.#stopping.signal, logger: ports.logger })
    this.ready.catch(() => {})
    this.done = this.#run()
    this.done.catch(() => {})
  }

  /** Hand out nothing more. The partition is kept until what was handed out is acked, or `release` is called. */
  stop(): void {
    this.#stopping.abort()
    this.#changed.fire()
  }

  /** Give the partition back, with the checkpoint as far as it goes. */
  async release(): Promise<void> {
    this.#releasing.abort()
    this.stop()
    await this.done.catch(() => {})
  }

  async #run(): Promise<void> {
    const silence = this.#ports.onBell(() => this.#changed.fire())
    try {
      await this.ready
      while (!this.#stopping.signal.aborted) await this.#own(await this.#claim())
    } catch (error) {
      if (!this.#stopping.signal.aborted) throw error
    } finally {
      silence()
      this.#stopping.abort()
      this.#status('stopped')
    }
  }

  /** Wait for the partition: as long as another's lease lasts, for its bell, but no longer than the poll. */
  async #claim(): Promise<{ epoch: number; position: number; at: Instant }> {
    const { owner, leaseMs, pollIntervalMs } = this.#options
    const { signal } = this.#stopping
    for (;;) {
      const rung = this.#changed.next()
      const at = now()
      const claim = await persist(() => this.#ports.claim(owner, leaseMs), {
        signal,
        logger: this.#ports.logger,
      })
      if ('epoch' in claim) return { ...claim, at }
      this.#status('waiting')
      const timer = setTimeout(() => this.#changed.fire(), Math.min(claim.waitMs + 1, pollIntervalMs))
      await rung
      clearTimeout(timer)
      signal.throwIfAborted()
    }
  }

  async #own(claim: { epoch: number; position: number; at: Instant }): Promise<void> {
    const window = new Window(claim.position)
    const ended = new AbortController() // stopped or lost
    const end = () => ended.abort()
    this.#stopping.signal.addEventListener('abort', end)
    if (this.#stopping.signal.aborted) end()
    const feed = this.#ports.follow(claim.position)
    const { maxInFlight } = this.#options
    // One that is never acked must not let the rest run away: all of it would come again.
    const maxSpan = Math.max(MAX_SPAN, 16 * maxInFlight)
    const lease = new Lease(this.#ports, claim, this.#options.leaseMs, {
      watermark: () => window.watermark,
      durable: (position) => {
        window.durable(position)
        this.#status(undefined, window, position)
        this.#changed.fire()
      },
      lost: (cause) => {
        const error = new LeaseLostError(this.#options.name, 0, cause)
        this.#ports.logger.warn({ err: error }, 'a lease is lost')
        window.abandon(error)
        end()
        this.#changed.fire()
      },
    })
    try {
      this.#status('catching-up', window, claim.position, feed.horizon())
      let position = claim.position
      const upToDate = () =>
        this.#status(position < feed.horizon() ? 'catching-up' : 'live', window, undefined, feed.horizon())
      // Where nothing is left to do, the first page is long in coming.
      feed
        .begun()
        .then(() => ended.signal.aborted || upToDate())
        .catch(() => {})
      while (!ended.signal.aborted) {
        const page = await aborted(feed.next(), ended.signal)
        for (const event of page.events) {
          while (window.size >= maxInFlight || window.span >= maxSpan || !lease.valid) {
            const room = this.#changed.next()
            this.#status(undefined, window)
            if (ended.signal.aborted) return
            await room
          }
          if (ended.signal.aborted) return
          this.#deliver(this.#handOut(event, window, lease, ended.signal))
        }
        window.pass(page.position)
        position = page.position
        upToDate()
      }
    } catch (error) {
      if (ended.signal.aborted) return
      this.#releasing.abort() // nobody should have to ack first to hear of it
      throw error
    } finally {
      feed.close()
      while (window.size > 0 && !this.#releasing.signal.aborted) {
        const change = this.#changed.next()
        if (window.size === 0 || this.#releasing.signal.aborted) break
        await change
      }
      await lease.release()
      window.abandon(new LeaseLostError(this.#options.name, 0))
      this.#stopping.signal.removeEventListener('abort', end)
    }
  }

  #handOut(event: RecordedEvent, window: Window, lease: Lease, signal: AbortSignal): HandedOut {
    const entry = window.add(event.position)
    const changed = this.#changed
    const { logger } = this.#ports
    const done = () => {
      window.ack(entry)
      lease.poke()
      changed.fire()
    }
    let acked: Promise<void> | undefined
    const ack = () => {
      if (acked) return acked
      acked = new Promise<void>((resolve, reject) => {
        entry.settle = (error) => (error === undefined ? resolve() : reject(error))
      })
      acked.catch((error) => logger.debug({ err: error, position: event.position }, 'an ack came too late'))
      done()
      return acked
    }
    return {
      event,
      attempt: 1,
      partition: 0,
      signal,
      get certain() {
        return lease.valid && !signal.aborted
      },
      async ours() {
        while (!lease.valid && !signal.aborted) await changed.next()
        return !signal.aborted
      },
      done,
      ack,
    }
  }

  #last: ExecutorStatus = { state: 'stopped', position: 0, horizon: 0, inFlight: 0, partitions: [] }

  #status(state?: ExecutorStatus['state'], window?: Window, position?: number, horizon?: number): void {
    this.#last = {
      state: state ?? this.#last.state,
      position: position ?? this.#last.position,
      horizon: Math.max(horizon ?? this.#last.horizon, position ?? 0),
      inFlight: window?.size ?? 0,
      partitions: window ? [0] : [],
    }
    this.#ports.status(this.#last)
  }
}
