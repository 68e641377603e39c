import type { Observable } from 'rxjs'
import { BehaviorSubject } from 'rxjs'
import type { Logger } from '../core/logger.ts'
import type { Queries } from '../database/database.ts'
import type { Line, Party } from './listen-connection.ts'

/** How push stands. Without it events still arrive, every `pollIntervalMs`. */
export interface StoreStatus {
  /**
   * `listening`: pushed. `reconnecting`: the connection is lost, and being made anew, for ever. `polling`: this store does
   * not listen (`listen: false`). `closed`: by `close()`.
   */
  state: 'listening' | 'reconnecting' | 'polling' | 'closed'
  /** Since when. */
  since: Date
  /** Why push is down: the last error. */
  cause?: unknown
  /** Something that the store asks of the database fails, and is tried again: the last error. */
  error?: unknown
  /** Since when that fails. */
  retryingSince?: Date
}

/** What is told to whoever listens: a notification's payload, or null: some may have been missed, look. */
type Ear = (payload: string | null) => void

/** What a store listens to, on a line that it may share with others. */
export class Listener implements Party {
  readonly status$: Observable<StoreStatus>
  readonly schema: string
  readonly logger: Logger
  readonly #db: Queries
  readonly #line: Line | undefined
  readonly #ears = new Map<string, Set<Ear>>()
  readonly #status: BehaviorSubject<StoreStatus>

  /** Without a line nothing is heard: the store polls. */
  constructor(db: Queries, line?: Line) {
    this.#db = db
    this.#line = line
    this.schema = db.settings.schema
    this.logger = db.settings.logger
    this.#status = new BehaviorSubject<StoreStatus>({
      state: line ? (line.listening ? 'listening' : 'reconnecting') : 'polling',
      since: new Date(db.clock.wall()),
    })
    this.status$ = this.#status.asObservable()
    db.retries?.onChange(() => this.#retried())
    if (line?.listening) this.#tell('listening')
    line?.join(this)
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
      this.#line?.listen(channel, this)
    }
    return () => {
      if (!ears.delete(ear) || ears.size > 0) return
      this.#ears.delete(channel)
      this.#line?.unlisten(channel, this)
    }
  }

  async close(): Promise<void> {
    await this.#line?.leave(this)
    this.become('closed')
    this.#status.complete()
  }

  /** An error thrown from here would wedge the socket. */
  hear(channel: string, payload: string | null): void {
    if (payload !== null) this.#db.telemetry?.notified()
    for (const ear of this.#ears.get(channel) ?? []) {
      try {
        ear(payload)
      } catch (error) {
        this.logger.error({ err: error, channel }, 'a notification could not be followed up')
      }
    }
  }

  become(state: StoreStatus['state'], error?: unknown): void {
    if (this.#status.value.state === state && state !== 'reconnecting') return
    const since =
      this.#status.value.state === state ? this.#status.value.since : new Date(this.#db.clock.wall())
    const cause = error === undefined ? undefined : this.#db.translate(error)
    this.#tell(state, cause)
    this.#status.next({ state, since, ...(cause === undefined ? {} : { cause }), ...this.#retrying(state) })
  }

  /** What is tried again has changed. */
  #retried(): void {
    const { error: _, retryingSince: __, ...status } = this.#status.value
    const retrying = this.#retrying(status.state)
    const same = retrying.error === this.#status.value.error
    if (!same || 'error' in retrying !== 'error' in this.#status.value)
      this.#status.next({ ...status, ...retrying })
  }

  #retrying(state: StoreStatus['state']): Pick<StoreStatus, 'error' | 'retryingSince'> {
    const current = state === 'closed' ? undefined : this.#db.retries?.current()
    return current ? { error: current.error, retryingSince: current.since } : {}
  }

  #tell(state: StoreStatus['state'], cause?: unknown): void {
    const { logger, schema } = this
    if (state === 'listening') logger.info({ schema }, 'listening for notifications')
    if (state !== 'reconnecting') return
    const level = this.#status.value.cause === undefined ? 'warn' : 'debug' // of an outage the first time
    logger[level]({ err: cause }, 'the listener lost its connection; polling until it is back')
  }
}
