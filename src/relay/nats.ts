import type { JetStreamClient } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { ClosedError, ConnectionError } from '../core/errors.ts'
import { isMissing } from '../core/missing.ts'
import type { Broker, BrokerContext } from './broker.ts'
import { RefusedError } from './broker.ts'
import type { Message } from './message.ts'
import { greeting } from './nats-greeting.ts'
import type { NatsOptions, NatsSettings } from './nats-options.ts'
import { natsSettings } from './nats-options.ts'
import { checkStream } from './nats-stream.ts'

/** JetStream's number of an error: a message above the stream's max_msg_size. */
const TOO_LARGE = 10054
const DENIED = 'PermissionViolationError'

/**
 * NATS JetStream as a relay's broker; needs the packages `@nats-io/transport-node` and `@nats-io/jetstream`, version 3.
 *
 * A message has the event's id as `Nats-Msg-Id`, by which the stream drops what comes again within its duplicate window. **That
 * is how long an outage may last:** where a relay, or its way to NATS, is away for longer, the messages whose answer was lost
 * (`window` at most) are stored twice. The server keeps the ids of a window in memory. A message counts as published when
 * the stream has taken it: how safe it is there is the stream's matter (`num_replicas`, the server's `sync_interval`).
 *
 * @throws ValidationError for an option that can't be right
 * @throws (where the relay opens it) RefusedError where a package, JetStream or the stream is missing, or the login is refused
 * @example
 * natsBroker({ servers: 'nats://relay:secret@nats-1:4222', stream: 'ORDERS' })
 * natsBroker({ stream: 'ORDERS', create: { num_replicas: 3 }, duplicateWindowMs: 600_000 })
 */
export function natsBroker(options: NatsOptions = {}): Broker {
  return new NatsBroker(natsSettings(options))
}

/** What fails: `open` the first time or again, `connect` for a message, `publish` it. */
type Doing = 'open' | 'connect' | 'publish'

interface Link {
  readonly connection: NatsConnection
  readonly client: JetStreamClient
  headers(): MsgHdrs
}

/**
 * A connection is disposable: with whatever is wrong it is closed, and the next message makes another. So nothing old waits in
 * a buffer, to be sent after somebody else has taken over.
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
    const { connection, client } = await this.#linked('open')
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
    const link = await this.#linked('connect')
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

  #linked(doing: Doing): Promise<Link> {
    if (!this.#open) return Promise.reject(new ClosedError('the connection to NATS'))
    if (this.#link) return this.#link
    const link = this.#connect(doing)
    const forget = () => {
      if (this.#link === link) this.#link = undefined
    }
    link.then(({ connection }) => connection.closed().then(forget), forget)
    this.#link = link
    return link
  }

  /** All that is on its way by it fails; the next message makes another. */
  async #cut(connection: NatsConnection): Promise<void> {
    await connection.close()
    await connection.closed() // by whoever began that
  }

  async #connect(doing: Doing): Promise<Link> {
    const { servers, connection, timeoutMs } = this.#settings
    const { transport, jetstream } = await packages()
    try {
      const tlsFirst = (connection.tls as { handshakeFirst?: boolean } | undefined)?.handshakeFirst
      const made = await transport.connect({
        name: 'meowmx relay',
        pingInterval: 10_000,
        maxPingOut: 2,
        timeout: timeoutMs,
        noAsyncTraces: true, // else each message costs a stack
        ...connection,
        servers: tlsFirst ? [...servers] : await greeting(servers, timeoutMs),
        reconnect: false,
      })
      return {
        connection: made,
        client: jetstream.jetstream(made, { timeout: timeoutMs }),
        headers: transport.headers,
      }
    } catch (error) {
      throw this.#explain(error, doing)
    }
  }

  /** An error of NATS as one of ours: of a new relay some last, of one that was at work all pass, but for its messages'. */
  #explain(error: unknown, doing: Doing, subject = ''): unknown {
    if (error instanceof RefusedError || error instanceof ConnectionError) return error
    const { message, code, cause } = error as Error & { code?: unknown }
    const name = (cause as Error | undefined)?.name === DENIED ? DENIED : (error as Error).name
    const { servers, stream, timeoutMs } = this.#settings
    const where = servers.join(', ')
    const lasting = doing === 'open' ? RefusedError : ConnectionError
    switch (name) {
      case 'AuthorizationError':
      case 'UserAuthenticationExpiredError':
        return new lasting(
          `NATS at ${where} refuses the login (${message}): give user and password, or a token`,
          error,
        )
      case DENIED:
        return new lasting(
          `NATS at ${where} does not let this user publish (${message}): allow it` +
            (doing === 'open' ? ', or leave out what looks at the stream (check: false)' : ''),
          error,
        )
      case 'JetStreamNotEnabled':
        return new lasting(
          doing !== 'publish'
            ? `NATS at ${where} has no JetStream: start nats-server with -js, or enable it for this account`
            : `no JetStream stream takes the subject ${subject}: nats stream add, or nats stream edit --subjects`,
          error,
        )
      case 'InvalidArgumentError': // what the client refuses to send, or can't connect by
        return doing === 'publish'
          ? new RefusedError(`NATS can not take a message: ${message}`, error)
          : new lasting(`NATS at ${where} can not be used: ${message}`, error)
      case 'TimeoutError':
        return new ConnectionError(`NATS at ${where} did not answer within ${timeoutMs} ms`, error)
      case 'JetStreamApiError':
        if (code === TOO_LARGE)
          return new RefusedError(`a message is too large for the stream (max_msg_size): ${message}`, error)
        return new ConnectionError(
          `JetStream takes nothing for ${subject || (stream ?? where)}: ${message}`,
          error,
        )
      default:
        return new ConnectionError(`NATS at ${where} can not be reached: ${message}`, error)
    }
  }
}

/** Only who relays to NATS needs them. */
async function packages() {
  try {
    // Each awaited where it stands: only then does esbuild leave it to the run where it is not installed.
    const transport = await import('@nats-io/transport-node')
    const jetstream = await import('@nats-io/jetstream')
    return { transport, jetstream }
  } catch (error) {
    if (!isMissing(error)) throw error
    throw new RefusedError(
      'natsBroker() needs two packages: npm install @nats-io/transport-node @nats-io/jetstream',
      error,
    )
  }
}
