import pg from 'pg'
import { after } from '../core/clock.ts'
import { isPromise } from '../core/kinds.ts'
import { cancel } from './cancel.ts'
import { hasState, isServerError, QUERY_TIMEOUT } from './failures.ts'
import type { QuerySpec } from './fast-query.ts'
import { OWN_TIMEOUT } from './fast-query.ts'
import { cancelTimeoutMs } from './run-query.ts'
import { SQLSTATE } from './sqlstate.ts'

/** How to reach one server: the part of pg's configuration that names it. If empty, the PG* environment variables name it. */
type Server = { readonly connectionString?: string; readonly host?: string; readonly port?: number }

const WANTS = ['any', 'read-write', 'primary']
/** pg's own timer fires first, so this adds some time. In ms. */
const LATER_MS = 500
/** The scheme, authority, path and query of an address. */
const URL_FORM = /^((?!socket:)[a-z][a-z0-9+.-]*:\/\/)([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i

/** The server can only be read: it is a standby, or it is set to be read-only. */
export class ReadOnlyError extends Error {
  readonly code = SQLSTATE.readOnly // as a server reports it
}

/**
 * The servers of a connection string, of which one is the primary, in libpq's format:
 * `postgres://host1:5432,host2:5433/db?target_session_attrs=read-write`. pg itself supports only one server.
 */
export class Servers {
  /** Whether the server must accept writes. */
  readonly writable: boolean
  readonly all: readonly Server[]
  #at = 0

  /** Throws an Error that says what is wrong with the string, without quoting it. `mistakeIn` has checked the string before. */
  constructor(connectionString?: string) {
    const { servers, wants } =
      connectionString === undefined ? fromEnvironment(process.env) : fromString(connectionString)
    if (!WANTS.includes(wants))
      throw new Error(`target_session_attrs must be ${WANTS.join(', ')}: a store needs its primary`)
    for (const server of servers) checkReadable(server)
    this.all = servers
    this.writable = wants !== 'any'
  }

  get count(): number {
    return this.all.length
  }

  /** The server that new connections go to. */
  get current(): Server {
    return this.all[this.#at]!
  }

  /**
   * The client class that the pool uses. Connecting to all servers together takes at most `timeoutMs`, and so does each query.
   */
  client(timeoutMs: number): new (config?: pg.ClientConfig) => pg.Client & { readonly server: Server } {
    const servers = this
    const eachMs = timeoutMs / servers.count
    return class extends pg.Client {
      declare readonly server: Server

      constructor(config?: pg.ClientConfig) {
        const server = servers.current
        super({ ...config, ...server, connectionTimeoutMillis: eachMs })
        Object.defineProperty(this, 'server', { value: server }) // not enumerable, because it may contain a password
        // Each borrower listens for errors. Between two borrowers an error without a listener would end the process.
        this.on('error', () => {})
      }

      override connect(...args: any[]): any {
        // A test may have replaced pg's timer and Node's sockets by fakes that never call back. So this timer ends the attempt.
        const forget = after(eachMs + LATER_MS, () => {
          this.connection.stream.destroy(new Error('timeout expired'))
        })
        this.connection.once('readyForQuery', forget).once('end', forget)
        return super.connect(...(args as []))
      }

      /** Cancels a late query of a borrower, unless it commits (QuerySpec.commits says why). */
      async #cancelled<T>(answer: Promise<T>, query: string | Partial<QuerySpec>): Promise<T> {
        try {
          return await answer
        } catch (error) {
          const { text = '', commits = false } = typeof query === 'string' ? { text: query } : query
          if ((error as Error).message === QUERY_TIMEOUT && !commits && !/\bcommit\b/i.test(text))
            await cancel(this, cancelTimeoutMs(timeoutMs))
          throw error
        }
      }

      override query(...args: any[]): any {
        const { connectionParameters } = this as unknown as { connectionParameters: pg.ClientConfig }
        connectionParameters.query_timeout = args[0]?.[OWN_TIMEOUT] ? 0 : timeoutMs // pg reads it in this call
        const answer = super.query(...(args as [any])) as unknown
        return args[0]?.[OWN_TIMEOUT] || !isPromise(answer) ? answer : this.#cancelled(answer, args[0])
      }
    }
  }

  /** Continues with the next server, unless that has already happened. */
  moveOn(server: Server | undefined): void {
    if (server === this.current) this.#at = (this.#at + 1) % this.count
  }
}

/** Whether another server may work. As in libpq, no other server is tried if one refuses the login. */
export function mayWorkElsewhere(error: unknown): boolean {
  const { connection, resources, shutdown, system, internal } = SQLSTATE
  return !isServerError(error) || hasState(error, connection, resources, shutdown, system, internal)
}

/** The error if no server works: it lists the error of each one. */
export function noServerError(failures: readonly (readonly [Server, unknown])[]): Error {
  const [first] = failures
  if (failures.length === 1) return first![1] as Error
  const words = failures.map(([server, error]) => {
    const { host, port } = new pg.Client(server)
    const { message, code } = error as { message?: string; code?: string }
    return `${host}:${port}: ${message || code}`
  })
  // A standby that was reached may soon be promoted.
  const aside = failures.some(([, error]) => error instanceof ReadOnlyError)
  return new (aside ? ReadOnlyError : Error)(words.join('; '), { cause: first![1] })
}

/** Throws if pg can't read the configuration, without quoting it. */
function checkReadable(server: Server): void {
  let port: number
  try {
    port = new pg.Client(server).port
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code === 'ENOENT') throw new Error('a file that it names is not there')
    throw new Error(/^(Invalid URL|URI malformed)$/.test(message) ? message : 'pg can not read it')
  }
  // With an invalid port, a pool never ends.
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) throw new Error('its port is no port')
}

