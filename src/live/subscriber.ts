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

/**
 * Pause between two questions whether the connection is alive, and how long it has to answer: one that went dead without a
 * word is found out within both together.
 */
const CHECK_MS = 1_000
const ANSWER_MS = 4_000

/** How long the listener waits for any answer; what is at hand on its connection is never long in coming. */
export const answerMs = ({ queryTimeoutMs }: { queryTimeoutMs: number }): number =>
  Math.min(queryTimeoutMs, ANSWER_MS)

/**
 * Through pg-listen, whose own reconnecting gives up after seconds and survives close(): with `retryLimit: 1` it only
 * reports.
 */
export function makeSubscriber(db: Database, { lost, heard }: SubscriberEvents): Subscriber {
  const sockets = new Sockets()
  const { config, moveOn } = db.listenerConfig(`meowmx listener ${db.schema}`)
  // TypeScript sees the CommonJS module itself under nodenext; Node may give either.
  const create = ((createSubscriber as any).default ?? createSubscriber) as typeof createSubscriber.default
  const subscriber = create<Record<string, string>>(
    {
      ...config,
      pipeline: true, // pg-listen's question may come while a LISTEN is under way
      query_timeout: answerMs(db.settings),
      connectionTimeoutMillis: answerMs(db.settings),
      stream: (config as { stream?: unknown }).stream ?? sockets.make,
    } as Parameters<typeof create>[0],
    { retryLimit: 1, paranoidChecking: CHECK_MS, parse: (payload) => payload },
  )
  subscriber.events.on('error', lost)
  // A channel may be called "error", which an emitter without a listener throws.
  subscriber.notifications.on('error', () => {})
  subscriber.events.on('notification', ({ channel, payload }) => heard(channel, payload ?? ''))
  // One that is not there, or is a standby, where LISTEN is refused.
  const elsewhere = (error: unknown): never => {
    moveOn()
    throw error
  }
  return {
    connect: () => subscriber.connect().catch(elsewhere),
    listenTo: async (channel) => subscriber.listenTo(channel)?.catch(elsewhere),
    unlisten: async (channel) => subscriber.unlisten(channel),
    notify: (channel) => subscriber.notify(channel, ''),
    close: (patienceMs) => {
      subscriber.close().catch(() => {})
      return sockets.closed(patienceMs)
    },
  }
}
