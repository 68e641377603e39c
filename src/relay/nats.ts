// NATS JetStream as the broker of a relay.
import type { JetStreamClient } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { ClosedError, ConnectionError } from '../core/errors.ts'
import type { Broker, BrokerContext } from './broker.ts'
import { RefusedError } from './broker.ts'
import type { Message } from './message.ts'
import { serversThatGreet } from './nats-greeting.ts'
import type { NatsOptions, NatsSettings } from './nats-options.ts'
import { natsSettings } from './nats-options.ts'
import { natsPackages } from './nats-packages.ts'
import { checkStream } from './nats-stream.ts'

/** Error number of JetStream: the message is larger than the stream's max_msg_size. */
const TOO_LARGE = 10054
const DENIED = 'PermissionViolationError'

/**
 * Makes a broker that publishes to NATS JetStream. It needs the packages `@nats-io/transport-node` and `@nats-io/jetstream`, version 3.
 *
 * Each message has the event's id as `Nats-Msg-Id`, and the stream drops a repeated id within its duplicate window. **That
 * window is how long an outage may last:** if a relay or its connection is away for longer, the messages whose answer was
 * lost (at most `window`) are stored twice. The server keeps the ids of a window in memory. A message counts as published when
 * the stream has taken it; how safe it is then depends on NATS (`num_replicas`, and the server's `sync_interval`).
 *
 * @throws ValidationError if an option is invalid
 * @throws RefusedError (when the relay opens it) if a package, JetStream or the stream is missing, or the login is refused
 * @example
 * natsBroker({ servers: 'nats://relay:secret@nats-1:4222', stream: 'ORDERS' })
 * natsBroker({ stream: 'ORDERS', create: { num_replicas: 3 }, duplicateWindowMs: 600_000 })
 */
export function natsBroker(options: NatsOptions = {}): Broker {
  return new NatsBroker(natsSettings(options))
}

/** The step that failed: opening (the first time or again), connecting to publish, or publishing. */
type Step = 'open' | 'connect' | 'publish'

interface Link {
  readonly connection: NatsConnection
  readonly client: JetStreamClient
  headers(): MsgHdrs
}

/**
 * A connection is closed at the first fault, and the next message makes a new one. So no old message waits in a buffer and is
 * sent after another relay has taken over.
 */
class NatsBroker implements Broker {
  readonly #settings: NatsSettings
  #link: Promise<Link> | undefined
  #open = false

  constructor(settings: NatsSettings) {
    this.#settings = settings
  }

  async open(context: BrokerContext): Promise<void> {
    this.#open = true
    const { connection, client } = await this.#connected('open')
    try {
      const manager = await client.jetstreamManager(this.#settings.check)
      if (this.#settings.check) await checkStream(manager.streams, this.#settings, context)
    } catch (error) {
      await this.#cut(connection)
      throw this.#explain(error, 'open')
    }
  }

  async publish({ id, subject, body, headers }: Message): Promise<{ duplicate: boolean }> {
    const { stream, timeoutMs } = this.#settings
    const link = await this.#connected('connect')
    const all = link.headers()
    for (const [name, value] of Object.entries(headers)) all.set(name, value)
    try {
      const { duplicate } = await link.client.publish(subject, body, {
        msgID: id,
        headers: all,
        timeout: timeoutMs,
        ...(stream === undefined ? {} : { expect: { streamName: stream } }),
      })
      return { duplicate }
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') await this.#cut(link.connection)
      throw this.#explain(error, 'publish', subject)
    }
  }

  async close(): Promise<void> {
    this.#open = false
    const link = await this.#link?.catch(() => undefined)
    if (link) await this.#cut(link.connection)
  }

  #connected(step: Step): Promise<Link> {
    if (!this.#open) return Promise.reject(new ClosedError('the connection to NATS'))
    if (this.#link) return this.#link
    const link = this.#connect(step)
    const forget = () => {
      if (this.#link === link) this.#link = undefined
    }
    link.then(({ connection }) => connection.closed().then(forget), forget)
    this.#link = link
    return link
  }

  /** Closes a connection: publishing through it fails, and the next message makes a new one. */
  async #cut(connection: NatsConnection): Promise<void> {
    await connection.close()
    await connection.closed() // also waits for a close that was already running
  }

  async #connect(step: Step): Promise<Link> {
    const { servers, connection, timeoutMs } = this.#settings
    const { transport, jetstream } = await natsPackages('natsBroker()')
    try {
      const tlsFirst = (connection.tls as { handshakeFirst?: boolean } | undefined)?.handshakeFirst
      const made = await transport.connect({
        name: 'meowmx relay',
        pingInterval: 10_000,
        maxPingOut: 2,
        timeout: timeoutMs,
        noAsyncTraces: true, // otherwise each message records a stack trace
        ...connection,
        servers: tlsFirst ? [...servers] : await serversThatGreet(servers, timeoutMs),
        reconnect: false,
      })
      return {
        connection: made,
        client: jetstream.jetstream(made, { timeout: timeoutMs }),
        headers: transport.headers,
      }
    } catch (error) {
      throw this.#explain(error, step)
    }
  }

  /** Translates an error of NATS. RefusedError means "do not try again": it is for faults that a new relay finds when it opens, and for a message that NATS never takes. */
  #explain(error: unknown, step: Step, subject = ''): unknown {
    if (error instanceof RefusedError || error instanceof ConnectionError) return error
    const { message, code, cause } = error as Error & { code?: unknown }
    const name = (cause as Error | undefined)?.name === DENIED ? DENIED : (error as Error).name
    const { servers, stream, timeoutMs } = this.#settings
    const where = servers.join(', ')
    const ErrorClass = step === 'open' ? RefusedError : ConnectionError
    switch (name) {
      case 'AuthorizationError':
      case 'UserAuthenticationExpiredError':
        return new ErrorClass(
          `NATS at ${where} refuses the login (${message}): give user and password, or a token`,
          error,
        )
      case DENIED:
        return new ErrorClass(
          `NATS at ${where} does not let this user publish (${message}): grant the permission` +
            (step === 'open' ? ', or give check: false, which does not read the stream' : ''),
          error,
        )
      case 'JetStreamNotEnabled':
        return new ErrorClass(
          step !== 'publish'
            ? `NATS at ${where} has no JetStream: start nats-server with -js, or enable it for this account`
            : `no JetStream stream takes the subject ${subject}: run nats stream add, or nats stream edit --subjects`,
          error,
        )
      case 'InvalidArgumentError': // the client refuses the message or the options
        return step === 'publish'
          ? new RefusedError(`NATS cannot take a message: ${message}`, error)
          : new ErrorClass(`NATS at ${where} cannot be used: ${message}; correct the options`, error)
      case 'TimeoutError':
        return new ConnectionError(`NATS at ${where} did not answer within ${timeoutMs} ms`, error)
      case 'JetStreamApiError':
        if (code === TOO_LARGE)
          return new RefusedError(
            `a message is too large for the stream: ${message}; raise its max_msg_size, then replay the parked stream`,
            error,
          )
        return new ConnectionError(
          `JetStream did not take a message for ${subject || (stream ?? where)}: ${message}`,
          error,
        )
      default:
        return new ConnectionError(`NATS at ${where} cannot be reached: ${message}`, error)
    }
  }
}
