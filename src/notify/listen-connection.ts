import { randomUUID } from 'node:crypto'
import { abortable, sharedController } from '../core/abort.ts'
import { backoff } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { Condition } from '../core/condition.ts'
import { withTimeout } from '../core/timeout.ts'
import { CLOSE_TIMEOUT_MS } from '../database/connections.ts'
import type { Connect, Subscriber } from './subscriber.ts'

/** A store that shares the connection. */
export interface ListeningStore {
  readonly schema: string
  /** The payload of a notification; null: some may have been missed, so the store has to fetch by itself. */
  onNotification(channel: string, payload: string | null): void
  onState(state: 'listening' | 'reconnecting', cause?: unknown): void
}

/** Pause between two liveness probes: each wakes every listener of the database. */
const PROBE_MS = 15_000

/**
 * The LISTEN connection that all stores of this process in one database share. The first store to join opens it, the last
 * one to leave closes it. pg-listen makes each connection, and each is used once: after any failure a new one is made, for
 * ever.
 *
 *     connecting -> LISTEN on every channel -> probe -> listening -> probe, every 15 s …
 *          ^                                                |
 *          '------------ pause (backoff) <--- lost ---------'
 *
 * - Notifications that were sent without a connection are lost, so every store fetches by itself after each connect.
 * - A connection may look alive and be stale (half-open, a promoted standby): a probe notifies a private channel, and has to
 *   come back.
 * - Several stores may listen to one channel: UNLISTEN is sent with the last of them.
 */
export class ListenConnection {
  readonly #clock: Clock
  readonly #answerMs: number
  readonly #connect: Connect
  readonly #ended: () => void
  readonly #reconnectDelayMs: number | undefined
  readonly #stores = new Set<ListeningStore>() // the oldest first
  readonly #channels = new Map<string, Set<ListeningStore>>()
  readonly #closing = sharedController()
  #listening = false
  #subscriber: Subscriber | undefined
  #lose: ((error: unknown) => void) | undefined
  #listens: Promise<unknown> = Promise.resolve() // LISTENs go one after the other
  #running: Promise<void> | undefined

  /** `answerMs`: how long it waits for any answer. `ended` is called once no store may join any more. */
  constructor(
    clock: Clock,
    answerMs: number,
    connect: Connect,
    ended: () => void = () => {},
    reconnectDelayMs?: number,
  ) {
    this.#clock = clock
    this.#answerMs = answerMs
    this.#connect = connect
    this.#ended = ended
    this.#reconnectDelayMs = reconnectDelayMs
  }

  /** Whether notifications arrive. */
  get listening(): boolean {
    return this.#listening
  }

  join(store: ListeningStore): void {
    this.#stores.add(store)
    this.#running ??= this.#run()
  }

  /** If it was the last store, resolves once the connection is closed. */
  async leave(store: ListeningStore): Promise<void> {
    this.#stores.delete(store)
    if (this.#stores.size > 0) {
      for (const channel of this.#channels.keys()) this.unlisten(channel, store)
      return
    }
    this.#ended()
    this.#closing.abort()
    this.#lose?.(undefined)
    await this.#running
  }

  listen(channel: string, store: ListeningStore): void {
    if (!this.#stores.has(store)) return
    const listening = this.#channels.get(channel) ?? new Set()
    listening.add(store)
    if (listening.size === 1) {
      this.#channels.set(channel, listening)
      this.#listen(channel)
    }
    // What was sent before the LISTEN was lost.
    this.#listens.then(() => store.onNotification(channel, null))
  }

  unlisten(channel: string, store: ListeningStore): void {
    const listening = this.#channels.get(channel)
    if (!listening?.delete(store) || listening.size > 0) return
    this.#channels.delete(channel)
    this.#unlisten(channel)
  }

  async #run(): Promise<void> {
    for (let attempt = 1; !this.#closing.signal.aborted; attempt++) {
      try {
        await this.#session(() => {
          attempt = 0
        })
      } catch (cause) {
        if (this.#closing.signal.aborted) return
        this.#setState('reconnecting', cause)
        await this.#clock
          .sleep(backoff(attempt, this.#clock, { maxMs: this.#reconnectDelayMs }), this.#closing.signal)
          .catch(() => {})
      }
    }
  }

  /** One connection, until it is lost; rejects with the cause. */
  async #session(established: () => void): Promise<void> {
    const losing = sharedController()
    const lost = losing.signal
    const lose = (error: unknown) => losing.abort(error)
    this.#lose = lose
    const probes = new Condition()
    const probeChannel = `meowmx_${randomUUID()}`
    const [oldest] = this.#stores
    const subscriber = this.#connect(
      {
        lost: lose,
        notified: (channel, payload) => {
          if (channel === probeChannel) probes.fire()
          else this.#notify(channel, payload)
        },
      },
      oldest!.schema,
    )
    try {
      await abortable(subscriber.connect(), lost)
      this.#subscriber = subscriber
      this.#listens = Promise.resolve()
      for (const channel of this.#channels.keys()) this.#listen(channel)
      await abortable(this.#settledListens(), lost)
      const probe = async () => {
        await abortable(subscriber.listenTo(probeChannel), lost)
        await this.#probe(probes, subscriber.notify(probeChannel), lost)
        // Each append wakes every connection that listens to anything; a process that only writes should sleep on.
        if (this.#channels.size === 0) await abortable(subscriber.unlisten(probeChannel), lost)
      }
      await probe()
      established()
      this.#setState('listening')
      // What was sent before was lost.
      for (const channel of this.#channels.keys()) this.#notify(channel, null)
      for (;;) {
        await this.#clock.sleep(PROBE_MS, lost).catch(() => {})
        lost.throwIfAborted()
        await probe()
      }
    } finally {
      this.#subscriber = undefined
      this.#lose = undefined
      await subscriber.close(this.#closing.signal.aborted ? CLOSE_TIMEOUT_MS : 0)
    }
  }

  /** Resolves once all LISTENs are done, with those that are asked for meanwhile. */
  async #settledListens(): Promise<void> {
    for (let last: unknown; last !== this.#listens; ) {
      last = this.#listens
      await last
    }
  }

  #listen(channel: string): void {
    const subscriber = this.#subscriber
    const lose = this.#lose
    if (!subscriber) return // the next connection listens to all channels
    this.#listens = this.#listens
      .then(() => (this.#channels.has(channel) ? subscriber.listenTo(channel) : undefined))
      .catch((error) => lose?.(error))
  }

  #unlisten(channel: string): void {
    const subscriber = this.#subscriber
    const lose = this.#lose
    if (!subscriber) return
    this.#listens = this.#listens
      .then(() => (this.#channels.has(channel) ? undefined : subscriber.unlisten(channel)))
      .catch((error) => lose?.(error))
  }

  /** Proves that notifications arrive; rejects if the probe does not come back. */
  async #probe(probes: Condition, sent: Promise<unknown>, lost: AbortSignal): Promise<void> {
    const back = probes.next()
    const stale = () => {
      throw new Error('the connection is stale: a liveness probe did not come back')
    }
    await withTimeout(this.#answerMs, () => sent.then(() => back), stale, {
      clock: this.#clock,
      signal: lost,
    })
  }

  #notify(channel: string, payload: string | null): void {
    for (const store of this.#channels.get(channel) ?? []) store.onNotification(channel, payload)
  }

  #setState(state: 'listening' | 'reconnecting', cause?: unknown): void {
    this.#listening = state === 'listening'
    for (const store of this.#stores) store.onState(state, cause)
  }
}
