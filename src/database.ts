import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import {
  ClosedError,
  ConnectionError,
  MeowError,
  SchemaError,
  TimeoutError,
  ValidationError,
} from './errors.ts'
import { EVENT_COLUMNS } from './event.ts'
import type { Testimony } from './history.ts'
import { History } from './history.ts'
import type { Settings } from './options.ts'
import { isElsewhere, noneServes, ReadOnlyError, Servers } from './servers.ts'
import { Sockets } from './sockets.ts'
import type { Telemetry } from './telemetry/telemetry.ts'

/** A query whose text is fixed; named, so that a connection plans it once. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** Rows as arrays of text, as PostgreSQL sends them: parsing is the caller's, who knows the columns. */
export type Row = readonly string[]

const POOL_TIMEOUT = 'timeout exceeded when trying to connect' // pg-pool's words

/**
 * Connections that are kept however long nothing happens, so that the first event after a quiet hour need not wait for a
 * login: one to append, one to read, one for a checkpoint. What else a burst opened is closed after 10 s.
 */
const KEPT = 3

/** How long a connection may take to say goodbye before it is cut. */
export const GOODBYE_MS = 500

const rawText = { getTypeParser: () => (value: string) => value }

interface Kept {
  readonly client: pg.PoolClient
  broken: boolean
  onError(): void
}

/** What all that reads and subscribes needs of the server and of time. */
export interface Queries {
  readonly settings: Settings
  readonly clock: Clock
  readonly history: Pick<History, 'era' | 'onLoss' | 'position' | 'saw' | 'look'>
  /** Where there is somebody to tell. */
  readonly telemetry?: Telemetry | undefined
  /** `meowmx.` stands for the store's schema, `{{event}}` for the columns of an event. */
  statement(text: string): Statement
  /** A statement from sql/queries. */
  file(name: string): Statement
  /** On any connection, or on the caller's. */
  query(statement: Statement, values?: unknown[], client?: pg.ClientBase): Promise<Row[]>
  /** Borrow a connection. */
  withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T>
  /** An error of the driver or the server as one of ours. */
  translate(error: unknown): unknown
}

/** The way to the server: one pool, one place that turns its errors into ours. */
export class Database implements Queries {
  readonly settings: Settings
  readonly clock = systemClock
  readonly telemetry: Telemetry | undefined
  readonly schema: string
  readonly quotedSchema: string
  readonly history: History
  readonly #servers: Servers
  readonly #listenServers: Servers
  readonly #pool: pg.Pool
  readonly #owned: boolean
  readonly #sockets = new Sockets() // of an owned pool
  readonly #prepare: boolean
  #historyQuery: Statement | undefined
  readonly #kept: Kept[] = [] // checked out of an owned pool, and not in use
  readonly #discarded = new WeakSet<pg.ClientBase>()
  #closed = false

