import type { Duplex } from 'node:stream'
import pg from 'pg'
import { after, now } from '../core/clock.ts'
import { ClosedError } from '../core/errors.ts'
import { cancel } from './cancel.ts'
import type { Settings } from './connect-options.ts'
import { PasswordFailure } from './connection-problems.ts'
import { isLost, isReadOnly, isServerFailure } from './failures.ts'
import { cancelTimeoutMs, runQuery } from './run-query.ts'
import type { Servers } from './servers.ts'
import { mayWorkElsewhere, noServerError, ReadOnlyError } from './servers.ts'
import { watchErrors } from './session.ts'
import { Sockets } from './sockets.ts'
import { statements } from './statements.ts'
import { POOL_TIMEOUT, translate } from './translate.ts'

/**
 * The number of connections that an idle store keeps outside the pool: one to append, one to read, one for a checkpoint.
 * pg-pool hands out an idle connection in `process.nextTick`; if a user's tests fake that, the caller waits for
 * ever (test/fake-timers). Also, the pool closes idle connections after 10 s, and the first event after a quiet hour should not
 * wait for a login. Not for speed: without them an append was not measurably slower (less than 10 %, within the noise).
 */
const MAX_KEPT = 3

/** How long a connection that was idle may take to prove that it is alive: one round trip. In ms. */
const CHECK_MS = 2_000

/** How long a connection may take to close before its socket is destroyed. In ms. */
export const CLOSE_TIMEOUT_MS = 500

/** A connection that is checked out of the pool. */
export interface Connection {
  readonly client: pg.PoolClient
  broken: boolean
  /** The time since which it is idle. */
  since: number
  onError(): void
}

/** Opens, lends, keeps and closes the connections of a store, from its own pool or the user's. */
export class Connections {
  readonly #settings: Settings
  readonly #servers: Servers
  readonly #pool: pg.Pool
  readonly #owned: boolean
  readonly #sockets = new Sockets() // of an owned pool
  readonly #kept: Connection[] = [] // checked out of an owned pool, and not in use
  readonly #discarded = new WeakSet<pg.ClientBase>()
  readonly #checked = new WeakSet<pg.ClientBase>() // of an owned pool, and usable
  #closed = false
  #ended = false

  constructor(settings: Settings, servers: Servers) {
    this.#settings = settings
    this.#servers = servers
    this.#owned = settings.pool === undefined
    this.#pool = settings.pool ?? poolOf(settings, servers, this.#sockets)
    if (this.#owned)
      this.#pool.on('error', (error) => {
        delete (error as { client?: unknown }).client // pg-pool adds the whole client
        settings.logger.debug({ err: error }, 'an idle connection broke')
      })
    else ignorePoolErrors(this.#pool)
  }

