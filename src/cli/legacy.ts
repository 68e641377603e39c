// Reads the tables of the original meowmx.
import type pg from 'pg'
import { statements } from '../database/statements.ts'
import { UsageError } from './arguments.ts'

/** The tables of the original, or of the project it is based on (eugene-khyst/postgresql-event-sourcing). */
export interface LegacyTables {
  readonly schema: string
  readonly aggregates: string
  readonly events: string
  readonly subscriptions: string | undefined
  /** The text from which the ids of events are derived; it is the same each time that these tables are read. */
  readonly namespace: string
}

/** An event of these tables. */
export interface LegacyEvent {
  readonly id: string
  readonly transaction: string
  readonly aggregateId: string
  readonly aggregateType: string
  readonly version: number
  /** Its number in its aggregate: 0, 1, 2 …, without gaps. */
  readonly nth: number
  readonly type: string
  /** JSON. */
  readonly data: string
}

/** The old names and the new names of the tables. */
const NAMES = [
  { events: 'es_event', aggregates: 'es_aggregate', subscriptions: 'es_event_subscription' },
  { events: 'es_events', aggregates: 'es_aggregates', subscriptions: 'es_event_subscriptions' },
] as const

const COLUMNS = {
  events: ['id', 'transaction_id', 'aggregate_id', 'version', 'event_type', 'json_data'],
  aggregates: ['id', 'aggregate_type'],
}

export async function findLegacy(client: pg.ClientBase, schema?: string): Promise<LegacyTables> {
  const { rows } = await client.query<{ schema: string; table: string; columns: string[]; database: string }>(
    statements.legacyTables.text,
    [NAMES.flatMap((names) => Object.values(names)), schema ?? null],
  )
  const has = (schema: string, table: string, columns: readonly string[]) =>
    rows.some(
      (row) =>
        row.schema === schema && row.table === table && columns.every((one) => row.columns.includes(one)),
    )
  const found = [...new Set(rows.map((row) => row.schema))].flatMap((schema) =>
    NAMES.filter(
      ({ events, aggregates }) =>
        has(schema, events, COLUMNS.events) && has(schema, aggregates, COLUMNS.aggregates),
    ).map(
      (names): LegacyTables => ({
        schema,
        ...names,
        subscriptions: has(schema, names.subscriptions, ['subscription_name'])
          ? names.subscriptions
          : undefined,
        namespace: `${rows[0]!.database}.${schema}.${names.events}`,
      }),
    ),
  )
  const [only] = found
  if (!only)
    throw new UsageError(
      `no tables es_event and es_aggregate, nor es_events and es_aggregates${schema ? ` in schema ${schema}` : ''}: choose another database with --from <url>, or another schema with --from-schema`,
    )
  if (found.length > 1)
    throw new UsageError(
      `there are several such tables: ${found.map(({ schema, events }) => `${schema}.${events}`).join(', ')}; choose a schema with --from-schema`,
    )
  return only
}

/**
 * The original delivers in the order (transaction, id). That order can put an event before an earlier version of the same
 * aggregate (if an older transaction appended last); then it comes right after that one. All pages are of one snapshot.
 */
export async function* legacyEvents(
  client: pg.ClientBase,
  tables: LegacyTables,
  pageSize: number,
): AsyncGenerator<LegacyEvent[]> {
  const [events, aggregates] = [tables.events, tables.aggregates].map(
    (table) => `${quote(tables.schema)}.${quote(table)}`,
  )
  await client.query('begin isolation level repeatable read read only')
  await client.query(
    `declare legacy no scroll cursor for
     select e.id::text, e.tx::text as transaction, e.aggregate_id::text as "aggregateId", a.aggregate_type as "aggregateType",
            e.version, (row_number() over stream - 1)::int as nth, e.event_type as type, e.json_data::text as data
     from (
       select *, transaction_id::text::numeric as tx, case when id::text ~ '^[0-9]+$' then id::text::numeric else 0 end as n
       from ${events}
     ) as e join ${aggregates} a on a.id = e.aggregate_id
     window stream as (partition by e.aggregate_id order by e.version)
     order by max(array[e.tx, e.n]) over stream, e.aggregate_id, e.version`,
  )
  for (let size = FIRST_PAGE; ; ) {
    const { rows } = await client.query<LegacyEvent>(`fetch ${size} from legacy`)
    if (rows.length > 0) yield rows
    if (rows.length < size) break
    const bytes = rows.reduce((sum, { data }) => sum + data.length, 0)
    size = Math.max(1, Math.min(pageSize, Math.floor((PAGE_BYTES * rows.length) / bytes)))
  }
  await client.query('commit')
}

/** Small, because the size of the events is not known yet. */
const FIRST_PAGE = 10
/** The intended size of a page, if its events are as large as those of the last page. */
const PAGE_BYTES = 16_000_000

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`