  constructor(settings: Settings, telemetry?: Telemetry) {
    this.settings = settings
    this.telemetry = telemetry
    this.schema = settings.schema
    this.quotedSchema = `"${settings.schema.replaceAll('"', '""')}"`
    this.#prepare = settings.prepare
    this.#owned = settings.pool === undefined
    this.history = new History((position, client) => this.#testify(position, client), settings.logger)
    const servers = serversOf(settings.pool ? '' : settings.connectionString)
    this.#servers = servers
    const { listenConnectionString } = settings
    this.#listenServers = listenConnectionString ? new Servers(listenConnectionString) : servers
    this.#pool =
      settings.pool ??
      new pg.Pool({
        ...connectionConfig(settings, `meowmx ${settings.schema}`),
        Client: servers.client(settings.queryTimeoutMs),
        max: settings.maxConnections,
        pipeline: true,
        stream: this.#sockets.make,
        // The horizon needs READ COMMITTED. Set only where the server's default is another: a pooler may refuse SET.
        onConnect: async (client: pg.ClientBase) => {
          const { rows } = await client.query(
            `select pg_catalog.current_setting('default_transaction_isolation') as isolation,
              pg_catalog.pg_is_in_recovery() or pg_catalog.current_setting('transaction_read_only')::boolean as read_only`,
          )
          if (servers.writable && rows[0].read_only)
            throw new ReadOnlyError('it is a standby, or set to be read-only')
          if (rows[0].isolation !== 'read committed') {
            await client.query(`set default_transaction_isolation = 'read committed'`)
          }
        },
      } as pg.PoolConfig)
    // An idle connection that breaks is replaced on its next use.
    if (this.#owned)
      this.#pool.on('error', (error) => settings.logger.debug({ err: error }, 'an idle connection broke'))
  }

  /** What a connection of its own is opened with: to the server whose turn it is, or elsewhere. */
  connectionConfig(applicationName: string, connectionString?: string): pg.ClientConfig {
    const elsewhere = connectionString === undefined ? this.#servers.current : { connectionString }
    return { ...connectionConfig(this.settings, applicationName), ...elsewhere }
  }

  /** What the listener is connected with, outside the pool, and the servers it is tried on in turn. */
  listenConfig(): { config: pg.ClientConfig; servers: Servers | undefined } {
    const { settings } = this
    if (settings.listenConnectionString === undefined && settings.pool) {
      const borrowed = (settings.pool as unknown as { options: pg.PoolConfig }).options
      // `password` is not enumerable in a pool's options.
      const { password } = borrowed
      return { config: { ...borrowed, ...(password ? { password } : {}) }, servers: undefined }
    }
    return { config: connectionConfig(settings, ''), servers: this.#listenServers }
  }

  /** A statement of this store: `meowmx.` stands for its schema, `{{event}}` for the columns of an event. */
  statement(text: string): Statement {
    const own = text
      .replaceAll('{{event}}', EVENT_COLUMNS)
      .replaceAll(/\bmeowmx\./g, () => `${this.quotedSchema}.`)
    return { name: `meowmx_${createHash('md5').update(own).digest('hex')}`, text: own }
  }

  /** A statement from sql/queries. */
  file(name: string): Statement {
    return this.statement(readFileSync(new URL(`../sql/queries/${name}.sql`, import.meta.url), 'utf8'))
  }

  /** Run a statement on any connection, or on the caller's. `trip.sent` tells when it has left us. */
  async query(
    statement: Statement,
    values: unknown[] = [],
    client?: pg.ClientBase,
    trip = { sent: false },
  ): Promise<Row[]> {
    if (client) return this.#run(client, statement, values)
    return this.withClient((own) => {
      trip.sent = true
      return this.#run(own, statement, values)
    })
  }

  /** Borrow a connection; one that broke or timed out is thrown away. */
  async withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    if (this.#closed) throw new ClosedError()
    const kept = this.#kept.pop() ?? (await this.#checkOut())
    try {
      if (!this.history.isProven(kept.client)) await this.#prove(kept.client)
      return await use(kept.client)
    } catch (error) {
      kept.broken ||= isTransient(error)
      if (isReadOnly(error)) this.#servers.moveOn((kept.client as { server?: object }).server)
      if (isLost(error) || isReadOnly(error)) this.#mistrust()
      throw error
    } finally {
      this.#giveBack(kept)
    }
  }

  /** Whoever has borrowed a connection says that nobody else is to get it. */
  discard(client: pg.ClientBase): void {
    this.#discarded.add(client)
  }

  /** Before its first use: it may be to another server than before. Where that can't be told, the use itself will say why. */
  async #prove(client: pg.ClientBase): Promise<void> {
    await this.history.look(client).catch((error) => {
      if (isTransient(error)) throw error
    })
  }

  async #checkOut(): Promise<Kept> {
    const client = await this.#connect().catch((error) => {
      throw this.#closed ? new ClosedError() : this.translate(error)
    })
    const kept: Kept = { client, broken: false, onError: () => this.#broke(kept) }
    client.on('error', kept.onError)
    return kept
  }