  /** An idle connection that was used recently. */
  take(): Connection | undefined {
    if (this.#closed) throw new ClosedError()
    const last = this.#kept.at(-1)
    return last && now() - last.since < this.#settings.keepAliveMs ? this.#kept.pop() : undefined
  }

  /** A connection that was idle for long, if it is still alive; otherwise one from the pool. */
  async checkOut(): Promise<Connection> {
    const idle = this.#kept.pop()
    if (idle && (await this.#isAlive(idle))) return idle
    return await this.#connect().catch((error) => {
      throw this.#closed
        ? new ClosedError()
        : translate(this.#passwordFailure(error) ?? error, this.#settings)
    })
  }

  /** The error of the user's password function, if the error is not the driver's, the server's or the operating system's. */
  #passwordFailure(error: unknown): Error | undefined {
    const { options } = this.#pool as { options?: { password?: unknown } }
    const { code, message } = (error ?? {}) as { code?: unknown; message?: string }
    if (typeof options?.password !== 'function' || typeof code === 'string' || isOfDriver(message ?? ''))
      return undefined
    return new PasswordFailure(message, { cause: error })
  }

  /**
   * Checks a connection that was idle for long. A router may have dropped it silently; then a query on it gets no answer and
   * fails only after `queryTimeoutMs`. If one connection is dead, the others are closed too, because they were idle for as
   * long.
   */
  async #isAlive(connection: Connection): Promise<boolean> {
    try {
      await runQuery(connection.client, { text: 'select' }, Math.min(CHECK_MS, this.#settings.queryTimeoutMs))
      return true
    } catch (error) {
      this.#settings.logger.debug({ err: error }, 'a connection that was idle for long is dead')
      connection.broken = true
      this.release(connection)
      this.#closeIdle()
      return false
    }
  }

  /** Keeps the connection if possible, because the way through the pool takes longer; otherwise returns it to the pool. */
  release(connection: Connection): void {
    const { client, onError } = connection
    connection.broken ||= this.#discarded.has(client)
    const room = this.#owned && this.#pool.waitingCount === 0 && this.#kept.length < MAX_KEPT
    if (!connection.broken && !this.#closed && room) {
      connection.since = now()
      this.#kept.push(connection)
    } else {
      client.release(connection.broken)
      client.removeListener('error', onError) // the pool listens again
    }
  }

  /** Decides after an error whether this connection and the idle ones may be used again. */
  failed(connection: Connection, error: unknown): void {
    connection.broken ||= isServerFailure(error)
    if (isReadOnly(error)) this.#servers.moveOn((connection.client as { server?: object }).server)
    if (isLost(error) || isReadOnly(error)) this.#closeIdle()
  }

  /** Closes a borrowed connection when it is returned. */
  discard(client: pg.ClientBase): void {
    this.#discarded.add(client)
  }

  /** Ends a borrowed connection at once. Its running query fails. */
  cut(client: pg.ClientBase): void {
    this.discard(client)
    const stream = streamOf(client)
    if (stream) stream.destroy()
    else (client as pg.Client).end().catch(() => {})
  }

  /** The same, after the server was asked to cancel the running query, which it would otherwise finish. */
  async cancel(client: pg.ClientBase): Promise<void> {
    this.discard(client)
    streamOf(client)?.pause() // no answer is read any more
    await cancel(client, cancelTimeoutMs(this.#settings.queryTimeoutMs))
    this.cut(client)
  }

  /** Refuses new connections, and ends the store's own ones, including those that are being opened. */
  giveUp(): void {
    this.#closed = true
    if (this.#owned) this.#sockets.destroy()
  }

  /** Closes the store's own pool; borrowed connections close when they are returned. Nothing of the user's pool is closed. */
  async close(): Promise<void> {
    this.#closed = true
    if (!this.#owned || this.#ended) return
    this.#ended = true
    for (const connection of this.#kept.splice(0)) this.release(connection)
    await this.#pool.end()
    await this.#sockets.closed(CLOSE_TIMEOUT_MS)
  }

  /**
   * Closes all idle connections. If one connection is lost, the others may be lost too, and each would need `queryTimeoutMs` to
   * fail.
   */
  #closeIdle(): void {
    if (!this.#owned) return
    for (const connection of this.#kept.splice(0)) {
      connection.broken = true
      this.release(connection)
    }
    for (let n = this.#pool.idleCount; n > 0; n--)
      this.#pool.connect((_error, client) => client?.release(true)) // without one: it broke already
  }

  /** Removes a connection that broke while it was idle. */
  #onBroken(connection: Connection): void {
    connection.broken = true
    const i = this.#kept.indexOf(connection)
    if (i < 0) return
    this.#kept.splice(i, 1)
    this.release(connection)
  }

  /** Tries each server once. */
  async #connect(): Promise<Connection> {
    if (!this.#owned) return this.#fromPool()
    const failures: (readonly [Servers['current'], unknown])[] = []
    while (failures.length < this.#servers.count) {
      const server = this.#servers.current
      try {
        return await this.#check(await this.#fromPool())
      } catch (error) {
        if (this.#closed || (error as Error).message === POOL_TIMEOUT || !mayWorkElsewhere(error)) throw error
        this.#servers.moveOn(server)
        failures.push([server, error])
      }
    }
    throw noServerError(failures)
  }

  /**
   * Uses a callback, because the server may end a connection right after the login, before a promise calls back, and an error
   * without a listener ends the process. The user's pool may wait forever, so this has a timeout; a client that comes later is
   * returned.
   */
  #fromPool(): Promise<Connection> {
    let forget = () => {}
    const connecting = new Promise<Connection>((resolve, reject) => {
      let state: 'waiting' | 'late' | 'answered' = 'waiting'
      const tooLate = () => {
        state = 'late'
        reject(new Error(POOL_TIMEOUT))
      }
      const answer = (error: unknown, client?: pg.PoolClient) => {
        const before = state
        state = 'answered'
        if (before === 'late') client?.release()
        else if (before === 'waiting' && client) resolve(this.#borrowed(client))
        else reject(error)
      }
      if (!this.#owned) forget = after(this.#settings.queryTimeoutMs, tooLate)
      const promised = this.#pool.connect(answer) as Promise<pg.PoolClient> | undefined
      promised?.then?.((client) => answer(undefined, client), answer) // a wrapper of a pool may return only promises
    })
    return connecting.finally(() => forget())
  }

  /** Prepares a connection before its first use. (pg's own `onConnect` exists only since pg 8.20.) */
  async #check(connection: Connection): Promise<Connection> {
    const { client } = connection
    if (this.#checked.has(client)) return connection
    try {
      await prepareSession(client, this.#servers, this.#settings.queryTimeoutMs)
    } catch (error) {
      connection.broken = true
      this.release(connection)
      throw error
    }
    this.#checked.add(client)
    return connection
  }

  #borrowed(client: pg.PoolClient): Connection {
    const connection: Connection = {
      client,
      broken: false,
      since: 0,
      onError: () => this.#onBroken(connection),
    }
    client.on('error', connection.onError)
    watchErrors(client)
    return connection
  }
}

/** The driver's messages about a failed connection. */
const isOfDriver = (message: string) =>
  /^(SASL|timeout e|Connection (terminated|ended)|Client has|The server does not|There was an error|received invalid)/.test(
    message,
  )

const streamOf = (client: pg.ClientBase) =>
  (client as unknown as { connection?: { stream?: Duplex } }).connection?.stream

/** The user's pools whose errors are already ignored. */
const ignoredPools = new WeakSet<pg.Pool>()

/** An idle connection that breaks is replaced on its next use. Without a listener, its error would end the process. */
function ignorePoolErrors(pool: pg.Pool): void {
  if (ignoredPools.has(pool) || typeof pool.on !== 'function') return
  ignoredPools.add(pool)
  pool.on('error', () => {})
}

function poolOf(settings: Settings, servers: Servers, sockets: Sockets): pg.Pool {
  return new pg.Pool({
    ...connectionConfig(settings, `meowmx ${settings.schema}`),
    Client: servers.client(settings.queryTimeoutMs),
    max: settings.maxConnections,
    pipeline: true,
    stream: sockets.make,
  } as pg.PoolConfig)
}

/**
 * Sets what a session needs. The horizon needs READ COMMITTED. A `lock_timeout` of the role or the database would fail queries
 * that only have to wait a little (our own limit is `queryTimeoutMs`); one in the connection string stays. SET is sent only if
 * a value is different, because a pooler may refuse it.
 */
async function prepareSession(client: pg.ClientBase, servers: Servers, timeoutMs: number): Promise<void> {
  const [row] = await runQuery(client, { text: statements.session.text }, timeoutMs)
  const [isolation, inheritsLockTimeout, isReadOnly] = row!
  if (servers.writable && isReadOnly === 't')
    throw new ReadOnlyError('it is a standby, or set to be read-only')
  if (isolation !== 'read committed')
    await client.query(`set default_transaction_isolation = 'read committed'`)
  if (inheritsLockTimeout === 't') await client.query('set lock_timeout = 0').catch(ignoreRefusal) // it is tried again then
}

function ignoreRefusal(error: unknown): void {
  if (isServerFailure(error)) throw error
}

/** The configuration of every connection. */
export function connectionConfig(
  settings: Pick<Settings, 'connectionString' | 'queryTimeoutMs' | 'keepAliveMs'>,
  applicationName: string,
): pg.ClientConfig {
  return {
    ...(settings.connectionString ? { connectionString: settings.connectionString } : {}),
    application_name: applicationName,
    connectionTimeoutMillis: settings.queryTimeoutMs,
    query_timeout: settings.queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: settings.keepAliveMs,
  }
}
