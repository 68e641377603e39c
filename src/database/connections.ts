import type { Duplex } from 'node:stream'
import pg from 'pg'
import { after, now } from '../core/clock.ts'
import { ClosedError } from '../core/errors.ts'
import { cancel } from './cancel.ts'
import type { Settings } from './connect-options.ts'
import { PasswordFailure } from './connection-problems.ts'
import { isLost, isReadOnly, isServerFailure } from './failures.ts'
import { cancelTimeoutMs, runQuery } from './fast-query.ts'
import type { Servers } from './servers.ts'
import { mayWorkElsewhere, noServerError, ReadOnlyError } from './servers.ts'
import { watchErrors } from './session.ts'
import { Sockets } from './sockets.ts'
import { POOL_TIMEOUT, translate } from './translate.ts'

/**
 * Connections that are kept however long nothing happens, so that the first event after a quiet hour need not wait for a
 * login: one to append, one to read, one for a checkpoint. What else a burst opened is closed after 10 s.
 */
const MAX_KEPT = 3

/** How long one that was idle for long has to show that it is alive: a round trip, and no more than a login takes. */
const CHECK_MS = 2_000

/** How long a connection may take to say goodbye before it is cut. */
export const CLOSE_TIMEOUT_MS = 500

/** One that is checked out of the pool. */
export interface Connection {
  readonly client: pg.PoolClient
  broken: boolean
  /** When it was kept. */
  since: number
  onError(): void
}

/** The connections of a store, from a pool of ours or of the user's: opened, lent, kept at hand, and thrown away. */
export class Connections {
  readonly #settings: Settings
  readonly #servers: Servers
  readonly #pool: pg.Pool
  readonly #owned: boolean
  readonly #sockets = new Sockets() // of an owned pool
  readonly #kept: Connection[] = [] // checked out of an owned pool, and not in use
  readonly #discarded = new WeakSet<pg.ClientBase>()
  readonly #checked = new WeakSet<pg.ClientBase>() // of an owned pool, and fit for use
  #closed = false
  #ended = false

  constructor(settings: Settings, servers: Servers) {
    this.#settings = settings
    this.#servers = servers
    this.#owned = settings.pool === undefined
    this.#pool = settings.pool ?? poolOf(settings, servers, this.#sockets)
    if (this.#owned)
      this.#pool.on('error', (error) => {
        delete (error as { client?: unknown }).client // all of it, which pg-pool puts there
        settings.logger.debug({ err: error }, 'an idle connection broke')
      })
    else ignorePoolErrors(this.#pool)
  }