  /** To ourselves, where there is no reason not to: the way through the pool is long for one event that is waited for. */
  #giveBack(kept: Kept): void {
    const pool = this.#pool
    kept.broken ||= this.#discarded.has(kept.client)
    if (!kept.broken && !this.#closed && this.#owned && pool.waitingCount === 0 && this.#kept.length < KEPT) {
      this.#kept.push(kept)
    } else {
      kept.client.removeListener('error', kept.onError)
      kept.client.release(kept.broken)
    }
  }

  /** Where one is lost or silent, so may be those that are not in use: each would take its own queryTimeoutMs to tell. */
  #mistrust(): void {
    if (!this.#owned) return
    for (const kept of this.#kept.splice(0)) {
      kept.broken = true
      this.#giveBack(kept)
    }
    for (let n = this.#pool.idleCount; n > 0; n--) {
      this.#pool.connect().then(
        (client) => client.release(true),
        () => {}, // it broke already
      )
    }
  }

  /** One that breaks while nobody uses it is replaced on the next use. */
  #broke(kept: Kept): void {
    kept.broken = true
    const i = this.#kept.indexOf(kept)
    if (i < 0) return
    this.#kept.splice(i, 1)
    this.#giveBack(kept)
  }

  /** Each of the servers is asked once. */
  async #connect(): Promise<pg.PoolClient> {
    if (!this.#owned) return this.#borrow()
    const failures: (readonly [Servers['current'], unknown])[] = []
    while (failures.length < this.#servers.count) {
      const server = this.#servers.current
      try {
        return await this.#pool.connect()
      } catch (error) {
        if (this.#closed || (error as Error).message === POOL_TIMEOUT || !isElsewhere(error)) throw error
        this.#servers.moveOn(server)
        failures.push([server, error])
      }
    }
    throw noneServes(failures)
  }

  /** A pool of the user's may wait for ever; a client that comes too late is given back. */
  async #borrow(): Promise<pg.PoolClient> {
    const connecting = this.#pool.connect()
    const timer = new AbortController()
    const late = delay(this.settings.queryTimeoutMs, undefined, { signal: timer.signal }).then(() => {
      connecting.then(
        (client) => client.release(),
        () => {},
      )
      throw new Error(POOL_TIMEOUT)
    })
    late.catch(() => {})
    return Promise.race([connecting, late]).finally(() => timer.abort())
  }

  async #testify(position: number | null, client: pg.ClientBase): Promise<Testimony> {
    this.#historyQuery ??= this.file('history')
    const [row] = await this.#run(client, this.#historyQuery, [position])
    const [standby, server, head, id, newestPosition, newestId] = row as readonly (string | null)[]
    return {
      standby: standby === 't',
      server: server!,
      head: Number(head),
      id: id!,
      newest: newestId ? { position: Number(newestPosition), id: newestId } : null,
    }
  }

  async #run(client: pg.ClientBase, statement: Statement, values: unknown[]): Promise<Row[]> {
    try {
      const { rows } = await client.query<string[]>({
        name: this.#prepare ? statement.name : undefined,
        text: statement.text,
        values,
        rowMode: 'array',
        types: rawText,
        query_timeout: this.settings.queryTimeoutMs, // a pool of the user's may have none
      } as pg.QueryArrayConfig)
      return rows
    } catch (error) {
      throw this.translate(error)
    }
  }

  /** An error of the driver or the server as one of ours that says what to do; others pass as they are. */
  translate(error: unknown): unknown {
    const { code, message } = error as { code?: string; message?: string }
    const { schema } = this
    switch (code) {
      case '3F000': // no such schema
      case '42P01': // no such table
      case '42883': // no such function
      case '42703': // no such column
        return new SchemaError(
          schema,
          `schema "${schema}" is not migrated (${message}): call await meow.migrate() once, as a role that may create it`,
          error,
        )
      case '42501':
        return new ConnectionError(
          `missing rights: ${message}; grant them on schema "${schema}" to this role, or connect as another`,
          error,
        )
      case '28P01':
      case '28000':
        return this.#refused(message, error)
      case '3D000':
        return new ConnectionError(
          `${message}; create it, or check the database name of the connection string or PGDATABASE`,
          error,
        )
      case '53300':
        return new ConnectionError(
          `the server has no connection left: ${message}; lower maxConnections or raise max_connections`,
          error,
        )
      case '26000': // a named statement is not there
      case '42P05': // or is, already
        return new ConnectionError(
          `${message}: a pooler gave the statement's session away; connect with prepare: false, or upgrade to PgBouncer 1.21 or later`,
          error,
        )
      case '25006': // read-only
        return new ConnectionError(
          `the server can only be read: ${message}; connect to the primary, or list it with its standbys and target_session_attrs=read-write (connectionString, or PGHOST and PGTARGETSESSIONATTRS)`,
          error,
        )
      case 'MW004':
      case 'MW005':
        return new SchemaError(schema, message ?? code, error)
    }
    if (message === POOL_TIMEOUT) {
      return new TimeoutError(
        'waiting for one of the maxConnections connections, all in use,',
        this.settings.queryTimeoutMs,
        error,
      )
    }
    // The driver's own words where a password is asked for and there is none.
    if (message?.startsWith('SASL')) return this.#refused(message, error)
    if (message === 'Query read timeout')
      return new TimeoutError('a query', this.settings.queryTimeoutMs, error)
    if (isLost(error)) {
      return new ConnectionError(
        `no connection to the server: ${reason(error)}; check that it runs and that host and port are right (connectionString, or PGHOST and PGPORT)`,
        error,
      )
    }
    return error
  }

  #refused(message = '', error: unknown): ConnectionError {
    return new ConnectionError(
      `the server refused the login: ${message}; check user and password of the connection string or PGUSER and PGPASSWORD`,
      error,
    )
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (!this.#owned) return
    for (const kept of this.#kept.splice(0)) this.#giveBack(kept)
    await this.#pool.end()
    await this.#sockets.closed(GOODBYE_MS)
  }
}

