import { sharedController } from '../../src/core/abort.ts'
import type { Clock } from '../../src/core/clock.ts'
import { parse } from '../../src/core/validate.ts'
import type { Row } from '../../src/database/bounded-rows.ts'
import { BoundedRows } from '../../src/database/bounded-rows.ts'
import { connectOptionsSchema } from '../../src/database/connect-options.ts'
import type { Queries } from '../../src/database/database.ts'
import type { Statement } from '../../src/database/statement.ts'
import type { Connect, SubscriberEvents } from '../../src/notify/subscriber.ts'
import type { SimulatedDatabase } from './database.ts'
import { WAKE_UP } from './database.ts'
import type { Timers } from './timers.ts'

/** Something that may happen next, on a machine's network or inside it. */
export interface Task {
  /** Whose; null: the server's. */
  readonly machine: Machine | null
  readonly what: string
  happen(luck: number): void
  /** The connection breaks instead; or the server refuses a statement that arrives. */
  fail?(refused?: boolean): void
}

export interface World {
  readonly database: SimulatedDatabase
  readonly timers: Timers
  readonly tasks: Task[]
  readonly random: () => number
  /** Statements that the database does not know. */
  execute?(name: string, values: any): Row[] | undefined
}

const lost = () => Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })

/** A server that speaks no English. */
const refused = () => Object.assign(new Error('Platte voll'), { code: '53100', severity: 'FEHLER' })

/** A connection of its own: statements on it happen one after the other. */
interface Session {
  readonly waiting: (() => void)[]
  busy: boolean
  broken: boolean
}

/**
 * One process: its clocks, its connections, what it listens to. The arrival, the execution and the answer of each statement are
 * separate tasks, and anything may happen between them.
 */
export class Machine {
  readonly name: string
  frozen = false
  dead = false
  /** Its last claim, while the subscription was paused, said that it knows, and begins nothing. */
  saysPaused = false
  readonly queries: Queries
  readonly connect: Connect
  readonly #world: World
  readonly #skew: number
  #connected = false
  #listener: { events: SubscriberEvents; channels: Set<string>; pending: [string, string][] } | undefined

