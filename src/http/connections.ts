// The requests that are being answered: their limits, and what happens to those that stay open.
import { createHash } from 'node:crypto'
import { every, now } from '../core/clock.ts'
import type { FeedSettings } from './options.ts'
import { forbidden, Problem } from './problem.ts'

/** A response that stays open. */
export interface Connection {
  /** Since when it has taken nothing of what is ready for it; undefined if nothing is ready. */
  readonly stalledSince: number | undefined
  /** Sends a sign of life, if there is room. */
  beat(): void
  /** Ends it so that the client connects again. */
  end(): void
  /** Breaks it off, and drops everything that waits to be sent. */
  drop(): void
}

interface Open {
  readonly connection: Connection
  readonly isAllowed: () => Promise<boolean>
  readonly since: number
  beatAt: number
  askAt: number
}

/** The longest time between two checks of the open connections, in ms. */
const MAX_TICK_MS = 5_000

/** One timer looks after all open connections: heartbeats, authorization, age, and clients that take nothing. */
export class Connections {
  readonly #settings: FeedSettings
  readonly #open = new Set<Open>()
  readonly #callers = new Map<string, number>()
  readonly #tickMs: number
  #count = 0
  #stop = () => {}

  constructor(settings: FeedSettings) {
    this.#settings = settings
    const { heartbeatMs, reauthorizeMs, connectionMs, stallMs } = settings
    this.#tickMs = Math.min(MAX_TICK_MS, Math.min(heartbeatMs, reauthorizeMs, connectionMs, stallMs) / 4)
  }

  get heartbeatMs(): number {
    return this.#settings.heartbeatMs
  }

  /** How many requests are being answered. */
  get count(): number {
    return this.#count
  }

  /** Counts a request until the returned function is called. @throws Problem if there are too many */
  enter(request: Request): () => void {
    const { maxConnections, maxConnectionsPerCaller } = this.#settings
    if (this.#count >= maxConnections)
      throw new Problem(503, 'there are too many connections', { 'Retry-After': '5' })
    const caller = this.#callerOf(request)
    const before = (caller !== undefined && this.#callers.get(caller)) || 0
    if (caller !== undefined && before >= maxConnectionsPerCaller)
      throw new Problem(429, `there are already ${before} connections of this caller`, { 'Retry-After': '5' })
    this.#count++
    if (caller !== undefined) this.#callers.set(caller, before + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      this.#count--
      if (caller === undefined) return
      const others = this.#callers.get(caller)! - 1
      if (others > 0) this.#callers.set(caller, others)
      else this.#callers.delete(caller)
    }
  }

  /** Looks after a connection until the returned function is called. `isAllowed` asks for authorization again. */
  watch(connection: Connection, isAllowed: () => Promise<boolean>): () => void {
    const { heartbeatMs, reauthorizeMs } = this.#settings
    const at = now()
    const open = { connection, isAllowed, since: at, beatAt: at + heartbeatMs, askAt: at + reauthorizeMs }
    if (this.#open.size === 0) this.#stop = every(this.#tickMs, () => this.#tick(), { ref: false })
    this.#open.add(open)
    return () => {
      if (this.#open.delete(open) && this.#open.size === 0) this.#stop()
    }
  }

  #callerOf(request: Request): string | undefined {
    const { caller } = this.#settings
    const found = caller
      ? caller(request)
      : (request.headers.get('Authorization') ?? request.headers.get('Cookie'))
    // Credentials are not kept in memory for longer than the request.
    return found == null ? undefined : createHash('sha256').update(String(found)).digest('base64')
  }

  #tick(): void {
    const { heartbeatMs, reauthorizeMs, connectionMs, stallMs } = this.#settings
    const at = now()
    for (const open of [...this.#open]) {
      const { connection, isAllowed, since } = open
      if (at - (connection.stalledSince ?? at) >= stallMs) connection.drop()
      else if (at - since >= connectionMs) connection.end()
      else {
        if (at >= open.askAt) {
          open.askAt = Infinity // until the answer is there
          isAllowed().then(
            (allowed) => {
              open.askAt = now() + reauthorizeMs
              if (!allowed) connection.end()
            },
            () => connection.end(),
          )
        }
        if (at >= open.beatAt) {
          open.beatAt = at + heartbeatMs
          connection.beat()
        }
      }
    }
  }
}

/** Asks `authorize`, which must say `true`. @throws Problem 403 if it does not */
export async function authorize<T>(settings: FeedSettings, request: Request, target: T): Promise<void> {
  if ((await settings.authorize(request, target)) !== true) throw forbidden()
}
