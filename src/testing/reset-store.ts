// `resetStore` empties a store between tests; `markAsTestStore` allows it.

import { ValidationError } from '../core/errors.ts'
import type { Database } from '../database/database.ts'
import { retryDeadlocks } from '../database/retry-deadlocks.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { Statement } from '../database/statement.ts'
import { statements } from '../database/statements.ts'
import { Meow } from '../meow.ts'

/**
 * Marks a store as a test store, so that `resetStore` may empty it. Call it once after `migrate()`, as the role that owns the
 * schema; a second call does nothing. The mark is a line in the comment on the schema.
 *
 * Only an empty store can be marked. So a wrong connection string makes your test setup fail instead of emptying a real store.
 *
 * @throws ValidationError if the store is not marked and has events or subscriptions, or is not a store in PostgreSQL
 * @throws SchemaError if the schema is not migrated
 * @example
 * const meow = await connect({ connectionString: process.env.TEST_DATABASE_URL })
 * await meow.migrate()
 * await markAsTestStore(meow)
 */
export function markAsTestStore(meow: Meow): Promise<void> {
  const remedy =
    'mark it right after the first migrate(); if the store is for tests, drop the schema first, otherwise use another schema'
  return run(meow, statements.markTestStore, `has events or subscriptions: ${remedy}`)
}

/**
 * Empties a store that is marked as a test store, in one transaction: its events, subscriptions, parked events and snapshots.
 * Your own tables, such as read models, stay as they are. It waits for open appends, and for transactional handlers that run.
 *
 * Positions continue and do not start at 1 again: no position is used twice, so this object and other processes can stay
 * connected. `events()` and `iterate()` continue with the next append. Workers end with SubscriptionNotFoundError, and
 * `process()` creates a new subscription with the same name. `watch` keeps its state until the next event of the stream.
 *
 * @throws ValidationError if the store is not marked (`markAsTestStore`), or is not a store in PostgreSQL: instead of emptying a
 *   store in memory, make a new one
 * @throws TimeoutError if an append stays open longer than `queryTimeoutMs`; nothing is emptied
 * @example
 * beforeEach(() => resetStore(meow))
 */
export function resetStore(meow: Meow): Promise<void> {
  const remedy = 'call await markAsTestStore(meow) once, right after migrate(), while the store is empty'
  return run(meow, statements.resetStore, `is not marked as a test store, so nothing was changed: ${remedy}`)
}

async function run(meow: Meow, statement: Statement<''>, refusal: string): Promise<void> {
  if (!(meow instanceof Meow))
    throw new ValidationError(
      'meow',
      'must be a store that connect() opened; instead of emptying a store in memory, make a new one',
      meow,
    )
  await meow.use((db) =>
    retryDeadlocks(() => execute(db, statement)).catch((error) => {
      if (error.code !== SQLSTATE.notTestStore) throw error
      throw new ValidationError('meow', refusal, { schema: db.schema }, error)
    }),
  )
}

/** Runs the query, then checks whether the events that this process has seen still exist. */
function execute(db: Database, statement: Statement<''>): Promise<void> {
  return db.withClient(async (client) => {
    await db.query(statement, {}, client)
    await db.timeline.check(client)
  })
}
