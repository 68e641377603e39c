import { LeaseLostError } from '../errors.ts'
import { streamKey } from '../event.ts'
import type { LiveFeed } from '../live/live.ts'
import { persist } from '../live/patience.ts'
import { Signal } from '../live/signal.ts'
import { aborted } from '../live/tail.ts'
import type { Page } from '../read/page.ts'
import { Checkpoints } from './checkpoints.ts'
import type { HandedOut } from './delivery.ts'
import { elapsed, now } from './instant.ts'
import { Partition } from './partition.ts'
import { Replay } from './replay.ts'
import type { Grant, Share, Store } from './store.ts'
import { watchUnacked } from './unacked.ts'

export interface ExecutorStatus {
  state: 'waiting' | 'catching-up' | 'live' | 'stopped'
  /** The checkpoint, as far as this executor knows: the least of its partitions'. */
  position: number
  horizon: number
  /** Events that are not acked yet: of these partitions, or, while catching up, of the whole subscription. */
  lag: number
  /** Deliveries that are not acked. */
  inFlight: number
  /** The partitions that this executor owns. */
  partitions: number[]
}

export interface ExecutorPorts {
  /** Make sure that the subscription exists. */
  register(): Promise<void>
  /** Events after a position, without end. */
  follow(after: number): LiveFeed
  /** Call back when there is something to look for: a free partition, a newcomer, a replay. */
  onBell(ring: () => void): () => void
  status(status: ExecutorStatus): void
}

export interface ExecutorOptions {
  name: string
  partitions: number
  maxInFlight: number
  leaseMs: number
  pollIntervalMs: number
  unackedWarningMs: number
  /** How long a partition that is to be given back waits for the next ack. */
  patienceMs: number
  /** What is acked behind an unacked one is in flight too, so that a takeover never repeats more than maxInFlight. */
  strict: boolean
}

interface Owned {
  readonly partition: Partition
  readonly replay: Replay
  /** On its way back. */
  leaving?: Promise<void>
}

/** Pause between two counts of what there is to catch up with. */
const COUNT_MS = 1_000
/** Pause before a partition is claimed anew that was lost by an error. */
const LOST_MS = 250
/** Deliveries above the watermarks at most, acked ones among them, or 16 times maxInFlight. */
const MAX_SPAN = 10_000

/**
 * One executor of a subscription. Two loops:
 *
 *     share   says that it is alive, renews its leases, takes its fair share of the partitions, gives back what is more
 *     pump    reads from the least position of its partitions on, and hands out what is theirs until maxInFlight are out
 */
