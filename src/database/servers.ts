import pg from 'pg'
import { after } from '../core/clock.ts'
import { isPromise } from '../core/kinds.ts'
import { cancel } from './cancel.ts'
import { isServerError, QUERY_TIMEOUT } from './failures.ts'
import { cancelTimeoutMs, OWN_TIMEOUT } from './fast-query.ts'

/** How one server is reached: what of pg's configuration names it. Empty: by the PG* environment variables alone. */
type Server = { readonly connectionString?: string; readonly host?: string; readonly port?: number }

const WANTS = ['any', 'read-write', 'primary']
/** pg's own timer comes first. */
const LATER_MS = 500
/** Scheme, authority, path, query. */
const URL_FORM = /^((?!socket:)[a-z][a-z0-9+.-]*:\/\/)([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i

/** A server was reached, but can only be read: a standby, or one that is set so. */
export class ReadOnlyError extends Error {
  readonly code = '25006' // read_only_sql_transaction, as a server says it
}

/**
 * The servers of which one is the primary, as libpq's connection strings list them:
 * `postgres://host1:5432,host2:5433/db?target_session_attrs=read-write`. pg itself knows one server only.
 */
export class Servers {
  /** Whether it has to be one that can be written to. */
  readonly writable: boolean
  readonly all: readonly Server[]
  #at = 0

  /** Throws an Error that says what is wrong with the string, and does not print it. `mistakeIn` has looked at it before. */
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

  /** The one that connections are made to. */
  get current(): Server {
    return this.all[this.#at]!
  }

  /** What a pool makes its connections by. All servers together take no longer than `timeoutMs`, nor does a query. */
  client(timeoutMs: number): new (config?: pg.ClientConfig) => pg.Client & { readonly server: Server } {
    const servers = this
    const eachMs = timeoutMs / servers.count
    return class extends pg.Client {
      declare readonly server: Server

      constructor(config?: pg.ClientConfig) {
        const server = servers.current
        super({ ...config, ...server, connectionTimeoutMillis: eachMs })
        Object.defineProperty(this, 'server', { value: server }) // not enumerable: it may hold a password
        // Whoever has it listens too; but between two of them an error would end the process.
        this.on('error', () => {})
      }

      override connect(...args: any[]): any {
        // pg's own timer may be a fake, and so may be what Node opens a socket by: once that is taken away, nothing comes of it.
        const forget = after(eachMs + LATER_MS, () => {
          this.connection.stream.destroy(new Error('timeout expired'))
        })
        this.connection.once('readyForQuery', forget).once('end', forget)
        return super.connect(...(args as []))
      }

      /** Queries of those that borrow it: one that is late is cancelled, unless it commits (ask.ts says why). */
      async #cancelled<T>(answer: Promise<T>, query: string | { text?: string }): Promise<T> {
        try {
          return await answer
        } catch (error) {
          const text = typeof query === 'string' ? query : (query.text ?? '')
          if ((error as Error).message === QUERY_TIMEOUT && !/\bcommit\b/i.test(text))
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

  /** That one does not serve: it is the next one's turn, unless it is already. */
  moveOn(server: Server | undefined): void {
    if (server === this.current) this.#at = (this.#at + 1) % this.count
  }
}

/** Whether another server may do better than the one that failed so. As with libpq, one that refuses a login is taken at its word. */
export function mayWorkElsewhere(error: unknown): boolean {
  const { code } = error as { code?: string }
  return !isServerError(error) || /^(08|53|57P|58|XX)/.test(code ?? '')
}

/** What is said where none serves: of each server its own. */
export function noServerError(failures: readonly (readonly [Server, unknown])[]): Error {
  const [first] = failures
  if (failures.length === 1) return first![1] as Error
  const words = failures.map(([server, error]) => {
    const { host, port } = new pg.Client(server)
    const { message, code } = error as { message?: string; code?: string }
    return `${host}:${port}: ${message || code}`
  })
  // Where one is there, it may be about to be promoted.
  const aside = failures.some(([, error]) => error instanceof ReadOnlyError)
  return new (aside ? ReadOnlyError : Error)(words.join('; '), { cause: first![1] })
}

/** Throws where pg can't read it, in words that hold nothing of it. */
function checkReadable(server: Server): void {
  let port: number
  try {
    port = new pg.Client(server).port
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code === 'ENOENT') throw new Error('a file that it names is not there')
    throw new Error(/^(Invalid URL|URI malformed)$/.test(message) ? message : 'pg can not read it')
  }
  // With one that is none a pool never ends.
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

/** Hosts and ports as two lists: as many of both, or one port for all. */
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