function serversOf(connectionString: string | undefined): Servers {
  try {
    return new Servers(connectionString)
  } catch (error) {
    // What is given as an option was checked; so it is the environment.
    const { PGHOST, PGPORT, PGTARGETSESSIONATTRS } = process.env
    const problem = `with PGPORT and PGTARGETSESSIONATTRS names no servers (${(error as Error).message})`
    throw new ValidationError('PGHOST', problem, { PGHOST, PGPORT, PGTARGETSESSIONATTRS })
  }
}

function connectionConfig(
  settings: Pick<Settings, 'connectionString' | 'queryTimeoutMs'>,
  applicationName: string,
): pg.ClientConfig {
  return {
    ...(settings.connectionString ? { connectionString: settings.connectionString } : {}),
    application_name: applicationName,
    connectionTimeoutMillis: settings.queryTimeoutMs,
    query_timeout: settings.queryTimeoutMs,
    keepAlive: true,
  }
}

/** Whether a failure is the connection's, not the query's: to be tried again, and on another connection. */
export function isLost(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return isLost(error.cause)
  if (error instanceof MeowError || error instanceof TypeError || error instanceof RangeError) return false
  if (!(error instanceof Error)) return false
  const { code, severity } = error as { code?: string; severity?: string }
  if (severity === undefined) return true // the driver's, or the system's
  return severity === 'FATAL' || severity === 'PANIC' || /^(08|57P|53300)/.test(code ?? '')
}

/** Whether it is a standby's answer: somewhere there is a primary, or will be. */
export function isReadOnly(error: unknown): boolean {
  return ['25006', 'MW005'].includes(codeOf(error))
}

/** Whether what goes on for ever should try again: also where a server is a standby, for a while, cancels, or saw a deadlock. */
export function isTransient(error: unknown): boolean {
  if (isLost(error)) return true
  return isReadOnly(error) || ['57014', '40P01', '40001'].includes(codeOf(error))
}

function codeOf(error: unknown): string {
  const { code } = ((error instanceof MeowError ? error.cause : error) ?? {}) as { code?: string }
  return code ?? ''
}

function reason(error: unknown): string {
  const { message, code, errors } = error as {
    message?: string
    code?: string
    errors?: { message: string }[]
  }
  return message || errors?.[0]?.message || code || String(error)
}
