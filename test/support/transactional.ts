import type pg from 'pg'
import type { Meow, ProcessOptions, RecordedEvent, SubscriptionOptions, Worker } from '../../src/index.ts'
import { named } from './named.ts'
import { ownSubscription, soon } from './own-subscription.ts'
import { listening } from './status.ts'
import { openStore, pgClient, storeSchema, uniqueName } from './store.ts'
import { until } from './until.ts'

/** What a handler does in the transaction of its event. */
export type InTransaction = (
  event: RecordedEvent,
  context: { attempt: number; signal: AbortSignal; client: pg.ClientBase },
) => unknown

/** Opens a store that listens, and a connection. `given` makes a subscription whose workers are transactional. */
export async function openTransactional() {
  const meow = await openStore({ pollIntervalMs: 60_000 })
  await listening(meow)
  const sql = await pgClient()
  const given = (options?: Partial<SubscriptionOptions>) => transactionalSubscription(meow, sql, options)
  return { meow, sql, given }
}

/** A subscription that is processed with `transactional`, and a table for what its handler writes. */
export async function transactionalSubscription(
  meow: Meow,
  sql: pg.Client,
  options: Partial<SubscriptionOptions> = {},
) {
  const own = ownSubscription(meow, options)
  const table = `${storeSchema}.${uniqueName('effects')}`
  await sql.query(
    `create table ${table} (seq serial, event text, position bigint, tx text default pg_current_xact_id()::text)`,
  )
  const write = (event: RecordedEvent, client: pg.ClientBase) =>
    client.query(`insert into ${table} (event, position) values ($1, $2)`, [named(event), event.position])
  const process = (handler: InTransaction, processing: ProcessOptions = {}, store = meow): Worker =>
    own.subscribe(store).process(handler, { retry: soon, outage: false, ...processing, transactional: true })
  const effects = async (): Promise<{ event: string; position: number; tx: string }[]> =>
    (await sql.query(`select event, position, tx from ${table} order by seq`)).rows.map((row) => ({
      ...row,
      position: Number(row.position),
    }))
  /** The events whose effects are committed, in the order of the effects. */
  const written = async () => (await effects()).map(({ event }) => event)
  const hasWritten = (count: number) =>
    until(async () => (await effects()).length >= count, { what: `${count} effects` })
  /** What is parked; nothing if the subscription does not exist yet. */
  const parked = () => meow.parked(own.name).catch(() => [])
  return { ...own, table, write, process, effects, written, hasWritten, parked }
}
