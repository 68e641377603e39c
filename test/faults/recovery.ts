import { setTimeout as delay } from 'node:timers/promises'
import type { World } from './world.ts'

/** How long it took, after the end of a fault, until all events below the horizon at that time were handled; null: they never were. */
export interface Recovery {
  readonly fault: string
  ms: number | null
}

/** Measures recoveries, by the checkpoints; other faults may be under way meanwhile. */
export class Recoveries {
  readonly all: Recovery[] = []
  readonly #world: World
  readonly #subscription: { categories: readonly string[]; partitions: number }
  readonly #pending = new Map<Recovery, { since: number; lasts?: Map<number, number> }>()
  readonly #running: Promise<void>
  #stopped = false

  constructor(world: World, subscription: { categories: readonly string[]; partitions: number }) {
    this.#world = world
    this.#subscription = subscription
    this.#running = this.#run()
  }

  /** The fault is over. */
  healed(fault: string): void {
    const recovery: Recovery = { fault, ms: null }
    this.all.push(recovery)
    this.#pending.set(recovery, { since: performance.now() })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    for (; !this.#stopped || this.#pending.size > 0; await delay(50)) {
      const last = this.#stopped // one more look
      // Without a server nothing has recovered.
      if (this.#pending.size > 0) await this.#look().catch(() => {})
      if (last) return
    }
  }

  async #look(): Promise<void> {
    const { sql, schema } = this.#world
    for (const pending of this.#pending.values()) pending.lasts ??= await this.#settled()
    const { rows } = await sql.query(`select partition, position::float8 from ${schema}.checkpoints`)
    const reached = new Map<number, number>(rows.map(({ partition, position }) => [partition, position]))
    for (const [recovery, { since, lasts }] of this.#pending) {
      if (![...lasts!].every(([partition, position]) => reached.get(partition)! >= position)) continue
      recovery.ms = Math.round(performance.now() - since)
      this.#pending.delete(recovery)
    }
  }

  /** The last position of each partition that is settled now. */
  async #settled(): Promise<Map<number, number>> {
    const { sql, schema } = this.#world
    const { categories, partitions } = this.#subscription
    const { rows } = await sql.query(
      `select min(${schema}.horizon(c)) as horizon from unnest($1::text[]) as c`,
      [categories],
    )
    const { rows: lasts } = await sql.query(
      `select (${schema}.stream_hash(category, stream_id) % $2::int)::int as partition, max(position)::float8 as last
       from ${schema}.events where category = any ($1) and position <= $3 group by 1`,
      [categories, partitions, rows[0].horizon],
    )
    return new Map(lasts.map(({ partition, last }) => [partition, last]))
  }
}