export class Executor {
  readonly #ports: ExecutorPorts
  readonly #store: Store
  readonly #options: ExecutorOptions
  readonly #deliver: (delivery: HandedOut) => void
  readonly #checkpoints: Checkpoints
  readonly #owned = new Map<number, Owned>()
  readonly #stopping = new AbortController()
  readonly #releasing: AbortController
  readonly #changed = new Signal() // acks, room, leases, the end of a drain
  readonly #rung = new Signal()
  #restart = new AbortController() // the pump has to begin anew, further back
  #position = 0
  #horizon = 0
  #lag = 0
  #countedAt = -Infinity
  #later: NodeJS.Timeout | undefined
  #state: ExecutorStatus['state'] = 'waiting'
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
    this.#checkpoints = new Checkpoints(store, {
      written: () => {
        this.#changed.fire()
        this.#status()
      },
      lost: (partition, cause) => this.#lose(partition, cause),
    })
    let done: Promise<void> = Promise.resolve()
    this.ready = new Promise((resolve, reject) => {
      done = this.#run({ resolve, reject })
    })
    this.done = done
    this.ready.catch(() => {})
    this.done.catch(() => {})
  }

  /** Hand out nothing more. Partitions are kept until what was handed out is acked, or `release` is called. */
  stop(): void {
    this.#stopping.abort()
    for (const { partition } of this.#owned.values()) partition.drain()
    this.#changed.fire()
    this.#rung.fire()
  }

  /** Give the partitions back, with their checkpoints as far as they go. */
  async release(): Promise<void> {
    this.#releasing.abort()
    this.stop()
    await this.done.catch(() => {})
  }

  async #run(ready: { resolve(): void; reject(error: unknown): void }): Promise<void> {
    const { signal } = this.#stopping
    const { logger } = this.#store
    const silence = this.#ports.onBell(() => this.#rung.fire())
    const watch = watchUnacked(this.#options, logger, () => [...this.#owned.values()])
    let failure: { error: unknown } | undefined
    const until = async (loop: Promise<void>) => {
      await loop.catch((error) => {
        if (!signal.aborted) failure ??= { error } // what fails once we are stopped is of no interest
        ready.reject(error)
      })
      this.stop()
    }
    try {
      const registered = persist(() => this.#ports.register(), { signal, logger })
      // All of them, for a claim under way may still take something.
      await Promise.all([
        until(registered.then(() => this.#share(ready.resolve))),
        until(registered.then(() => this.#pump())),
      ])
      if (failure) throw (failure as { error: unknown }).error
    } finally {
      await this.#leave()
      this.#releasing.abort()
      clearInterval(watch)
      silence()
      this.#checkpoints.close()
      clearTimeout(this.#later)
      this.#status('stopped')
    }
  }

  // ------------------------------------------------------------------------------------------------ the share

  async #share(claimed: () => void): Promise<void> {
    const { leaseMs, pollIntervalMs } = this.#options
    for (;;) {
      const rung = this.#rung.next() // before the claim, which may miss what it rings for
      const { share, waitMs } = await this.#claim()
      claimed()
      // Who has not got his share yet looks more often: the bell may not be heard.
      const wanting = this.#owned.size === 0 || this.#owned.size < share
      const timer = setTimeout(
        () => this.#rung.fire(),
        Math.min(leaseMs / 3, wanting ? pollIntervalMs : Infinity, Math.max(waitMs ?? Infinity, 0) + 1),
      )
      await rung
      clearTimeout(timer)
      this.#stopping.signal.throwIfAborted()
    }
  }

  /** Say that we are alive, and take, renew and give back. */
  async #claim(): Promise<Share> {
    const { signal } = this.#stopping
    const held = this.#partitions()
    const at = now()
    const share = await persist(() => this.#store.claim(held), { signal, logger: this.#store.logger })
    for (const partition of held) {
      const { number, epoch } = partition
      if (share.held.some((grant) => grant.partition === number && grant.epoch === epoch))
        partition.renewed(at)
      else if (!partition.returning) this.#lose(partition)
    }
    await this.#take(share.taken, at)
    const kept = [...this.#owned.values()].filter(({ leaving }) => !leaving)
    for (const { partition } of kept.slice(share.share)) this.#giveBack(partition.number)
    if (kept.length === 0) this.#status('waiting')
    for (const { partition } of kept) this.#checkpoints.poke(partition)
    this.#changed.fire()
    return share
  }

  async #take(taken: readonly Grant[], at: ReturnType<typeof now>): Promise<void> {
    const { signal } = this.#stopping
    const numbers = taken.map(({ partition }) => partition)
    // Streams are set aside by us, or before: only whether they are to be replayed is for others to say.
    const parked = [...this.#owned.values()].filter(({ partition }) => partition.asides.size > 0)
    for (const { partition } of parked) numbers.push(partition.number)
    if (numbers.length === 0) return
    const asides = await persist(() => this.#store.asides(numbers), { signal, logger: this.#store.logger })
    for (const grant of taken) {
      const partition = new Partition(grant, at, this.#store, this.#options.leaseMs, {
        deliver: this.#deliver,
        changed: (partition) => {
          this.#checkpoints.poke(partition)
          this.#changed.fire()
        },
        aside: (partition) => this.#owned.get(partition.number)?.replay.wake(),
        lost: (partition, cause) => this.#lose(partition, cause),
      })
      const replay = new Replay(partition, this.#store)
      for (const [number, aside] of asides)
        if (number === grant.partition) partition.asides.set(streamKey(aside), aside)
      this.#owned.set(grant.partition, { partition, replay })
    }
    for (const [number, { replaying, ...stream }] of asides) {
      const owned = this.#owned.get(number)
      if (!owned) continue // lost or given back meanwhile
      const aside = owned.partition.asides.get(streamKey(stream))
      if (aside && replaying) aside.replaying = true
    }
    for (const { replay } of this.#owned.values()) replay.wake()
    if (taken.length > 0) this.#restart.abort()
  }

  /** Drain a partition, and let another have it. */
  #giveBack(number: number): void {
    const owned = this.#owned.get(number)!
    const { partition } = owned
    partition.drain()
    owned.leaving = this.#drained([owned], this.#options.patienceMs)
      .then(() => this.#release([owned], false))
      .catch(() => {})
  }

  async #leave(): Promise<void> {
    const all = [...this.#owned.values()]
    for (const { partition } of all) partition.drain()
    await Promise.all(all.map(({ leaving }) => leaving))
    const rest = all.filter(({ partition }) => this.#owned.get(partition.number)?.partition === partition)
    await this.#drained(rest)
    await this.#release(rest, true)
  }

  /** The consumer has nothing of these in hand any more, or nobody is to wait for that: nothing was acked for long. */
  async #drained(owned: readonly Owned[], patienceMs = Infinity): Promise<void> {
    const { signal } = this.#releasing
    const left = () =>
      owned.reduce(
        (sum, { partition, replay }) =>
          partition.lost ? sum : sum + partition.window.left + partition.parking + (replay.busy ? 1 : 0),
        0,
      )
    const wake = () => this.#changed.fire()
    signal.addEventListener('abort', wake)
    let since = performance.now()
    for (let before = left(); before > 0 && !signal.aborted; ) {
      const timer = setTimeout(wake, Math.min(this.#options.leaseMs / 3, patienceMs))
      await this.#changed.next()
      clearTimeout(timer)
      const after = left()
      if (after < before) since = performance.now()
      else if (performance.now() - since >= patienceMs) break
      before = after
      for (const { partition } of owned)
        if (elapsed(partition.renewedAt) > this.#options.leaseMs / 3) this.#checkpoints.renew(partition)
    }
    signal.removeEventListener('abort', wake)
  }

  async #release(owned: readonly Owned[], leaving: boolean): Promise<void> {
    if (this.#options.strict && !this.#releasing.signal.aborted)
      for (const { partition } of owned) await partition.handOver().catch((error) => partition.lose(error))
    const ours = owned.map(({ partition }) => partition).filter(({ lost }) => !lost)
    for (const partition of ours) partition.returning = true
    const positions = ours.map(({ window }) => window.watermark)
    const { name } = this.#options
    try {
      if (ours.length > 0 || leaving) {
        const released = await this.#store.release(ours, positions, leaving)
        ours.forEach((partition, i) => {
          if (released.includes(partition.number)) partition.checkpoint(positions[i]!)
        })
      }
    } catch (error) {
      this.#store.logger.warn({ err: error }, 'a lease could not be given back; it runs out by itself')
    }
    for (const partition of ours) partition.end(new LeaseLostError(name, partition.number))
    for (const { partition } of owned)
      if (this.#owned.get(partition.number)?.partition === partition) this.#owned.delete(partition.number)
    this.#status()
  }

  #lose(partition: Partition, cause?: unknown): void {
    if (partition.lost) return
    const error = new LeaseLostError(this.#options.name, partition.number, cause)
    this.#store.logger.warn({ err: error }, 'a lease is lost')
    partition.end(error)
    if (this.#owned.get(partition.number)?.partition === partition) this.#owned.delete(partition.number)
    this.#changed.fire()
    // What failed may fail again: not at once.
    clearTimeout(this.#later)
    if (cause === undefined) this.#rung.fire()
    else this.#later = setTimeout(() => this.#rung.fire(), LOST_MS)
  }

  // ------------------------------------------------------------------------------------------------- the pump

  async #pump(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const changed = this.#changed.next()
      this.#restart = new AbortController()
      const end = () => this.#restart.abort()
      signal.addEventListener('abort', end, { once: true })
      const active = this.#active()
      if (active.length === 0) await changed
      else await this.#follow(Math.min(...active.map(({ window }) => window.passed)), this.#restart.signal)
      signal.removeEventListener('abort', end)
    }
  }

  async #follow(after: number, restart: AbortSignal): Promise<void> {
    const feed = this.#ports.follow(after)
    let position = after
    const upToDate = () => {
      this.#horizon = Math.max(this.#horizon, feed.horizon())
      this.#status(position < feed.horizon() ? 'catching-up' : 'live')
    }
    try {
      this.#status('catching-up')
      // Where nothing is left to do, the first page is long in coming.
      feed
        .begun()
        .then(() => restart.aborted || upToDate())
        .catch(() => {})
      while (!restart.aborted && this.#active().length > 0) {
        const page = await aborted(feed.next(), restart)
        if (!(await this.#handOut(page, restart)) || restart.aborted) return
        position = page.position
        for (const partition of this.#active()) partition.window.pass(position)
        this.#checkpoints.pokeLater(() => this.#partitions(), this.#options.pollIntervalMs)
        upToDate()
      }
    } catch (error) {
      if (restart.aborted) return
      this.#releasing.abort() // nobody should have to ack first to hear of it
      throw error
    } finally {
      feed.close()
    }
  }

  /** False: interrupted. What was handed out till then is known by each partition's `passed`. */
  async #handOut({ events, hashes }: Page, restart: AbortSignal): Promise<boolean> {
    const { partitions } = this.#options
    let room = 0
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!
      const partition = this.#owned.get(partitions === 1 ? 0 : hashes[i]! % partitions)?.partition
      if (!partition || partition.draining || event.position <= partition.window.passed) continue
      while (room <= 0 || !partition.valid) {
        const changed = this.#changed.next()
        room = this.#room()
        if (restart.aborted || partition.draining) break
        if (room > 0 && partition.valid) break
        this.#status('catching-up')
        await changed
      }
      if (restart.aborted) return false
      if (partition.draining) continue
      room--
      partition.offer(event)
    }
    return true
  }

  #room(): number {
    const { maxInFlight } = this.#options
    let load = 0
    let span = 0
    for (const { window } of this.#partitions()) {
      load += window.load(this.#options.strict)
      span += window.span
    }
    return Math.min(maxInFlight - load, Math.max(MAX_SPAN, 16 * maxInFlight) - span)
  }

  /** How much there is to catch up with, counted once a second at most. */
  #count(): void {
    if (performance.now() - this.#countedAt < COUNT_MS) return
    this.#countedAt = performance.now()
    this.#store
      .lag()
      .then((lag) => {
        this.#lag = lag
        if (this.#state === 'catching-up') this.#status()
      })
      .catch((error) => this.#store.logger.debug({ err: error }, 'a lag could not be counted'))
  }

  #partitions(): Partition[] {
    return [...this.#owned.values()].map(({ partition }) => partition)
  }

  #active(): Partition[] {
    return this.#partitions().filter(({ draining }) => !draining)
  }

  #status(state = this.#state): void {
    const partitions = this.#partitions()
    this.#state = state
    const inFlight = partitions.reduce((sum, { window }) => sum + window.size, 0)
    if (state === 'catching-up') this.#count()
    if (partitions.length > 0) this.#position = Math.min(...partitions.map(({ durable }) => durable))
    this.#ports.status({
      state,
      position: this.#position,
      horizon: Math.max(this.#horizon, this.#position),
      lag: state === 'catching-up' ? Math.max(this.#lag, inFlight) : inFlight,
      inFlight,
      partitions: partitions.map(({ number }) => number).sort((a, b) => a - b),
    })
  }
}
