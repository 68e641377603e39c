import { createHash } from 'node:crypto'
import type pg from 'pg'
import { sharedController } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { systemClock } from '../core/clock.ts'
import { ClosedError, SchemaError, ValidationError } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { eventBytes, eventColumns } from '../events/event.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { asText, runAsText } from './as-text.ts'
import { BoundedRows } from './bounded-rows.ts'
import type { Settings } from './connect-options.ts'
import { withoutName } from './connection-string.ts'
import { Connections, connectionConfig } from './connections.ts'
import { isPgClient, isQueueFull, isServerFailure } from './failures.ts'
import { lostStatement } from './lost-statements.ts'
import { Retries } from './retry-reporter.ts'
import { runQuery } from './run-query.ts'
import type { ServerState } from './server-timeline.ts'
import { ServerTimeline } from './server-timeline.ts'
import { Servers } from './servers.ts'
import type { Arguments, RowOf, Statement } from './statement.ts'
import { namesOf } from './statement.ts'
import { statements } from './statements.ts'
import { translate } from './translate.ts'

/** What one store sends for a statement. */
interface Prepared {
  /** The name under which a connection prepares the text, so that it is planned once; undefined: it is not prepared. */
  readonly name: string | undefined
  readonly text: string
  /** What clients of other libraries get instead; made when it is needed. */
  asText?: string
  /** The names of its parameters, in order. */
  readonly parameters: readonly string[]
}

/** How full NOTIFY's queue may be, from 0 to 1: concurrent commits need some room. */
const FULL = 0.95

/** What readers and subscriptions need: queries, settings and a clock. */
export interface Queries {
  readonly settings: Settings
  readonly clock: Clock
  readonly timeline: Pick<ServerTimeline, 'current' | 'onLoss' | 'onEmptied' | 'position' | 'saw' | 'check'>
  /** The operations that are being retried. */
  readonly retries?: Retries | undefined
  /** Absent if telemetry is off. */
  readonly telemetry?: Telemetry | undefined
  /** Runs a statement on any connection, or on the caller's. */
  query<P extends string, C extends string>(
    statement: Statement<P, C>,
    values: Arguments<P>,
    client?: SqlClient,
  ): Promise<RowOf<C>[]>
  /** The same, but keeps only as many rows as fit in `maxBytes`. The first row always fits. */
  page<P extends string, C extends string>(
    statement: Statement<P, C>,
    values: Arguments<P>,
    maxBytes: number,
    client?: SqlClient,
  ): Promise<BoundedRows<RowOf<C>>>
  /** Borrows a connection. */
  withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T>
  /** Ends a borrowed connection, its running query and its transaction. */
  cut(client: pg.ClientBase): Promise<void>
  /** Closes a borrowed connection when it is returned. */
  discard(client: pg.ClientBase): void
  /** Converts an error of the driver or the server to one of ours. */
  translate(error: unknown, client?: SqlClient): unknown
}

/** Runs the statements of one store on its connections, and translates errors. */
export class Database implements Queries {
  readonly settings: Settings
  readonly clock = systemClock
  readonly retries = new Retries()
  readonly telemetry: Telemetry | undefined
  readonly schema: string
  readonly quotedSchema: string
  readonly timeline: ServerTimeline
  /** Why only statements with `always` may run; undefined if all may. */
  refusal: string | undefined
  readonly #servers: Servers
  readonly #listenServers: Servers
  readonly #connections: Connections
  readonly #prepared = new Map<Statement, Prepared>()
  readonly #borrowed = new Set<pg.ClientBase>()
  readonly #givingUp = sharedController()

