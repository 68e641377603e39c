// `given` for projections: the tables after some events, on a real server, in a transaction that is rolled back.
import pg from 'pg'
import { z } from 'zod'
import type { Request } from '../append/request.ts'
import { encodeRequest } from '../append/request.ts'
import { ValidationError } from '../core/errors.ts'
import { textSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { NewEvent, RecordedEvent, StreamRef } from '../events/event.ts'
import { modelOf } from '../events/event.ts'
import { streamOf } from '../models/aggregate.ts'
import type { Checked, ProjectionDefinition } from '../projections/definition.ts'
import { checkDefinition } from '../projections/definition.ts'
import { assertSame, failure } from './expect.ts'
import { MemoryLog } from './log.ts'
import { checkedBy, StoredEvent } from './scenario.ts'

/** Events of one stream, to be given to a projection. */
export interface StreamHistory {
  stream: StreamRef
  events: NewEvent | StoredEvent | readonly (NewEvent | StoredEvent)[]
}

/** The events that a projection gets, in order: of named streams, or plain ones, which are in the stream `given` of its category. */
export type ProjectionHistory = readonly (NewEvent | StoredEvent | StreamHistory)[]

/** Options of `given` for a projection. */
export interface GivenProjectionOptions {
  /** The server to use; nothing stays in its database. Default: a throw-away one of `meowmx/embedded`, one for the process. */
  connectionString?: string | undefined
  /**
   * Whether to handle each event a second time, which must change nothing. Default true. A handler that counts fails this, but
   * need not pass it: a store handles each event once. Then set it to false.
   */
  twice?: boolean | undefined
}

const optionsSchema = z.strictObject({
  connectionString: textSchema.optional(),
  twice: z.boolean().default(true),
})

/** The schema of the tables. It exists only inside the transaction. */
const SCHEMA = 'meowmx_given'
const RECORDED_AT = new Date(0)

let embedded: Promise<{ connectionString: string }> | undefined

/** The tables of a projection after some events. Each check runs in a transaction of its own. */
export class GivenProjection {
  readonly #definition: Checked
  readonly #events: readonly RecordedEvent[]
  readonly #options: z.output<typeof optionsSchema>
  readonly #label: string

  /** @internal Use `given`. */
  constructor(
    definition: ProjectionDefinition<any>,
    history: ProjectionHistory,
    options: GivenProjectionOptions,
  ) {
    this.#definition = checkDefinition(definition)
    this.#options = parse(optionsSchema, options, 'options')
    this.#events = this.#record(history)
    const { length } = this.#events
    this.#label = `given ${length} event${length === 1 ? '' : 's'} for projection "${this.#definition.name}"`
  }

  /**
   * Checks what a query returns after the events: these rows, in this order. Unless `twice` is false, it then handles each event
   * twice, and checks that all tables are the same.
   *
   * @param query SQL; the tables need no schema
   * @throws AssertionError if the rows differ, or the tables after each event was handled twice
   * @throws what `setup`, `handle` and the query throw
   */
  async thenRows(query: string, expected: readonly object[]): Promise<void> {
    const text = parse(textSchema, query, 'query')
    const client = new pg.Client({ connectionString: this.#options.connectionString ?? (await ownServer()) })
    await client.connect()
    try {
      const once = await this.#run(client, [this.#events], text)
      assertSame(once.rows, [...expected], `${this.#label}: the rows are not as expected`, this.thenRows)
      if (!this.#options.twice) return
      const each = this.#events.flatMap((event) => [[event], [event]])
      const twice = await this.#run(client, each, text).catch((cause) => {
        const what = `${this.#label}: handling each event twice failed: ${(cause as Error)?.message}`
        throw failure(what, this.thenRows, { cause })
      })
      const what = `${this.#label}: handling each event twice gives other rows (a handler that counts needs { twice: false })`
      assertSame(twice.tables, once.tables, what, this.thenRows)
    } finally {
      await client.end()
    }
  }

  /** Handles batches of events in a transaction that is rolled back; returns what the query returns, and all tables. */
  async #run(
    client: pg.Client,
    batches: readonly RecordedEvent[][] | readonly (readonly RecordedEvent[])[],
    query: string,
  ) {
    const { setup, handle, selection } = this.#definition
    const { view } = selection
    const { signal } = new AbortController()
    await client.query(`begin; create schema ${SCHEMA}; set local search_path = ${SCHEMA}, public`)
    try {
      if (typeof setup === 'string') await client.query(setup)
      else await setup(client)
      for (const batch of batches) {
        const events = view ? batch.map(view) : [...batch]
        if (events.length > 0) await handle(events, { client, rebuilding: false, attempt: 1, signal })
      }
      await client.query('set constraints all immediate')
      const { rows } = await client.query(query)
      return { rows: rows.map((row) => ({ ...row })), tables: await tablesOf(client) }
    } finally {
      await client.query('rollback')
    }
  }

  /** The events as the handler would get them from a store, those that the projection selects. */
  #record(history: ProjectionHistory): RecordedEvent[] {
    const log = new MemoryLog()
    const { selection } = this.#definition
    for (const one of history) {
      const outcome = log.append([this.#request(one)], RECORDED_AT)[0]
      if (outcome instanceof Error) throw outcome
    }
    return log.select(selection, 0, log.head, Math.max(log.head, 1), 'first')
  }

  #request(one: ProjectionHistory[number]): Request {
    const isOfStream = typeof one === 'object' && one !== null && 'stream' in one
    const { stream, events } = isOfStream ? one : { stream: this.#ownStream(), events: one }
    const model = modelOf(stream)
    const all = [events].flat() as (NewEvent | StoredEvent)[]
    const plain = all.map((event) => (event instanceof StoredEvent ? event.event : checkedBy(model, event)))
    const { category, streamId } = stream
    const isStored = (i: number) => all[i] instanceof StoredEvent
    return encodeRequest({ category, streamId }, plain, 'any', 'given.', undefined, isStored)
  }

  #ownStream(): StreamRef {
    const categories = [this.#definition.selector.category ?? []].flat()
    if (categories.length !== 1)
      throw new ValidationError(
        'given',
        'must be a list of { stream, events } if the projection selects several categories, or all',
        undefined,
      )
    return streamOf(categories[0]!, this.#definition.selection.streamId ?? 'given')
  }
}

async function ownServer(): Promise<string> {
  embedded ??= import('../embedded/index.ts').then(({ startPostgres }) =>
    startPostgres({ settings: { fsync: false } }),
  )
  return (await embedded).connectionString
}

/** All rows of all tables, as JSON, in an order that depends only on what they are. */
async function tablesOf(client: pg.Client): Promise<Record<string, unknown[]>> {
  const { rows: names } = await client.query(
    `select quote_ident(relname) as name from pg_class where relnamespace = '${SCHEMA}'::regnamespace and relkind = 'r' order by 1`,
  )
  const tables: Record<string, unknown[]> = {}
  for (const { name } of names) {
    const { rows } = await client.query(
      `select to_jsonb(t) as row from ${SCHEMA}.${name} t order by to_jsonb(t)`,
    )
    tables[name] = rows.map(({ row }) => row)
  }
  return tables
}
