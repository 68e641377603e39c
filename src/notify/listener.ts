import type { Observable } from 'rxjs'
import { BehaviorSubject } from 'rxjs'
import type { Logger } from '../core/logger.ts'
import type { Queries } from '../database/database.ts'
import type { ListenConnection, ListeningStore } from './listen-connection.ts'

/** The state of push. Without push events still arrive, every `pollIntervalMs`. */
export interface StoreStatus {
  /**
   * `listening`: events are pushed. `reconnecting`: the LISTEN connection is lost; the store tries for ever to open another.
   * `polling`: this store does not listen (`listen: false`). `closed`: after `close()`.
   */
  state: 'listening' | 'reconnecting' | 'polling' | 'closed'
  /** Since when. */
  since: Date
  /** Why push is down: the last error. */
  cause?: unknown
  /** The last error of a query that fails and is tried again. */
  error?: unknown
  /** Since when that query has failed. */
  retryingSince?: Date
}

/** Called with a notification's payload; null: some may have been missed, so fetch. */
type Handler = (payload: string | null) => void

/** What a store listens to, on a connection that it may share with others. */
export class Listener implements ListeningStore {
  readonly status$: Observable<StoreStatus>
  readonly schema: string
  readonly logger: Logger
  readonly #db: Queries
  readonly #connection: ListenConnection | undefined
  readonly #handlers = new Map<string, Set<Handler>>()
  readonly #status: BehaviorSubject<StoreStatus>

  /** Without a connection the store polls. */
  constructor(db: Queries, connection?: ListenConnection) {
    this.#db = db
    this.#connection = connection
    this.schema = db.settings.schema
    this.logger = db.settings.logger
    this.#status = new BehaviorSubject<StoreStatus>({
      state: connection ? (connection.listening ? 'listening' : 'reconnecting') : 'polling',
      since: new Date(db.clock.wall()),
    })
    this.status$ = this.#status.asObservable()
    db.retries?.onChange(() => this.#retried())
    if (connection?.listening) this.#tell('listening')
    connection?.join(this)
  }

  /** Whether notifications arrive. */
  get listening(): boolean {
    return this.#status.value.state === 'listening'
  }

  /** Call `handler` on each notification of a channel, until the returned function is called. */
  on(channel: string, handler: Handler): () => void {
    const handlers = this.#handlers.get(channel) ?? new Set()
    handlers.add(handler)
    if (handlers.size === 1) {
      this.#handlers.set(channel, handlers)
      this.#connection?.listen(channel, this)
    }
    return () => {
      if (!handlers.delete(handler) || handlers.size > 0) return
      this.#handlers.delete(channel)
      this.#connection?.unlisten(channel, this)
    }
  }

  async close(): Promise<void> {
    await this.#connection?.leave(this)
    this.onState('closed')
    this.#status.complete()
  }

  /** Must not throw: an error would stop the socket. */
  onNotification(channel: string, payload: string | null): void {
    if (payload !== null) this.#db.telemetry?.notified()
    for (const handler of this.#handlers.get(channel) ?? []) {
      try {
        handler(payload)
      } catch (error) {
        this.logger.error({ err: error, channel }, 'a handler of notifications failed')
      }
    }
  }

  onState(state: StoreStatus['state'], error?: unknown): void {
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