  /** One that is at hand, and was in use lately. */
  take(): Connection | undefined {
    if (this.#closed) throw new ClosedError()
    const last = this.#kept.at(-1)
    return last && now() - last.since < this.#settings.keepAliveMs ? this.#kept.pop() : undefined
  }

  /** One that was idle for long, if it is alive; else one that the pool has, or opens. */
  async checkOut(): Promise<Connection> {
    const idle = this.#kept.pop()
    if (idle && (await this.#isAlive(idle))) return idle
    return await this.#connect().catch((error) => {
      throw this.#closed
        ? new ClosedError()
        : translate(this.#passwordFailure(error) ?? error, this.#settings)
    })
  }

  /** What a pool's own function for the password threw: it is neither the driver's, nor the server's, nor the system's. */
  #passwordFailure(error: unknown): Error | undefined {
    const { options } = this.#pool as { options?: { password?: unknown } }
    const { code, message } = (error ?? {}) as { code?: unknown; message?: string }
    if (typeof options?.password !== 'function' || typeof code === 'string' || isOfDriver(message ?? ''))
      return undefined
    return new PasswordFailure(message, { cause: error })
  }

  /**
   * A router may have forgotten a connection without telling anybody. What is sent on it then gets no answer, and would take
   * the whole `queryTimeoutMs` to fail. If one is dead, so are the others, for they were idle for as long.
   */
  async #isAlive(connection: Connection): Promise<boolean> {
    try {
      await runQuery(connection.client, { text: 'select' }, Math.min(CHECK_MS, this.#settings.queryTimeoutMs))
      return true
    } catch (error) {
      this.#settings.logger.debug({ err: error }, 'a connection that was idle for long is dead')
      connection.broken = true
      this.giveBack(connection)
      this.#closeIdle()
      return false
    }
  }

  /** To ourselves, where there is no reason not to: the way through the pool is long for one event that is waited for. */
  giveBack(connection: Connection): void {
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

  /** What one was borrowed for failed so: is it to be used again, and are the others? */
  failed(connection: Connection, error: unknown): void {
    connection.broken ||= isServerFailure(error)
    if (isReadOnly(error)) this.#servers.moveOn((connection.client as { server?: object }).server)
    if (isLost(error) || isReadOnly(error)) this.#closeIdle()
  }

  /** A borrowed connection is not to be lent again: it is closed when it comes back. */
  discard(client: pg.ClientBase): void {
    this.#discarded.add(client)
  }

  /** End one that is borrowed, at once: what is under way on it fails. */
  cut(client: pg.ClientBase): void {
    this.discard(client)
    const stream = streamOf(client)
    if (stream) stream.destroy()
    else (client as pg.Client).end().catch(() => {})
  }

  /** The same, once the server has heard that it is to cancel its query, which it would finish first. */
  async cancel(client: pg.ClientBase): Promise<void> {
    this.discard(client)
    streamOf(client)?.pause() // no answer is read any more
    await cancel(client, cancelTimeoutMs(this.#settings.queryTimeoutMs))
    this.cut(client)
  }

  /** There are none any more; those of ours are ended, also while they connect. */
  giveUp(): void {
    this.#closed = true
    if (this.#owned) this.#sockets.destroy()
  }

  /** Those that are lent are closed as they come back. Of a pool of the user's nothing is ended. */
  async close(): Promise<void> {
    this.#closed = true
    if (!this.#owned || this.#ended) return
    this.#ended = true
    for (const connection of this.#kept.splice(0)) this.giveBack(connection)
    await this.#pool.end()
    await this.#sockets.closed(CLOSE_TIMEOUT_MS)
  }

  /** Where one is lost or silent, so may be those that are not in use: each would take its own queryTimeoutMs to tell. */
  #closeIdle(): void {
    if (!this.#owned) return
    for (const connection of this.#kept.splice(0)) {
      connection.broken = true
      this.giveBack(connection)
    }
    for (let n = this.#pool.idleCount; n > 0; n--)
      this.#pool.connect((_error, client) => client?.release(true)) // without one: it broke already
  }

  /** One that breaks while nobody uses it is replaced on the next use. */
  #onBroken(connection: Connection): void {
    connection.broken = true
    const i = this.#kept.indexOf(connection)
    if (i < 0) return
    this.#kept.splice(i, 1)
    this.giveBack(connection)
  }

  /** Each of the servers is asked once. */
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
   * By a callback: what the server sends right behind a login may end the connection before a promise tells of it, and an error
   * that nobody listens for ends the process. A pool of the user's may wait for ever; a client that comes too late is given back.
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
      promised?.then?.((client) => answer(undefined, client), answer) // what wraps a pool may know promises alone
    })
    return connecting.finally(() => forget())
  }

  /** Before its first use. (`onConnect` of pg's pool came with pg 8.20; an older one does not know it.) */
  async #check(connection: Connection): Promise<Connection> {
    const { client } = connection
    if (this.#checked.has(client)) return connection
    try {
      await prepareSession(client, this.#servers, this.#settings.queryTimeoutMs)
    } catch (error) {
      connection.broken = true
      this.giveBack(connection)
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

/** pg's own words about a connection that failed. */
const isOfDriver = (message: string) =>
  /^(SASL|timeout e|Connection (terminated|ended)|Client has|The server does not|There was an error|received invalid)/.test(
    message,
  )

const streamOf = (client: pg.ClientBase) =>
  (client as unknown as { connection?: { stream?: Duplex } }).connection?.stream

/** Pools of users that we listen to. */
const ignoredPools = new WeakSet<pg.Pool>()

/** An idle connection that breaks is replaced on its next use. If nobody listened, its error would end the process. */
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
 * The horizon needs READ COMMITTED, and a `lock_timeout` of the role or the database would fail what only has to wait a little
 * (our own limit is `queryTimeoutMs`); one in the connection string is meant for us. Set only where the server's default is another:
 * a pooler may refuse SET.
 */
async function prepareSession(client: pg.ClientBase, servers: Servers, timeoutMs: number): Promise<void> {
  const [row] = await runQuery(client, { text: SESSION_STATE }, timeoutMs)
  const [isolation, inheritsLockTimeout, isReadOnly] = row!
  if (servers.writable && isReadOnly === 't')
    throw new ReadOnlyError('it is a standby, or set to be read-only')
  if (isolation !== 'read committed')
    await client.query(`set default_transaction_isolation = 'read committed'`)
  if (inheritsLockTimeout === 't') await client.query('set lock_timeout = 0').catch(ignoreRefusal) // it is tried again then
}

const SESSION_STATE = `select pg_catalog.current_setting('default_transaction_isolation'),
  case when pg_catalog.current_setting('lock_timeout') <> '0' then
    (select source <> 'client' from pg_catalog.pg_settings where name = 'lock_timeout')
  end,
  pg_catalog.pg_is_in_recovery() or pg_catalog.current_setting('transaction_read_only')::boolean`

function ignoreRefusal(error: unknown): void {
  if (isServerFailure(error)) throw error
}

/** What every connection is opened with. */
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
