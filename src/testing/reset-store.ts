// Emptying a store between tests.

import { ValidationError } from '../core/errors.ts'
import type { Database } from '../database/database.ts'
import { Meow } from '../meow.ts'

/**
 * Mark a store as one for tests, so that `resetStore` may empty it. Call it once behind `migrate()`, as the role that owns the
 * schema; again it does nothing. The mark is a line in the comment of the schema.
 *
 * Only an empty store can be marked: with a wrong connection string the fixture of your tests fails, and empties nothing.
 *
 * @throws ValidationError if the store has events or subscriptions, and no mark, or is no store in PostgreSQL
 * @throws SchemaError if it is not migrated
 * @example
 * const meow = await connect({ connectionString: process.env.TEST_DATABASE_URL })
 * await meow.migrate()
 * await markAsTestStore(meow)
 */
export function markAsTestStore(meow: Meow): Promise<void> {
  const remedy =
    'mark it right behind the first migrate(); if it is for tests, drop the schema first, else use another schema'
  return run(meow, 'mark_test_store', `has events or subscriptions: ${remedy}`)
}

/**
 * Empty a store that is marked as one for tests, in one transaction: its events, subscriptions with all that is parked, and
 * snapshots. Tables of yours, such as read models, stay as they are. It waits for open appends, and for transactional
 * handlers that are at work.
 *
 * Positions go on and do not begin at 1 again: no position is used twice, so this object and other processes can stay
 * connected. `events()` and `iterate()` go on with what is appended next; workers end with SubscriptionNotFoundError, and
 * `process()` makes a subscription of the same name anew. `watch` keeps its state until the next event of the stream.
 *
 * @throws ValidationError if the store is not marked (`markAsTestStore`), or is no store in PostgreSQL: of those in memory
 *   make another
 * @throws TimeoutError if an append stays open for longer than `queryTimeoutMs`; nothing is emptied then
 * @example
 * beforeEach(() => resetStore(meow))
 */
export function resetStore(meow: Meow): Promise<void> {
  const remedy = 'call await markAsTestStore(meow) once, right behind migrate(), while it is empty'
  return run(meow, 'reset_store', `is not marked as a store for tests, and nothing was changed: ${remedy}`)
}

/** How often to try if locks were taken crosswise: who is cancelled then has done nothing. */
const ATTEMPTS = 5

async function run(meow: Meow, file: string, refusal: string): Promise<void> {
  if (!(meow instanceof Meow))
    throw new ValidationError(
      'meow',
      'must be a store that connect() opened; of those in memory make another',
      meow,
    )
  await meow.use(async (db) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask(db, file)
      } catch (error) {
        const { code } = error as { code?: string }
        if (code === 'MW014') throw new ValidationError('meow', refusal, { schema: db.schema }, error)
        if (code !== '40P01' || attempt === ATTEMPTS) throw error
      }
    }
  })
}

/** Then have this object look whether the events that it has seen are still there. */
function ask(db: Database, file: string): Promise<void> {
  return db.withClient(async (client) => {
    await db.query(db.file(file), [], client)
    await db.timeline.check(client)
  })
}
