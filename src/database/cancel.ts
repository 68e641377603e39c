import { Socket } from 'node:net'
import pg from 'pg'
import { after } from '../core/clock.ts'

/** What a client of pg knows about its connection. A client of another driver does not have this, and is not cancelled. */
interface LoggedIn {
  readonly processID?: number | null
  readonly secretKey?: number | null
  readonly host: string
  readonly port: number
  readonly ssl?: unknown
  readonly sslNegotiation?: string
  readonly connection?: { readonly stream: Partial<Socket> }
}

/** The parts of pg's connection that we use. */
interface Messenger {
  readonly stream: Socket
  on(event: 'connect' | 'sslconnect' | 'error' | 'end', listener: () => void): void
  connect(port: number | string, host?: string): void
  requestSsl(): void
  cancel(processID: number, secretKey: number): void
}
const Messenger = (pg as unknown as { Connection: new (config: object) => Messenger }).Connection

/**
 * Asks the server to cancel the query that a connection is running. PostgreSQL requires a separate connection for this: to the
 * same address, and encrypted if the other one is. Resolves with true when the server has received the request, and with false
 * after `timeoutMs`; never rejects.
 *
 * The request does not name a query, so call this only while the query that should end is running.
 */
export function cancel(client: pg.ClientBase, timeoutMs: number): Promise<boolean> {
  const { processID, secretKey, host, port, ssl, sslNegotiation, connection } = client as unknown as LoggedIn
  if (!processID || secretKey == null) return Promise.resolve(false)
  return new Promise((resolve) => {
    const stream = new ToAddress(connection?.stream.remoteAddress)
    const messenger = new Messenger({ stream, ssl, sslNegotiation })
    let sent = false
    const end = () => {
      forget()
      messenger.stream.destroy()
      stream.destroy()
      resolve(sent)
    }
    const forget = after(timeoutMs, end)
    const send = () => {
      messenger.cancel(processID, secretKey)
      sent = true
    }
    messenger.on('error', end)
    messenger.on('end', end) // the server has processed the request
    messenger.on('sslconnect', send)
    messenger.on('connect', () => {
      if (!ssl) send()
      else if (sslNegotiation !== 'direct') messenger.requestSsl()
    })
    if (host?.startsWith('/')) messenger.connect(`${host}/.s.PGSQL.${port}`)
    else messenger.connect(port, host)
  })
}

/** A host name may stand for several servers, so this connects to the address of the other connection. */
class ToAddress extends Socket {
  readonly #address: string | undefined

  constructor(address: string | undefined) {
    super()
    this.#address = address
  }

  override connect(...args: any[]): this {
    const [port, host] = args
    return host === undefined || !this.#address
      ? super.connect(...(args as [any]))
      : super.connect(port, this.#address)
  }
}
