// Projections in tests: each has a name, a category and a schema for its views of its own.
import type { ConnectOptions, NewEvent, ProjectionDefinition, RecordedEvent } from '../../src/index.ts'
import { defineProjection } from '../../src/index.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './store.ts'
import { until } from './until.ts'

/** Opens a store and a connection. Call `end` after the tests: it drops what `given` has made. */
export async function openProjections(options: ConnectOptions = {}) {
  const meow = await openStore({ pollIntervalMs: 100, ...options })
  const sql = await pgClient()

  const given = async () => {
    const [name, category, expose] = [uniqueName('p').slice(0, 10), uniqueName('order'), await viewSchema()]
    const define = (version: number, more: Partial<ProjectionDefinition> = {}) =>
      totals({ name, category, expose, version, ...more })
    const append = async (streamId: string, ...events: NewEvent[]) =>
      (await meow.append({ category, streamId }, events)).position
    /** The versions of the projection, with their states. */
    const states = async () =>
      Object.fromEntries(
        (await meow.projections())
          .filter((one) => one.name === name)
          .map(({ version, state }) => [version, state]),
      )
    const isLive = async (version: number) => (await states())[version] === 'live'
    const live = (version: number) => until(() => isLive(version), { what: `version ${version}` })
    const rows = async (table = 'totals') =>
      (await sql.query(`select * from ${expose}.${table} order by 1`)).rows
    return { name, category, expose, define, append, states, isLive, live, rows }
  }

  const end = async () => {
    await meow.close()
    await dropSchemas(storeSchema)
    await closeAll()
  }
  return { meow, sql, given, end }
}

export const order = (customer: string, amount: number): NewEvent => ({
  type: 'Ordered',
  data: { customer, amount },
})

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
