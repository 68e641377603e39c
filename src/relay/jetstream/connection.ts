// The connection of `jetstream`, which all of its subscriptions share.
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { ClosedError, ConnectionError } from '../../core/errors.ts'
import { RefusedError } from '../broker.ts'
import { serversThatGreet } from '../nats-greeting.ts'
import { natsPackages } from '../nats-packages.ts'
import type { JetStreamSettings } from './options.ts'

export interface Link {
  readonly connection: NatsConnection
  readonly client: JetStreamClient
  readonly manager: JetStreamManager
  headers(): MsgHdrs
}

/** Connects when it is first needed. From then on the client of NATS reconnects by itself, for as long as it takes. */
export class Connection {
  readonly #settings: JetStreamSettings
  #link: Promise<Link> | undefined
  #closed = false

  constructor(settings: JetStreamSettings) {
    this.#settings = settings
  }

  /**
   * @throws RefusedError if trying again cannot help
   * @throws ConnectionError if no server answers
   */
  get(): Promise<Link> {
    if (this.#closed) return Promise.reject(new ClosedError('the connection to NATS'))
    if (this.#link) return this.#link
    const link = this.#connect()
    const forget = () => {
      if (this.#link === link) this.#link = undefined
    }
    link.then(({ connection }) => connection.closed().then(forget), forget)
    this.#link = link
    return link
  }

  async close(): Promise<void> {
    this.#closed = true
    const link = await this.#link?.catch(() => undefined)
    await link?.connection.close()
    await link?.connection.closed()
  }

  async #connect(): Promise<Link> {
    const { servers, connection, timeoutMs } = this.#settings.nats
    const { transport, jetstream } = await natsPackages('jetstream()')
    let made: NatsConnection | undefined
    try {
      const tlsFirst = (connection.tls as { handshakeFirst?: boolean } | undefined)?.handshakeFirst
      made = await transport.connect({
        name: 'meowmx consumer',
        pingInterval: 10_000,
        maxPingOut: 2,
        timeout: timeoutMs,
        reconnectTimeWait: 250,
        noAsyncTraces: true,
        ...connection,
        servers: tlsFirst ? [...servers] : await serversThatGreet(servers, timeoutMs),
        reconnect: true,
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true,
      })
      const manager = await jetstream.jetstreamManager(made, { timeout: timeoutMs })
      return {
        connection: made,
        manager,
        client: jetstream.jetstream(made, { timeout: timeoutMs }),
        headers: transport.headers,
      }
    } catch (error) {
      await made?.close()
      throw explain(error, servers)
    }
  }
}

function explain(error: unknown, servers: readonly string[]): unknown {
  const { name, message } = error as Error
  const where = servers.join(', ')
  switch (name) {
    case 'AuthorizationError':
    case 'UserAuthenticationExpiredError':
      return new RefusedError(
        `NATS at ${where} refuses the login (${message}): give user and password, or a token`,
        error,
      )
    case 'JetStreamNotEnabled':
      return new RefusedError(
        `NATS at ${where} has no JetStream: start nats-server with -js, or enable it for this account`,
        error,
      )
    case 'InvalidArgumentError':
      return new RefusedError(`NATS at ${where} cannot be used: ${message}; correct the options`, error)
    default:
      return new ConnectionError(`NATS at ${where} cannot be reached: ${message}`, error)
  }
}
