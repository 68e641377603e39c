import createSubscriber from 'pg-listen'
import type { Database } from '../database.ts'
import { Sockets } from '../sockets.ts'

/** One LISTEN connection, used once: made, connected, lost or closed. */
export interface Subscriber {
  connect(): Promise<void>
  listenTo(channel: string): Promise<unknown>
  unlisten(channel: string): Promise<unknown>
  notify(channel: string): Promise<unknown>
  /** Resolves once its sockets are closed, by force after so many ms. */
  close(patienceMs: number): Promise<void>
}

/** What it tells of. */
export interface SubscriberEvents {
  lost(error: unknown): void
  heard(channel: string, payload: string): void
}

/** Makes a LISTEN connection to the store's server. */
export type Connect = (events: SubscriberEvents) => Subscriber

/** Pause between two looks at whether the connection answers. */
const CHECK_MS = 2_000

/**
 * Through pg-listen, whose own reconnecting gives up after seconds and survives close(): with `retryLimit: 1` it only
 * reports.
 */
export function makeSubscriber(db: Database, { lost, heard }: SubscriberEvents): Subscriber {
  const { listenConnectionString, queryTimeoutMs } = db.settings
  const sockets = new Sockets()
  const config = db.connectionConfig(`meowmx listener ${db.schema}`, listenConnectionString)
  // TypeScript sees the CommonJS module itself under nodenext; Node may give either.
  const create = ((createSubscriber as any).default ?? createSubscriber) as typeof createSubscriber.default
  const subscriber = create<Record<string, string>>(
    {
      ...config,
      query_timeout: Math.min(queryTimeoutMs, 5_000),
      connectionTimeoutMillis: Math.min(queryTimeoutMs, 5_000),
      stream: (config as { stream?: unknown }).stream ?? sockets.make,
    } as Parameters<typeof create>[0],
    { retryLimit: 1, paranoidChecking: CHECK_MS, parse: (payload) => payload },
  )
  subscriber.events.on('error', lost)
  // A channel may be called "error", which an emitter without a listener throws.
  subscriber.notifications.on('error', () => {})
  subscriber.events.on('notification', ({ channel, payload }) => heard(channel, payload ?? ''))
  return {
    connect: () => subscriber.connect(),
    listenTo: async (channel) => subscriber.listenTo(channel),
    unlisten: async (channel) => subscriber.unlisten(channel),
    notify: (channel) => subscriber.notify(channel, ''),
    close: (patienceMs) => {
      subscriber.close().catch(() => {})
      return sockets.closed(patienceMs)
    },
  }
}