  constructor(settings: Settings, telemetry?: Telemetry) {
    this.settings = settings
    this.telemetry = telemetry
    this.schema = settings.schema
    this.quotedSchema = `"${settings.schema.replaceAll('"', '""')}"`
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

  /** The configuration of a separate connection: to the current server, or to another address. */
  connectionConfig(applicationName: string, connectionString?: string): pg.ClientConfig {
    const elsewhere = connectionString === undefined ? this.#servers.current : { connectionString }
    return { ...connectionConfig(this.settings, applicationName), ...elsewhere }
  }

  /** The configuration of the listener's connection, which is outside the pool, and the servers that it tries in turn. */
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

  /** Runs a statement on any connection, or on the caller's. `progress.sent` tells whether it was sent. */
  query<P extends string, C extends string>(
    statement: Statement<P, C>,
    values: Arguments<P>,
    client?: SqlClient,
    progress = { sent: false },
  ): Promise<RowOf<C>[]> {
    if (client) return this.#run(client, statement, values)
    return this.withClient((own) => {
      progress.sent = true
      return this.#run(own, statement, values, { commits: statement.commits })
    })
  }

  /** Runs a statement, and keeps only as many of its rows as fit in `maxBytes`. The first row always fits. */
  async page<P extends string, C extends string>(
    statement: Statement<P, C>,
    values: Arguments<P>,
    maxBytes: number,
    client?: SqlClient,
  ): Promise<BoundedRows<RowOf<C>>> {
    const run = async (on: SqlClient) => {
      const answer = new BoundedRows<RowOf<C>>(maxBytes)
      await this.#run(on, statement, values, { answer })
      return answer
    }
    return client ? run(client) : this.withClient(run)
  }

  /**
   * Borrows a connection. A connection that broke or timed out is closed.
   *
   * If the connection has lost a prepared statement, `use` runs again from the start: queries that are sent together keep their
   * order, and a transaction was rolled back. This happens once per statement, because behind some poolers statements are lost
   * each time.
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
      connections.release(connection)
    }
  }

  cut(client: pg.ClientBase): Promise<void> {
    return this.#connections.cancel(client)
  }

  discard(client: pg.ClientBase): void {
    this.#connections.discard(client)
  }

  /**
   * NOTIFY's queue stays full after a session ends that listened in an open transaction. Asking how full it is frees it.
   * Returns whether there is room now.
   */
  async freeNotificationQueue(): Promise<boolean> {
    try {
      const [row] = await this.query(statements.notificationQueue, {})
      return Number(row![0]) < FULL
    } catch {
      return false // the original error tells more
    }
  }

  /**
   * Checks the timeline before the connection's first use, because it may be to another server than before. If the check fails
   * for another reason, the use itself will report that.
   */
  async #checkTimeline(client: pg.ClientBase): Promise<void> {
    await this.timeline.check(client).catch((error) => {
      if (isServerFailure(error) || lostStatement(client, error) !== undefined) throw error
    })
  }

  async #readServerState(position: number | null, client: pg.ClientBase): Promise<ServerState> {
    const [row] = await this.#run(client, statements.history, { position })
    const [standby, server, head, id, newestPosition, newestId] = row!
    return {
      standby: standby === 't',
      server,
      head: Number(head),
      id,
      newest: newestId ? { position: Number(newestPosition), id: newestId } : null,
    }
  }

  async #run<P extends string, C extends string>(
    client: SqlClient,
    statement: Statement<P, C>,
    args: Arguments<P>,
    { answer, commits = false }: { answer?: BoundedRows<RowOf<C>>; commits?: boolean | undefined } = {},
  ): Promise<RowOf<C>[]> {
    if (this.refusal && !statement.always) throw new SchemaError(this.schema, this.refusal)
    const { queryTimeoutMs } = this.settings
    const prepared = this.#prepared.get(statement) ?? this.#prepare(statement)
    const { name, text, parameters } = prepared
    const values = parameters.map((parameter) => args[parameter as keyof typeof args])
    try {
      if (!isPgClient(client)) {
        prepared.asText ??= this.#inSchema(asText(statement))
        const rows = (await runAsText(client, prepared.asText, values, queryTimeoutMs)) as RowOf<C>[]
        answer?.addAll(rows)
        return rows
      }
      const asked = { name, text, values, commits }
      return (await runQuery(client, asked, queryTimeoutMs, answer)) as RowOf<C>[] // as the statement says
    } catch (error) {
      if (isError(error)) Error.captureStackTrace(error) // the stack of the caller, not of the socket
      throw this.translate(error, client)
    }
  }

  /** Makes what this store sends for a statement, once. */
  #prepare(statement: Statement): Prepared {
    const text = this.#inSchema(statement.text)
    const name = this.settings.prepare ? `meowmx_${createHash('md5').update(text).digest('hex')}` : undefined
    const prepared: Prepared = { name, text, parameters: namesOf(statement.parameters) }
    this.#prepared.set(statement, prepared)
    return prepared
  }

  /** A statement's text with what it stands for in this store. */
  #inSchema(text: string): string {
    return text
      .replaceAll('{{event}}', eventColumns())
      .replaceAll('{{bytes}}', eventBytes)
      .replaceAll(/\bmeowmx\./g, () => `${this.quotedSchema}.`)
  }

  /** Converts an error of the driver or the server to one of ours that says what to do. */
  translate(error: unknown, client?: SqlClient): unknown {
    return translate(error, this.settings, client)
  }

  /** Aborts when the store closes and no longer waits for work in progress. */
  get givenUp(): AbortSignal {
    return this.#givingUp.signal
  }

  /** Ends every connection at once. No other will be opened. */
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
    // An option was validated before, so the mistake is in the environment.
    const { PGHOST, PGPORT, PGTARGETSESSIONATTRS } = process.env
    const problem = `with PGPORT and PGTARGETSESSIONATTRS names no servers (${(error as Error).message})`
    throw new ValidationError('PGHOST', problem, { PGHOST, PGPORT, PGTARGETSESSIONATTRS })
  }
}
