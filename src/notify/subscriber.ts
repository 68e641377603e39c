import type { Duplex } from 'node:stream'
import type pg from 'pg'
import createSubscriber from '#pg-listen'
import { every } from '../core/clock.ts'
import { withTimeout } from '../core/timeout.ts'
import type { Database } from '../database/database.ts'
import { QUERY_TIMEOUT } from '../database/failures.ts'
import type { Servers } from '../database/servers.ts'
import { Sockets } from '../database/sockets.ts'

/** One LISTEN connection. It is used once and then closed. */
export interface Subscriber {
  connect(): Promise<void>
  listenTo(channel: string): Promise<unknown>
  unlisten(channel: string): Promise<unknown>
  notify(channel: string): Promise<unknown>
  /** Resolves when its sockets are closed. After `timeoutMs` they are destroyed. */
  close(timeoutMs: number): Promise<void>
}

/** What a subscriber reports. */
export interface SubscriberEvents {
  lost(error: unknown): void
  notified(channel: string, payload: string): void
}

/** Makes a LISTEN connection, named after a store. */
export type Connect = (events: SubscriberEvents, schema: string) => Subscriber

export interface ListenConfig extends pg.ClientConfig {
  query_timeout: number
  stream?: () => Duplex
}

/** How a LISTEN connection is opened, and the servers that are tried in turn. */
export interface ListenSettings {
  readonly config: ListenConfig
  /** The pause between two checks whether the connection is alive. In ms. */
  readonly checkMs: number
  /** The longest pause between two attempts to connect. In ms. */
  readonly reconnectDelayMs: number
  readonly servers: Servers | undefined
}

export function listenSettingsOf(db: Database): ListenSettings {
  const { queryTimeoutMs, listenerTimeoutMs, reconnectDelayMs, keepAliveMs } = db.settings
  // A dead connection is found within both together. Every process asks, so not too often.
  const checkMs = 0.4 * listenerTimeoutMs
  const answerMs = Math.min(queryTimeoutMs, listenerTimeoutMs - checkMs)
  const { config, servers } = db.listenConfig()
  return {
    config: {
      ...config,
      pipeline: true, // the check may come while a LISTEN is under way
      query_timeout: answerMs,
      connectionTimeoutMillis: answerMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveMs,
    } as ListenConfig,
    checkMs,
    reconnectDelayMs,
    servers,
  }
}

/** A channel that nobody notifies. */
const ALIVE = 'meowmx_alive'
/** pg's own timer fires first, so this adds some time. In ms. */
const LATER_MS = 500

/**
 * A LISTEN connection by pg-listen. pg-listen's own reconnecting gives up after seconds, and continues after close(); with
 * `retryLimit: 1` it only reports. Its timers and pg's may be fakes of a test (clock.ts), so timeouts are kept here.
 */
export function makeSubscriber(
  { config, checkMs, servers }: ListenSettings,
  schema: string,
  { lost, notified }: SubscriberEvents,
): Subscriber {
  const sockets = new Sockets()
  const server = servers?.current
  // TypeScript sees the CommonJS module itself under nodenext; Node may give either.
  const create = ((createSubscriber as any).default ?? createSubscriber) as typeof createSubscriber.default
  const subscriber = create<Record<string, string>>(
    {
      ...config,
      ...server,
      application_name: `meowmx listener ${schema}`,
      stream: config.stream ?? sockets.make,
    } as Parameters<typeof create>[0],
    { retryLimit: 1, paranoidChecking: false, parse: (payload) => payload },
  )
  subscriber.events.on('error', lost)
  // A channel may be called "error", and an emitter throws if nobody listens to an error.
  subscriber.notifications.on('error', () => {})
  subscriber.events.on('notification', ({ channel, payload }) => notified(channel, payload ?? ''))
  // The server does not answer, or it is a standby, which refuses LISTEN.
  const elsewhere = (error: unknown): never => {
    servers?.moveOn(server)
    throw error
  }
  const inTime = (ask: () => Promise<unknown> | undefined) =>
    withTimeout(
      config.query_timeout + LATER_MS,
      async () => ask(),
      () => {
        throw new Error(QUERY_TIMEOUT)
      },
    )
  let closed = false
  let isChecking = false
  let hasListened = false
  let forget = () => {}
  /** Whether the connection is alive. LISTEN and UNLISTEN, in turn, are queries that pg-listen passes on. */
  const check = async () => {
    if (isChecking) return
    isChecking = true
    hasListened = !hasListened
    try {
      await inTime(() => (hasListened ? subscriber.listenTo(ALIVE) : subscriber.unlisten(ALIVE)))
    } catch (error) {
      if (!closed) lost(error)
    }
    isChecking = false
  }
  return {
    connect: async () => {
      await inTime(() => subscriber.connect()).catch(elsewhere)
      if (!closed) forget = every(checkMs, check)
    },
    listenTo: async (channel) => subscriber.listenTo(channel)?.catch(elsewhere),
    unlisten: async (channel) => subscriber.unlisten(channel),
    notify: (channel) => subscriber.notify(channel, ''),
    close: (timeoutMs) => {
      closed = true
      forget()
      subscriber.close().catch(() => {})
      return sockets.closed(timeoutMs)
    },
  }
}
