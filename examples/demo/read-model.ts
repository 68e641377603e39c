import type { RecordedEvent } from 'meowmx'
import pg from 'pg'
import type { Departures } from './flights.ts'

export interface Figures {
  appended: number
  handled: number
  /** Deliveries of events that were in the read model already. */
  repeats: number
}

/**
 * The read model: departures and delays of each airport, in a table.
 *
 * A subscription delivers at least once, so writing the same event again must change nothing. Each row knows the version
 * of the last event that it contains, and takes only later ones. PostgreSQL compares under the lock of the row, so this
 * holds even where an executor that was presumed dead writes at the same time as the one that took over.
 */
export class ReadModel {
  readonly #pool: pg.Pool
  readonly #schema: string
  readonly #table: string

  constructor(connectionString: string, schema: string) {
    this.#pool = new pg.Pool({ connectionString, max: 1 })
    this.#pool.on('error', () => {}) // idle and cut off: the next query connects anew, or says why not
    this.#schema = pg.escapeIdentifier(schema)
    this.#table = `${this.#schema}.departures`
  }

  async create(): Promise<void> {
    await this.#pool.query(`create table ${this.#table} (
      airport text primary key, departures int not null, delay int not null, last_version int not null, repeats int not null)`)
  }

  /** Add a batch of events by one statement, one row an airport. Versions of a stream are dense and come in order. */
  async add(events: readonly RecordedEvent[]): Promise<void> {
    const columns = [
      events.map((event) => event.streamId),
      events.map((event) => event.version),
      events.map((event) => event.data.delay),
    ]
    await this.#pool.query(
      `with flight as (
         select * from unnest($1::text[], $2::int[], $3::int[]) as f (airport, version, delay)
       )
       insert into ${this.#table} as known
       select airport, count(*), sum(delay), max(version), 0 from flight group by airport order by airport
       on conflict (airport) do update set (departures, delay, last_version, repeats) = (
         select known.departures + count(*) filter (where version > known.last_version),
                known.delay + coalesce(sum(delay) filter (where version > known.last_version), 0),
                greatest(known.last_version, max(version)),
                known.repeats + count(*) filter (where version <= known.last_version)
         from flight where airport = known.airport
       )`,
      columns,
    )
  }

  async rows(): Promise<Departures[]> {
    const sql = `select airport, departures, delay from ${this.#table} order by departures desc, airport`
    return (await this.#pool.query<Departures>(sql)).rows
  }

  /** All from one snapshot, so that appended - handled is the lag at one moment. */
  async figures(): Promise<Figures> {
    const { rows } = await this.#pool.query<Figures>(`
      select (select count(*) from ${this.#schema}.events)::int as appended,
             coalesce(sum(departures), 0)::int as handled, coalesce(sum(repeats), 0)::int as repeats
      from ${this.#table}`)
    return rows[0]!
  }

  /** Tries again where a statement of a process that is gone was still under way, and the two locked each other out. */
  async drop(tries = 3): Promise<void> {
    const sql = `set client_min_messages = warning; drop schema if exists ${this.#schema} cascade`
    await this.#pool.query(sql).catch((error) => {
      if (tries === 1) throw error
      return this.drop(tries - 1)
    })
  }

  close(): Promise<void> {
    return this.#pool.end()
  }
}