function fromString(text: string): { servers: Server[]; wants: string } {
  const [, scheme, authority = '', path = '', query = ''] = URL_FORM.exec(text) ?? []
  const parameters = new URLSearchParams(query)
  const wants = parameters.get('target_session_attrs') ?? 'any'
  const inQuery = parameters.get('host')?.includes(',') ?? false
  if (!scheme || !(inQuery || authority.includes(',') || parameters.has('target_session_attrs')))
    return { servers: [{ connectionString: text }], wants }
  const login = authority.slice(0, authority.lastIndexOf('@') + 1)
  const addresses = inQuery
    ? pairs(parameters.get('host')!, parameters.get('port') ?? '')
    : named(authority.slice(login.length).split(',')).map((address) => [address] as const)
  parameters.delete('target_session_attrs')
  const servers = addresses.map(([address, port]) => {
    const own = new URLSearchParams(parameters)
    if (inQuery) {
      own.set('host', address)
      if (port) own.set('port', port)
      else own.delete('port')
    }
    const rest = own.size > 0 ? `?${own}` : ''
    return { connectionString: `${scheme}${login}${inQuery ? '' : address}${path}${rest}` }
  })
  return { servers, wants }
}

function fromEnvironment(env: NodeJS.ProcessEnv): { servers: Server[]; wants: string } {
  const wants = env.PGTARGETSESSIONATTRS || 'any'
  if (!env.PGHOST?.includes(',')) return { servers: [{}], wants }
  const servers = pairs(env.PGHOST, env.PGPORT ?? '').map(([host, port]) => ({
    host,
    port: Number(port || 5432),
  }))
  return { servers, wants }
}

/** Pairs a list of hosts with a list of ports: one port for each host, or one port for all. */
function pairs(hosts: string, ports: string): (readonly [host: string, port: string])[] {
  const [names, numbers] = [named(hosts.split(',')), ports.split(',')]
  if (numbers.length > 1 && numbers.length !== names.length)
    throw new Error(`it lists ${names.length} hosts, but ${numbers.length} ports`)
  const bad = numbers.find((port) => !/^\d*$/.test(port) || Number(port) > 65_535)
  if (bad !== undefined) throw new Error('one of its ports is no port')
  return names.map((host, i) => [host, numbers[numbers.length > 1 ? i : 0]!])
}

function named(hosts: string[]): string[] {
  if (hosts.length > 1 && hosts.some((host) => host === '' || host.startsWith(':')))
    throw new Error('a host in its list has no name')
  return hosts
}
