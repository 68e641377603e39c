// Projections in tests: one with a name and categories of its own, whose schemas are dropped at the end.
import type { ProjectionDefinition, RecordedEvent } from '../../src/index.ts'
import { defineProjection } from '../../src/index.ts'
import { pgClient, uniqueName } from './store.ts'

/** The schemas that a test has used, to be dropped. */
const used = new Set<string>()

/** A schema for views, which is dropped with everything by `dropSchemas`. */
export async function viewSchema(): Promise<string> {
  const name = uniqueName('views')
  const sql = await pgClient()
  await sql.query(`create schema ${name}`)
  await sql.end()
  used.add(name)
  return name
}

/** Drops the schemas of views, and those of all versions of these stores. Call it before `closeAll`. */
export async function dropSchemas(...stores: string[]): Promise<void> {
  const sql = await pgClient()
  const { rows } = await sql.query(
    `select nspname as name from pg_namespace
     where nspname = any ($1) or exists (select from unnest($2::text[]) s where starts_with(nspname, s || '_'))`,
    [[...used], stores],
  )
  for (const { name } of rows) await sql.query(`drop schema if exists "${name}" cascade`)
  await sql.end()
  used.clear()
}

/** Orders by customer: the streams are orders, an event has a customer and an amount. */
export function totals(
  options: Pick<ProjectionDefinition, 'name' | 'version' | 'category'> & Partial<ProjectionDefinition>,
): ProjectionDefinition {
  return defineProjection({
    setup: 'create table totals (customer text primary key, orders int not null, amount bigint not null)',
    handle: (events, { client }) =>
      client.query(
        `insert into totals as t (customer, orders, amount) select customer, count(*), sum(amount) from unnest($1::text[], $2::bigint[]) as e (customer, amount)
         group by customer order by customer
         on conflict (customer) do update set orders = t.orders + excluded.orders, amount = t.amount + excluded.amount`,
        columnsOf(events),
      ),
    retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 5 },
    ...options,
  })
}

export const columnsOf = (events: readonly RecordedEvent[]): [string[], number[]] => [
  events.map(({ data }) => (data as Order).customer),
  events.map(({ data }) => (data as Order).amount),
]

export interface Order {
  customer: string
  amount: number
}
