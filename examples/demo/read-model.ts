import { defineProjection, type ProjectionContext, type RecordedEvent } from 'meowmx'
import pg from 'pg'
import type { Departures } from './flights.ts'

export interface Figures {
  appended: number
  handled: number
}

export const VERSIONS = [1, 2] as const

/** Tells of each batch when it is written, before it is committed. */
type OnWritten = (events: readonly RecordedEvent[], context: ProjectionContext) => unknown

/**
 * The read model: departures and delays of each airport, in a table. Version 2 also has the longest delay. The rows and the
 * checkpoint are written in one transaction, so each flight counts once.
 */
export const departures = (schema: string, version: number, onWritten: OnWritten = () => {}) =>
  defineProjection({
    name: 'departures',
    version,
    category: 'airport',
    expose: schema,
    leaseMs: 2_000,
    setup: `create table departures (
      airport text primary key, departures int not null, delay int not null${version > 1 ? ', longest int not null' : ''})`,
    handle: async (events, context) => {
      // One statement a batch, one row an airport.
      await context.client.query(
        `insert into departures as known
         select airport, count(*), sum(delay)${version > 1 ? ', max(delay)' : ''}
         from unnest($1::text[], $2::int[]) as flight (airport, delay) group by airport order by airport
         on conflict (airport) do update set
           departures = known.departures + excluded.departures, delay = known.delay + excluded.delay
           ${version > 1 ? ', longest = greatest(known.longest, excluded.longest)' : ''}`,
        [events.map(({ streamId }) => streamId), events.map(({ data }) => data.delay)],
      )
      await onWritten(events, context)
    },
  })

/** What reads it: the view of the live version, whichever it is. */
export class Reader {
  readonly #pool: pg.Pool
  /** Of the store; the view stands in it, too. */
  readonly schema: string

  constructor(connectionString: string, schema: string) {
    this.#pool = new pg.Pool({ connectionString, max: 1 })
    this.#pool.on('error', () => {}) // idle and cut off: the next query connects anew, or says why not
    this.schema = schema
  }

  /** Of version 2, which is live at the end. */
  async rows(): Promise<Departures[]> {
    const sql = `select airport, departures, delay, longest from ${this.schema}.departures order by departures desc, airport`
    return (await this.#pool.query<Departures>(sql)).rows
  }

  /** Both from one snapshot, so that appended - handled is the lag at one moment. */
  async figures(): Promise<Figures> {
    const { rows } = await this.#pool.query<Figures>(`
      select (select count(*) from ${this.schema}.events)::int as appended,
             (select coalesce(sum(departures), 0) from ${this.schema}.departures)::int as handled`)
    return rows[0]!
  }

  /** Tries again if a statement of a process that is gone was still under way, and the two locked each other out. */
  async drop(tries = 3): Promise<void> {
    const schemas = [...VERSIONS.map((version) => `${this.schema}_departures_v${version}`), this.schema]
    const sql = `set client_min_messages = warning; drop schema if exists ${schemas.join(', ')} cascade`
    await this.#pool.query(sql).catch((error) => {
      if (tries === 1) throw error
      return this.drop(tries - 1)
    })
  }

  close(): Promise<void> {
    return this.#pool.end()
  }
}
