import { createHash } from 'node:crypto'
import type pg from 'pg'
import { sharedController } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { systemClock } from '../core/clock.ts'
import { ClosedError, SchemaError, ValidationError } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'
import { eventBytes, eventColumns } from '../events/event.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { Row } from './bounded-rows.ts'
import { BoundedRows } from './bounded-rows.ts'
import type { Settings } from './connect-options.ts'
import { withoutName } from './connection-string.ts'
import { Connections, connectionConfig } from './connections.ts'
import { isQueueFull, isServerFailure } from './failures.ts'
import { lostStatement, runQuery } from './fast-query.ts'
import { Retries } from './retry-reporter.ts'
import type { ServerState } from './server-timeline.ts'
import { ServerTimeline } from './server-timeline.ts'
import { Servers } from './servers.ts'
import { sql } from './sql.ts'
import { translate } from './translate.ts'

/** A query whose text is fixed; named, so that a connection plans it once. */
export interface Statement {
  readonly name: string
  readonly text: string
  /** Outside a transaction it commits an append: it is not cancelled when it is late. */
  readonly commits?: boolean
  /** It looks after the schema itself, and is asked whatever state that is in. */
  readonly always?: boolean
}

/** How full NOTIFY's queue is when there is no room, of 1: those who commit at the same time need some. */
const FULL = 0.95

export type { Row } from './bounded-rows.ts'

/** What all that reads and subscribes needs of the server and of time. */
export interface Queries {
  readonly settings: Settings
  readonly clock: Clock
  readonly timeline: Pick<ServerTimeline, 'current' | 'onLoss' | 'onEmptied' | 'position' | 'saw' | 'check'>
  /** What is tried again just now. */
  readonly retries?: Retries | undefined
  /** Where there is somebody to tell. */
  readonly telemetry?: Telemetry | undefined
  /** `meowmx.` stands for the store's schema, `{{event}}` for the columns of an event, `{{bytes}}` for its size. */
  statement(text: string): Statement
  /** A statement from sql/queries. */
  file(name: string): Statement
  /** On any connection, or on the caller's. */
  query(statement: Statement, values?: unknown[], client?: pg.ClientBase): Promise<Row[]>
  /** The same, but only as many rows as fit in `maxBytes`; the first row always fits. */
  page(
    statement: Statement,
    values: unknown[],
    maxBytes: number,
    client?: pg.ClientBase,
  ): Promise<BoundedRows>
  /** Borrow a connection. */
  withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T>
  /** End a borrowed connection, whatever it is at, and so its transaction. */
  cut(client: pg.ClientBase): Promise<void>
  /** A borrowed connection is not to be lent again: it is closed when it comes back. */
  discard(client: pg.ClientBase): void
  /** An error of the driver or the server as one of ours. */
  translate(error: unknown, client?: pg.ClientBase): unknown
}

/** The way to the server: the statements of one store, on its connections, with errors of ours. */
export class Database implements Queries {
  readonly settings: Settings
  readonly clock = systemClock
  readonly retries = new Retries()
  readonly telemetry: Telemetry | undefined
  readonly schema: string
  readonly quotedSchema: string
  readonly timeline: ServerTimeline
  /** Why nothing but what looks after the schema itself is asked. */
  refusal: string | undefined
  readonly #servers: Servers
  readonly #listenServers: Servers
  readonly #connections: Connections
  readonly #prepare: boolean
  readonly #borrowed = new Set<pg.ClientBase>()
  readonly #givingUp = sharedController()
  #historyQuery: Statement | undefined
  #queueQuery: Statement | undefined

  constructor(settings: Settings, telemetry?: Telemetry) {
    this.settings = settings
    this.telemetry = telemetry
    this.schema = settings.schema
    this.quotedSchema = `"${settings.schema.replaceAll('"', '""')}"`
    this.#prepare = settings.prepare
    this.timeline = new ServerTimeline(
      (position, client) => this.#readServerState(position, client),
      settings.logger,
    )
    const servers = serversOf(settings.pool ? '' : settings.connectionString)
    this.#servers = servers
    const { listenConnectionString } = settings
    this.#listenServers = listenConnectionString ? new Servers(listenConnectionString) : servers
    this.#connections = new Connections(settings, servers)
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
      const { password, connectionString } = borrowed
      const named = connectionString ? { connectionString: withoutName(connectionString) } : {}
      return { config: { ...borrowed, ...named, ...(password ? { password } : {}) }, servers: undefined }
    }
    return { config: connectionConfig(settings, ''), servers: this.#listenServers }
  }

