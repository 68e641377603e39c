import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { until } from './until.ts'

/** How many processes of which kind, and what they share. */
export interface FleetOptions {
  url: string
  schema: string
  /** Of the subscription, to every event. */
  name: string
  partitions: number
  categories: number
  /** In each category. */
  streams: number
  leaseMs: number
  /** Of each process. */
  maxConnections: number
  /** Of a writer, between two events. */
  pauseMs: number
  transactional?: boolean
}

export interface Begun {
  readonly position: number
  readonly stream: string
  readonly version: number
  /** µs of a clock that all processes share. */
  readonly tick: number
  readonly pid: number
}

export interface Ship {
  readonly pid: number
  readonly begun: Begun[]
  kill(): Promise<unknown>
  /** Closes it; rejects if it does not end by itself and without an error. */
  close(): Promise<void>
}

/** Many processes of one store, observed from outside. Needs `npm run build` first. */
export class Fleet {
  readonly executors: Ship[] = []
  readonly writers: Ship[] = []
  /** The events that executors began, also of those that have ended. */
  readonly begun: Begun[] = []
  readonly #options: FleetOptions
  readonly #sql: pg.Client
  readonly #running = new Set<Ship>()
  readonly #killed = new Set<number>()

  constructor(options: FleetOptions, sql: pg.Client) {
    this.#options = options
    this.#sql = sql
  }

  /** Resolves once all take part. */
  async start(role: 'executor' | 'writer', count: number): Promise<void> {
    const ships = await Promise.all(Array.from({ length: count }, () => this.#launch(role)))
    this[`${role}s`].push(...ships)
  }

  /** Some executors end, by SIGKILL or by themselves. */
  async end(how: 'kill' | 'close', count: number): Promise<void> {
    const ending = this.executors.splice(0, count)
    if (how === 'kill') for (const { pid } of ending) this.#killed.add(pid)
    await Promise.all(ending.map((ship) => ship[how]()))
  }

  async silence(): Promise<void> {
    await Promise.all(this.writers.splice(0).map((ship) => ship.close()))
  }

  /** Ends whatever still runs. */
  async sink(): Promise<void> {
    await Promise.all([...this.#running].map((ship) => ship.kill()))
  }

  /** Waits until the shares of all executors differ by at most one. Returns how long that took, in ms. */
  async even(timeoutMs = 60_000): Promise<number> {
    const { partitions, name, schema } = this.#options
    const count = this.executors.length
    const wanted = Array.from({ length: count }, (_, n) => Math.floor((partitions + n) / count))
    const began = performance.now()
    let now: number[] = []
    await until(
      async () => {
        const { rows } = await this.#sql.query(
          `select count(*)::int as share from ${schema}.checkpoints
           where subscription = $1 and owner is not null and lease_until > clock_timestamp() group by owner order by 1`,
          [name],
        )
        now = rows.map(({ share }) => share)
        await delay(40) // the machine has enough to do
        return `${now}` === `${wanted.filter((share) => share > 0)}`
      },
      { timeoutMs, what: `shares of ${wanted}` },
    ).catch((error) => {
      throw new Error(`${error.message}; they are ${now}`)
    })
    return Math.round(performance.now() - began)
  }

  /** Until every event is handled. */
  async handled(timeoutMs = 60_000): Promise<void> {
    const { schema, name } = this.#options
    await until(
      async () => {
        const { rows } = await this.#sql.query(
          `select min(position) >= (select max(position) from ${schema}.events) as all from ${schema}.checkpoints where subscription = $1`,
          [name],
        )
        await delay(40)
        return rows[0].all
      },
      { timeoutMs, what: 'all events to be handled' },
    )
    const { rows } = await this.#sql.query(`select position from ${schema}.events`)
    await until(
      () => {
        const seen = new Set(this.begun.map(({ position }) => position))
        return rows.every(({ position }) => seen.has(Number(position)))
      },
      { timeoutMs, what: 'all that was handled to be heard of' },
    )
  }

  /**
   * Events that came before an earlier one of their stream, by their first deliveries; how many came again after one that was
   * killed had begun them, and how many otherwise.
   */
  check(): { events: number; disorder: string[]; afterKill: number; twice: number } {
    const first = new Map<number, Begun>()
    let [afterKill, twice] = [0, 0]
    for (const one of this.begun.toSorted((a, b) => a.tick - b.tick)) {
      const before = first.get(one.position)
      if (!before) first.set(one.position, one)
      else if (this.#killed.has(before.pid)) afterKill++
      else twice++
    }
    const next = new Map<string, number>()
    const disorder = []
    for (const { stream, version, position } of first.values()) {
      const expected = next.get(stream) ?? 0
      if (version !== expected) disorder.push(`${stream} ${version} at ${position}, not ${expected}`)
      next.set(stream, version + 1)
    }
    return { events: first.size, disorder, afterKill, twice }
  }

  /** Connections of the whole fleet, pools' and listeners'. */
  async connections(): Promise<{ pools: number; listeners: number }> {
    const { rows } = await this.#sql.query(
      `select count(*) filter (where application_name = $1)::int as pools,
              count(*) filter (where application_name = $2)::int as listeners
       from pg_stat_activity`,
      [`meowmx ${this.#options.schema}`, `meowmx listener ${this.#options.schema}`],
    )
    return rows[0]
  }

  async #launch(role: string): Promise<Ship> {
    const file = new URL('fleet-child.mjs', import.meta.url).pathname
    const child = spawn(process.execPath, [file, JSON.stringify({ role, ...this.#options })], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const pid = child.pid!
    const exited = once(child, 'close').then(([code, signal]) => signal ?? code)
    const begun: Begun[] = []
    const ship: Ship = {
      pid,
      begun,
      kill: () => {
        child.kill('SIGKILL')
        return exited
      },
      close: async () => {
        child.stdin.end()
        const how = await exited
        if (how !== 0) throw new Error(`${role} ${pid} ended with ${how}`)
      },
    }
    this.#running.add(ship)
    exited.then(() => this.#running.delete(ship))
    let ready = false
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') ready = true
      else {
        const [position, stream, version, tick] = line.split(' ')
        const one = {
          position: Number(position),
          stream: stream!,
          version: Number(version),
          tick: Number(tick),
          pid,
        }
        begun.push(one)
        this.begun.push(one)
      }
    })
    exited.then((how) => {
      if (!ready) console.error(`${role} ${pid} ended with ${how} before it was ready`)
    })
    await until(() => ready, { timeoutMs: 300_000, what: `a process, ${role}` })
    return ship
  }
}