  constructor(
    name: string,
    world: World,
    settings: { pollIntervalMs: number; listen: boolean; skew: number; maxBufferedBytes?: number },
  ) {
    this.name = name
    this.#world = world
    this.#skew = settings.skew
    const { pollIntervalMs, listen, maxBufferedBytes } = settings
    const parsed = parse(connectOptionsSchema, { pollIntervalMs, listen, logger: false }, 'options')
    // Events are small here, so a page never has too many bytes.
    this.queries = this.#makeQueries({
      ...parsed,
      maxBufferedBytes: maxBufferedBytes ?? parsed.maxBufferedBytes,
    })
    this.connect = (events) => this.#subscriber(events)
  }

  /** kill -9 */
  kill(): void {
    this.dead = true
    this.#listener = undefined
    this.#world.timers.forget(this)
  }

  /** The server notifies. `dropped`: without a sign. */
  notify(channel: string, payload: string): void {
    const listener = this.#listener
    if (!listener?.channels.has(channel)) return
    listener.pending.push([channel, payload])
    this.#post(`hear ${channel.slice(0, 8)} ${payload}`, () => {
      const [heard, what] = listener.pending.shift()! // in the order of sending, whichever task it is
      if (this.#listener === listener) listener.events.notified(heard, what)
    })
  }

  /** Its LISTEN connection breaks. */
  loseNotifications(): void {
    const listener = this.#listener
    this.#listener = undefined
    listener?.events.lost(lost())
  }

  readonly clock: Clock = {
    now: () => this.#world.timers.now,
    wall: () => this.#world.timers.now + this.#skew,
    random: () => this.#world.random(),
    after: (ms, call) => this.#world.timers.after(this, ms, call),
    every: (ms, call) => {
      let cancel = () => {}
      const again = () => {
        cancel = this.#world.timers.after(this, ms, () => {
          again()
          call()
        })
      }
      again()
      return () => cancel()
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const forget = this.#world.timers.after(this, ms, () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        })
        const abort = () => {
          forget()
          reject(signal!.reason)
        }
        signal?.addEventListener('abort', abort, { once: true })
      }),
  }

  #post(what: string, happen: (luck: number) => void, fail?: () => void): void {
    if (this.dead) return
    this.#world.tasks.push({ machine: this, what, happen, ...(fail ? { fail } : {}) })
  }

  /** A task of the server's, and then one that brings the answer; either may be lost. */
  #ask<T>(what: string, answer: () => T, session: Session = { waiting: [], busy: false, broken: false }) {
    return new Promise<T>((resolve, reject) => {
      const breakDown = () => {
        session.broken = true
        reject(lost())
        next()
      }
      const refuse = () => {
        reject(refused())
        next()
      }
      const next = () => {
        session.busy = false
        session.waiting.shift()?.()
      }
      const send = () => {
        if (session.broken) return breakDown()
        session.busy = true
        this.#world.tasks.push({
          machine: null,
          what: `${this.name}: ${what}`,
          happen: () => {
            let reply: () => void
            try {
              const rows = answer()
              reply = () => resolve(rows)
            } catch (error) {
              reply = () => reject(error)
            }
            this.#post(`answer to ${what}`, reply, breakDown)
            next()
          },
          fail: (refused) => {
            if (refused) this.#post(`refusal of ${what}`, refuse)
            else this.#post(`loss of ${what}`, breakDown)
          },
        })
      }
      if (session.busy) session.waiting.push(send)
      else send()
    })
  }

  #makeQueries(settings: Queries['settings']): Queries {
    const { database } = this.#world
    const execute = (name: string, values: any): Row[] => {
      const { owner, leaseMs, partition, epoch, partitions, epochs, positions } = values
      const { category, streamId, position, limit, until } = values
      switch (name) {
        case 'scope':
          return database.scope(values.categories)
        case 'horizons':
          return database.horizons(values.known)
        case 'page': // its bound is kept by the answer
          return database.page(values.after, until, limit, values.category1)
        case 'wake_channel':
          return [[WAKE_UP]]
        case 'subscribe':
          return [['revision']]
        case 'claim':
          this.saysPaused = values.paused && database.paused
          return database.claim(owner, leaseMs, partitions, epochs)
        case 'advance':
          return database.advance(leaseMs, partitions, epochs, positions)
        case 'release':
          return database.release(owner, partitions, epochs, positions, values.leaving)
        case 'park':
          return database.park(
            partition,
            epoch,
            category,
            streamId,
            position,
            values.attempts,
            values.replaying,
          )
        case 'parked_streams':
          return database.parkedStreams(partitions)
        case 'replayed_events':
          return database.replayed(streamId, values.from, until, limit)
        case 'replayed':
          return database.moveAside(partition, epoch, streamId, position)
        case 'publisher':
          return database.publisher(values.countsWaiting)
        case 'claim_publishing':
          return database.claimPublishing(owner)
        case 'renew_publishing':
          return database.renewPublishing(owner, values.published, values.coalescing)
        case 'publish':
          return database.publish(values.keys, values.bounds, values.free, values.head)
        case 'end_publishing':
          return database.endPublishing(owner)
        case 'lag':
          return [['0', 'f', '0', '0']] // of status$ alone, which nobody looks at here
        default:
          return this.#world.execute?.(name, values) ?? database.other(name, values)
      }
    }
    // The rows of a statement are those that it declares.
    const query = (statement: Statement, values: unknown, client?: unknown): Promise<any[]> =>
      this.#ask(statement.name, () => execute(statement.name, values), client as Session | undefined)
    return {
      settings,
      clock: this.clock,
      // It never goes back.
      timeline: {
        current: sharedController().signal,
        onLoss: () => () => {},
        onEmptied() {},
        position: Number.MAX_SAFE_INTEGER,
        saw() {},
        check: async () => {},
      },
      query,
      discard: () => {},
      cut: async () => {},
      page: async (statement, values, maxBytes, client) => {
        const answer = new BoundedRows<any>(maxBytes)
        answer.addAll(await query(statement, values, client))
        return answer
      },
      withClient: (use) => use({ waiting: [], busy: false, broken: false } as never),
      translate: (error) => error,
    }
  }

  #subscriber(events: SubscriberEvents): ReturnType<Connect> {
    const listener = { events, channels: new Set<string>(), pending: [] }
    const mine = () => {
      if (this.#listener !== listener) throw lost()
    }
    return {
      connect: () =>
        this.#ask(this.#connected ? 'connect again' : 'connect', () => {
          this.#connected = true
          this.#listener = listener
        }),
      listenTo: (channel) =>
        this.#ask(`listen ${channel.slice(0, 8)}`, () => {
          mine()
          listener.channels.add(channel)
        }),
      unlisten: (channel) =>
        this.#ask(`unlisten ${channel.slice(0, 8)}`, () => {
          mine()
          listener.channels.delete(channel)
        }),
      notify: (channel) =>
        this.#ask('probe', () => {
          mine()
          this.notify(channel, '')
        }),
      close: async () => {
        if (this.#listener === listener) this.#listener = undefined
      },
    }
  }
}
