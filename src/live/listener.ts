import { randomUUID } from 'node:crypto'
import type { Observable } from 'rxjs'
import { BehaviorSubject } from 'rxjs'
import type { Queries } from '../database.ts'
import { GOODBYE_MS } from '../database.ts'
import { manyWaitFor } from './abort.ts'
import { backoff } from './patience.ts'
import { Signal } from './signal.ts'
import type { Connect, Subscriber } from './subscriber.ts'
import { answerMs } from './subscriber.ts'

/** How push stands. Without it events still arrive, every `pollIntervalMs`. */
export interface StoreStatus {
  state: 'listening' | 'reconnecting' | 'polling' | 'closed'
  /** Since when. */
  since: Date
  /** Why push is down: the last error. */
  cause?: unknown
}

/** What is told to whoever listens: a notification's payload, or null: some may have been missed, look. */
type Ear = (payload: string | null) => void

/** Pause between two echoes: one wakes every listener of the database, so it is sent less often than a mere question. */
const ECHO_MS = 15_000

/**
 * The LISTEN connection of this process, through pg-listen, treated as disposable: whatever goes wrong, it is thrown
 * away and a fresh one is made, for ever.
 *
 * - Notifications sent while we were away are lost: after each connect every ear is told to look.
 * - A connection can look alive and be deaf (half-open, a promoted standby): an echo on a private channel shows it.
 */
export class Listener {
  readonly status$: Observable<StoreStatus>
  readonly #db: Queries
  readonly #connect: Connect
  readonly #ears = new Map<string, Set<Ear>>()
  readonly #status: BehaviorSubject<StoreStatus>
  readonly #closing = manyWaitFor()
  #subscriber: Subscriber | undefined
  #lose: ((error: unknown) => void) | undefined
  #listens: Promise<unknown> = Promise.resolve() // LISTENs go one after the other
  #running: Promise<void> = Promise.resolve()

  constructor(db: Queries, connect: Connect) {
    this.#db = db
    this.#connect = connect
    this.#status = new BehaviorSubject<StoreStatus>({
      state: db.settings.listen ? 'reconnecting' : 'polling',
      since: new Date(db.clock.wall()),
    })
    this.status$ = this.#status.asObservable()
    if (db.settings.listen) this.#running = this.#run()
  }

  /** Whether notifications are heard. */
  get listening(): boolean {
    return this.#status.value.state === 'listening'
  }

  /** Call `ear` on each notification of a channel, until the returned function is called. */
  on(channel: string, ear: Ear): () => void {
    const ears = this.#ears.get(channel) ?? new Set()
    ears.add(ear)
    if (ears.size === 1) {
      this.#ears.set(channel, ears)
      this.#listen(channel)
      // What was sent before the LISTEN was lost.
      this.#listens.then(() => this.#hear(channel, null))
    }
    return () => {
      if (!ears.delete(ear) || ears.size > 0) return
      this.#ears.delete(channel)
      this.#unlisten(channel)
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#lose?.(undefined)
    await this.#running
    this.#become('closed')
    this.#status.complete()
  }

  async #run(): Promise<void> {
    for (let attempt = 1; !this.#closing.signal.aborted; attempt++) {
      try {
        await this.#session(() => {
          attempt = 0
        })
      } catch (cause) {
        if (this.#closing.signal.aborted) return
        const level = this.#status.value.cause === undefined ? 'warn' : 'debug' // of an outage the first time
        this.#db.settings.logger[level](
          { err: cause },
          'the listener lost its connection; polling until it is back',
        )
        this.#become('reconnecting', this.#db.translate(cause))
        await this.#db.clock.sleep(backoff(attempt, this.#db.clock), this.#closing.signal).catch(() => {})
      }
    }
  }

  /** One connection, from its making to its loss, with which it rejects. */
  async #session(established: () => void): Promise<void> {
    let lose: (error: unknown) => void = () => {}
    const lost = new Promise<never>((_, reject) => {
      lose = reject
    })
    this.#lose = lose
    lost.catch(() => {})
    const echoes = new Signal()
    const echoChannel = `meowmx_${randomUUID()}`
    const subscriber = this.#connect({
      lost: lose,
      heard: (channel, payload) => {
        if (channel === echoChannel) return echoes.fire()
        this.#db.telemetry?.notified()
        this.#hear(channel, payload)
      },
    })
    try {
      await Promise.race([subscriber.connect(), lost])
      this.#subscriber = subscriber
      this.#listens = Promise.resolve()
      for (const channel of this.#ears.keys()) this.#listen(channel)
      await Promise.race([this.#settledListens(), lost])
      await Promise.race([subscriber.listenTo(echoChannel), lost])
      const echo = () => this.#echo(echoes, subscriber.notify(echoChannel), lost)
      await echo()
      established()
      this.#become('listening')
      this.#db.settings.logger.info({ schema: this.#db.settings.schema }, 'listening for notifications')
      // What was sent while we were away was lost.
      for (const channel of this.#ears.keys()) this.#hear(channel, null)
      for (;;) {
        await Promise.race([this.#db.clock.sleep(ECHO_MS, this.#closing.signal), lost])
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
  async #echo(echoes: Signal, sent: Promise<unknown>, lost: Promise<never>): Promise<void> {
    const { clock, settings } = this.#db
    const back = echoes.next()
    let forget = () => {}
    const late = new Promise<never>((_, reject) => {
      const deaf = () => reject(new Error('the connection is deaf: an echo did not come back'))
      forget = clock.after(answerMs(settings), deaf)
    })
    await Promise.race([sent.then(() => back), late, lost]).finally(forget)
  }

  /** An error thrown from here would wedge the socket. */
  #hear(channel: string, payload: string | null): void {
    for (const ear of this.#ears.get(channel) ?? []) {
      try {
        ear(payload)
      } catch (error) {
        this.#db.settings.logger.error({ err: error, channel }, 'a notification could not be followed up')
      }
    }
  }

  #become(state: StoreStatus['state'], cause?: unknown): void {
    if (this.#status.value.state === state && state !== 'reconnecting') return
    const since =
      this.#status.value.state === state ? this.#status.value.since : new Date(this.#db.clock.wall())
    this.#status.next({ state, since, ...(cause === undefined ? {} : { cause }) })
  }
}
