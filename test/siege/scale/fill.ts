import type pg from 'pg'

/** How much there is in a store. */
export interface Size {
  readonly events: number
  readonly categories: number
  readonly streams: number
  /** Of 8 partitions each. */
  readonly subscriptions: number
  /** Parked streams of the subscription `s1`. */
  readonly parked: number
  /** Events of the longest stream, `long` in the category `long`; it is parked for `s2` from its first event on. */
  readonly long: number
}

/** Of 3,300,000 events the whole; in proportion for less. */
export function sizeOf(events: number): Size {
  const share = (whole: number, least: number) => Math.max(least, Math.round((whole * events) / 3_300_000))
  return {
    events,
    categories: share(20_000, 20),
    streams: share(500_000, 500),
    subscriptions: share(500, events < 100_000 ? 5 : 500),
    parked: share(10_000, events < 100_000 ? 10 : 2_000),
    long: share(300_000, 100),
  }
}

const CHUNK = 100_000

/**
 * Fills an empty store by plain SQL. Event n belongs to stream `s<n mod streams>`, and that to category
 * `c<stream mod categories>`; the long stream comes last. One event in 50,000 is of the type `Rare`.
 */
export async function fill(sql: pg.Pool, schema: string, size: Size): Promise<void> {
  const { events, categories, streams, long } = size
  const { rows: triggers } = await sql.query(
    'select tgname as name from pg_trigger where tgrelid = $1::regclass and not tgisinternal',
    [`${schema}.events`],
  )
  await sql.query(`alter table ${schema}.events disable trigger user`) // they check each row, for minutes
  const spread = events - long
  for (let from = 0; from < events; from += CHUNK) {
    await sql.query(
      `insert into ${schema}.events (version, category, stream_id, type, data)
       select case when n < $3 then n / $4 else n - $3 end,
              case when n < $3 then 'c' || n % $4 % $5 else 'long' end,
              case when n < $3 then 's' || n % $4 else 'long' end,
              case when n % 50000 = 7777 then 'Rare' else 'Type' || n % 20 end,
              json_build_object('number', n, 'text', repeat('x', 80))
       from generate_series($1::int, $2::int) n`,
      [from, Math.min(from + CHUNK, events) - 1, spread, streams, categories],
    )
  }
  for (const { name } of triggers)
    await sql.query(`alter table ${schema}.events enable always trigger ${name}`)
  await subscribe(sql, schema, size)
  await sql.query('vacuum analyze')
}

/** Subscriptions to all, to one category, and to 20; a third has handled nothing, a third the half, a third all. */
async function subscribe(
  sql: pg.Pool,
  schema: string,
  { subscriptions, parked, categories }: Size,
): Promise<void> {
  await sql.query(
    `insert into ${schema}.subscriptions (name, categories, types, partitions)
     select 's' || i,
            case when i % 10 in (0, 1, 2) then null
                 when i % 10 = 9 then (select array_agg(c order by c) from unnest(array(
                   select distinct 'c' || (i * 20 + j) % $2 from generate_series(0, 19) j)) as c)
                 else array['c' || i % $2] end,
            case when i % 7 = 3 then array['Rare'] end, 8
     from generate_series(0, $1::int - 1) i`,
    [subscriptions, categories],
  )
  await sql.query(
    `insert into ${schema}.checkpoints (subscription, partition, position)
     select name, n, (select last_value from ${schema}.events_position_seq) * (substr(name, 2)::int % 3) / 2
     from ${schema}.subscriptions, generate_series(0, 7) n`,
  )
  await sql.query(
    `insert into ${schema}.parked_events (subscription, category, stream_id, position, attempts, error)
     select 's1', category, stream_id, position, 10, 'Error: it failed'
     from ${schema}.events where category <> 'long' and version = 0 order by position limit $1`,
    [parked],
  )
  await sql.query(
    `insert into ${schema}.parked_events (subscription, category, stream_id, position, attempts, error)
     select 's2', category, stream_id, position, 10, 'Error: it failed'
     from ${schema}.events where category = 'long' and version = 0`,
  )
}
