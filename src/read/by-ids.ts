import type { SqlClient } from '../core/sql-client.ts'
import type { Queries } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import type { RecordedEvent } from '../events/event.ts'
import { toEvent } from '../events/event.ts'

/** Reads the events with these ids, as they are stored, in any order. */
export type ByIds = (ids: readonly string[], client?: SqlClient) => Promise<RecordedEvent[]>

/** `ByIds` of a store in PostgreSQL. */
export const byIdsIn =
  (db: Queries): ByIds =>
  async (ids, client) =>
    (await db.query(statements.eventsById, { ids }, client)).map((row) => toEvent(row))
