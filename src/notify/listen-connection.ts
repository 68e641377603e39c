import { randomUUID } from 'node:crypto'
import { aborted, abortWith, manyWaitFor } from '../core/abort.ts'
import { backoff } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { Signal } from '../core/condition.ts'
import { GOODBYE_MS } from '../database/connections.ts'
import type { Connect, Subscriber } from './subscriber.ts'

/** A store that listens on the line. */
export interface Party {
  readonly schema: string
  /** A notification's payload, or null: some may have been missed, look. */
  hear(channel: string, payload: string | null): void
  become(state: 'listening' | 'reconnecting', cause?: unknown): void
}

/** Pause between two echoes: one wakes every listener of the database, so it is sent less often than a mere question. */
const ECHO_MS = 15_000

/**
 * One LISTEN connection of this process, for all stores that listen in the same database: the first to join opens it, the
 * last to leave closes it. Through pg-listen, treated as disposable: whatever goes wrong, it is thrown away and a fresh one
 * is made, for ever.
 *
 * - Notifications sent while we were away are lost: after each connect every party is told to look.
 * - A connection can look alive and be deaf (half-open, a promoted standby): an echo on a private channel shows it.
 * - A channel may be listened to by several (stores of one schema): it is given up with the last of them.
 */
export class Line {
  readonly #clock: Clock
  readonly #answerMs: number
  readonly #connect: Connect
  readonly #ended: () => void
  readonly #reconnectDelayMs: number | undefined
  readonly #parties = new Set<Party>() // the oldest first
  readonly #ears = new Map<string, Set<Party>>()
  readonly #closing = manyWaitFor()
  #listening = false
  #subscriber: Subscriber | undefined
  #lose: ((error: unknown) => void) | undefined
  #listens: Promise<unknown> = Promise.resolve() // LISTENs go one after the other
  #running: Promise<void> | undefined

  /** `answerMs`: how long it waits for any answer. `ended` is called once nobody may join any more. */
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

  /** Whether notifications are heard. */
  get listening(): boolean {
    return this.#listening
  }

  join(party: Party): void {
    this.#parties.add(party)
    this.#running ??= this.#run()
  }

  /** Settles once nothing is left of the line, where it was the last. */
  async leave(party: Party): Promise<void> {
    this.#parties.delete(party)
    if (this.#parties.size > 0) {
      for (const channel of this.#ears.keys()) this.unlisten(channel, party)
      return
    }
    this.#ended()
    this.#closing.abort()
    this.#lose?.(undefined)
    await this.#running
  }

  listen(channel: string, party: Party): void {
    if (!this.#parties.has(party)) return
    const ears = this.#ears.get(channel) ?? new Set()
    ears.add(party)
    if (ears.size === 1) {
      this.#ears.set(channel, ears)
      this.#listen(channel)
    }
    // What was sent before the LISTEN was lost.
    this.#listens.then(() => party.hear(channel, null))
  }

  unlisten(channel: string, party: Party): void {
    const ears = this.#ears.get(channel)
    if (!ears?.delete(party) || ears.size > 0) return
    this.#ears.delete(channel)
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
        this.#become('reconnecting', cause)
        await this.#clock
          .sleep(backoff(attempt, this.#clock, this.#reconnectDelayMs), this.#closing.signal)
          .catch(() => {})
      }
    }
  }

  /** One connection, from its making to its loss, with which it rejects. */
  async #session(established: () => void): Promise<void> {
    const losing = manyWaitFor()
    const lost = losing.signal
    const lose = (error: unknown) => losing.abort(error)
    this.#lose = lose
    const echoes = new Signal()
    const echoChannel = `meowmx_${randomUUID()}`
    const [oldest] = this.#parties
    const subscriber = this.#connect(
      {
        lost: lose,
        heard: (channel, payload) => {
          if (channel === echoChannel) echoes.fire()
          else this.#hear(channel, payload)
        },
      },
      oldest!.schema,
    )
    try {
      await aborted(subscriber.connect(), lost)
      this.#subscriber = subscriber
      this.#listens = Promise.resolve()
      for (const channel of this.#ears.keys()) this.#listen(channel)
      await aborted(this.#settledListens(), lost)
      const echo = async () => {
        await aborted(subscriber.listenTo(echoChannel), lost)
        await this.#echo(echoes, subscriber.notify(echoChannel), lost)
        // Each connection that listens to anything is woken by each append: not that of who only writes.
        if (this.#ears.size === 0) await aborted(subscriber.unlisten(echoChannel), lost)
      }
      await echo()
      established()
      this.#become('listening')
      // What was sent while we were away was lost.
      for (const channel of this.#ears.keys()) this.#hear(channel, null)
      for (;;) {
        await this.#clock.sleep(ECHO_MS, lost).catch(() => {})
        lost.throwIfAborted()
        await echo()
      }
    } finally {
      this.#subscriber = undefined
      this.#lose = undefined
      await subscriber.close(this.#closing.signal.aborted ? GOODBYE_MS : 0)
    }
  }

  /** All LISTENs that were asked for, those that come in meanwhile too. */
  async #settledListens(): Promise<void> {
    for (let last: unknown; last !== this.#listens; ) {
      last = this.#listens
      await last
    }
  }

  #listen(channel: string): void {
    const subscriber = this.#subscriber
    const lose = this.#lose
    if (!subscriber) return // whoever connects next listens to all
    this.#listens = this.#listens
      .then(() => (this.#ears.has(channel) ? subscriber.listenTo(channel) : undefined))
      .catch((error) => lose?.(error))
  }

  #unlisten(channel: string): void {
    const subscriber = this.#subscriber
    const lose = this.#lose
    if (!subscriber) return
    this.#listens = this.#listens
      .then(() => (this.#ears.has(channel) ? undefined : subscriber.unlisten(channel)))
      .catch((error) => lose?.(error))
  }

  /** Proves that notifications come back: rejects where one does not. */
  async #echo(echoes: Signal, sent: Promise<unknown>, lost: AbortSignal): Promise<void> {
    const back = echoes.next()
    const waiting = abortWith(lost)
    const forget = this.#clock.after(this.#answerMs, () =>
      waiting.abort(new Error('the connection is deaf: an echo did not come back')),
    )
    try {
      await aborted(
        sent.then(() => back),
        waiting.signal,
      )
    } finally {
      forget()
      waiting.abort()
    }
  }

  #hear(channel: string, payload: string | null): void {
    for (const party of this.#ears.get(channel) ?? []) party.hear(channel, payload)
  }

  #become(state: 'listening' | 'reconnecting', cause?: unknown): void {
    this.#listening = state === 'listening'
    for (const party of this.#parties) party.become(state, cause)
  }
}
