import { sharedController } from '../../src/core/abort.ts'
import type { Clock } from '../../src/core/clock.ts'
import { parse } from '../../src/core/validate.ts'
import { BoundedRows } from '../../src/database/bounded-rows.ts'
import { connectOptions } from '../../src/database/connect-options.ts'
import type { Queries, Row, Statement } from '../../src/database/database.ts'
import type { Connect, SubscriberEvents } from '../../src/notify/subscriber.ts'
import type { SimulatedDatabase } from './database.ts'
import { BELL } from './database.ts'
import type { Timers } from './timers.ts'

/** Something that may happen next, on a machine's network or inside it. */
export interface Task {
  /** Whose; null: the server's. */
  readonly machine: Machine | null
  readonly what: string
  happen(luck: number): void
  /** The connection breaks instead; or, of a statement that arrives, the server refuses it. */
  fail?(refused?: boolean): void
}

export interface World {
  readonly database: SimulatedDatabase
  readonly timers: Timers
  readonly tasks: Task[]
  readonly random: () => number
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
 * One process: its clocks, its connections, what it listens to. Each statement arrives, happens and is answered as tasks of
 * their own, between which anything may happen.
 */
export class Machine {
  readonly name: string
  frozen = false
  dead = false
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
    const parsed = parse(connectOptions, { pollIntervalMs, listen, logger: false }, 'options')
    // Events are small here: so few bytes that they are too many are less than may be asked for.
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

  /** The server notifies. `dropped`: and nobody hears of it. */
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
  deafen(): void {
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
    const execute = (name: string, values: any[]): Row[] => {
      switch (name) {
        case 'scope':
          return database.scope(values[0])
        case 'horizons':
          return database.horizons(values[0])
        case 'page':
          return database.page(values[0], values[1], values[2], values[3])
        case 'bounded page': // its bound, which is last, is kept by the answer
          return database.page(values[0], values[1], values[2], values.slice(3, -1)[0])
        case 'wake_channel':
          return [[BELL]]
        case 'subscribe':
          return [['revision']]
        case 'claim':
          return database.claim(values[1], values[2], values[3], values[4])
        case 'advance':
          return database.advance(values[1], values[2], values[3], values[4])
        case 'release':
          return database.release(values[1], values[2], values[3], values[4], values[5])
        case 'park':
          return database.park(values[1], values[2], values[3], values[4], values[5], values[6], values[8])
        case 'parked_streams':
          return database.parkedStreams(values[1])
        case 'replayed_events':
          return database.replayed(values[1], values[2], values[3], values[4])
        case 'replayed':
          return database.moveAside(values[1], values[2], values[4], values[5])
        case 'publisher':
          return database.quietLook(values[0])
        case 'claim_publishing':
          return database.quietClaim(values[0])
        case 'renew_publishing':
          return database.quietRenew(values[0], values[1], values[2])
        case 'publish':
          return database.quietRing(values[0], values[1], Number(values[2]), values[3])
        case 'end_publishing':
          return database.quietClose(values[0])
        case 'lag':
          return [['0']] // of status$ alone, which nobody looks at here
        default:
          throw new Error(`the simulated database does not know the statement ${name}`)
      }
    }
    const query = (statement: Statement, values: unknown[] = [], client?: unknown): Promise<Row[]> =>
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
      file: (name) => ({ name, text: '' }),
      statement: (text) => ({ name: text.includes('sum(') ? 'bounded page' : 'page', text }),
      query,
      discard: () => {},
      cut: async () => {},
      page: async (statement, values, maxBytes, client) => {
        const answer = new BoundedRows(maxBytes)
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
        this.#ask('echo', () => {
          mine()
          this.notify(channel, '')
        }),
      close: async () => {
        if (this.#listener === listener) this.#listener = undefined
      },
    }
  }
}