  /** A statement of this store: `meowmx.` stands for its schema, `{{event}}` for the columns of an event, `{{bytes}}` for its size. */
  statement(text: string): Statement {
    const own = text
      .replaceAll('{{event}}', eventColumns())
      .replaceAll('{{bytes}}', eventBytes)
      .replaceAll(/\bmeowmx\./g, () => `${this.quotedSchema}.`)
    return { name: `meowmx_${createHash('md5').update(own).digest('hex')}`, text: own }
  }

  /** A statement from sql/queries. */
  file(name: string): Statement {
    return this.statement(sql[`queries/${name}.sql`]!)
  }

  /** Run a statement on any connection, or on the caller's. `progress.sent` tells when it has left us. */
  query(
    statement: Statement,
    values: unknown[] = [],
    client?: pg.ClientBase,
    progress = { sent: false },
  ): Promise<Row[]> {
    if (client) return this.#run(client, statement, values)
    return this.withClient((own) => {
      progress.sent = true
      return this.#run(own, statement, values, { commits: statement.commits })
    })
  }

  /** Run a statement, and keep only as many of its rows as fit in `maxBytes`; the first row always fits. */
  async page(
    statement: Statement,
    values: unknown[],
    maxBytes: number,
    client?: pg.ClientBase,
  ): Promise<BoundedRows> {
    const run = async (on: pg.ClientBase) => {
      const answer = new BoundedRows(maxBytes)
      await this.#run(on, statement, values, { answer })
      return answer
    }
    return client ? run(client) : this.withClient(run)
  }

  /**
   * Borrow a connection; one that broke or timed out is thrown away.
   *
   * If it has lost a prepared statement, all is done again from the beginning: what is asked together keeps its order, and a
   * transaction was undone. Once for each statement, for behind a pooler that gives sessions away they are lost for ever.
   */
  async withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const connections = this.#connections
    const connection = connections.take() ?? (await connections.checkOut())
    const { client } = connection
    let lost: Set<string> | undefined
    this.#borrowed.add(client)
    try {
      for (;;) {
        try {
          if (!this.timeline.isChecked(client)) await this.#checkTimeline(client)
          return await use(client)
        } catch (error) {
          const name = lostStatement(client, error)
          if (name === undefined || lost?.has(name)) throw error
          lost = (lost ?? new Set()).add(name)
        }
      }
    } catch (error) {
      connections.failed(connection, error)
      if (isQueueFull(error)) this.freeNotificationQueue()
      throw error
    } finally {
      this.#borrowed.delete(client)
      connections.giveBack(connection)
    }
  }

  cut(client: pg.ClientBase): Promise<void> {
    return this.#connections.cancel(client)
  }

  discard(client: pg.ClientBase): void {
    this.#connections.discard(client)
  }

  /**
   * NOTIFY's queue stays full after a session that listened in an open transaction has ended. To ask how full it is frees it.
   * Returns whether there is room now.
   */
  async freeNotificationQueue(): Promise<boolean> {
    try {
      this.#queueQuery ??= this.file('notification_queue')
      const [row] = await this.query(this.#queueQuery)
      return Number(row![0]) < FULL
    } catch {
      return false // the failure that led here says more
    }
  }

  /** Before its first use: it may be to another server than before. Where that can't be told, the use itself will say why. */
  async #checkTimeline(client: pg.ClientBase): Promise<void> {
    await this.timeline.check(client).catch((error) => {
      if (isServerFailure(error) || lostStatement(client, error) !== undefined) throw error
    })
  }

  async #readServerState(position: number | null, client: pg.ClientBase): Promise<ServerState> {
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

  async #run(
    client: pg.ClientBase,
    statement: Statement,
    values: unknown[],
    { answer, commits = false }: { answer?: BoundedRows; commits?: boolean | undefined } = {},
  ): Promise<Row[]> {
    if (this.refusal && !statement.always) throw new SchemaError(this.schema, this.refusal)
    const { queryTimeoutMs } = this.settings
    const name = this.#prepare ? statement.name : undefined
    try {
      const asked = { name, text: statement.text, values, commits }
      return await runQuery(client, asked, queryTimeoutMs, answer)
    } catch (error) {
      if (isError(error)) Error.captureStackTrace(error) // who asked, not what read the answer
      throw this.translate(error, client)
    }
  }

  /** An error of the driver or the server as one of ours that says what to do, whichever `client` threw it. */
  translate(error: unknown, client?: pg.ClientBase): unknown {
    return translate(error, this.settings, client)
  }

  /** Aborts when nobody waits any more for what is under way. */
  get givenUp(): AbortSignal {
    return this.#givingUp.signal
  }

  /** Ends every connection, whatever it is at; there will be no other. */
  giveUp(): void {
    this.#givingUp.abort(new ClosedError())
    this.#connections.giveUp()
    for (const client of this.#borrowed) this.#connections.cut(client)
  }

  close(): Promise<void> {
    return this.#connections.close()
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
