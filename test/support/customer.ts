// What the tests of erasing share: streams of customers, and a decider whose snapshots hold their names.
import type pg from 'pg'
import type { RecordedEvent, StreamRef } from '../../src/index.ts'
import { storeSchema, uniqueName } from './store.ts'

export const customer = (streamId = '42', category = uniqueName('customer')): StreamRef => ({
  category,
  streamId,
})
export const named = (name: unknown = 'Ada') => ({ type: 'Named', data: { name }, metadata: { ip: '::1' } })

/** What is left of events that are erased. */
export const emptied = (events: readonly RecordedEvent[]): RecordedEvent[] =>
  events.map((event) => ({ ...event, data: {}, metadata: { erased: true } }))

/** A decider without its category; its state are all names, and it saves a snapshot of that for each event. */
export const joined = {
  initial: '',
  evolve: (state: string, { data }: RecordedEvent) => `${state} ${data.name ?? '-'}`,
  decide: (name: string) => named(name),
  snapshotEvery: 1,
}

/** The states of all snapshots of a category. */
export async function snapshotsOf(sql: pg.Client, category: string): Promise<unknown[]> {
  const { rows } = await sql.query(`select state from ${storeSchema}.snapshots where category = $1`, [
    category,
  ])
  return rows.map(({ state }) => state)
}
