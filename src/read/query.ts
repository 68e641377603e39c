// `meow.query`: all events that match tags, and what was seen, for the condition of an append.
import { z } from 'zod'
import type { Seen } from '../append/seen.ts'
import { signSeen } from '../append/seen.ts'
import { ValidationError } from '../core/errors.ts'
import { clientSchema } from '../core/fields.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import { isCategory } from '../events/category.ts'
import type { RecordedEvent } from '../events/event.ts'
import { isEventRow, toEvent, toPosition } from '../events/event.ts'
import type { EventQuery } from '../events/query.ts'
import { checkQuery } from '../events/query.ts'
import type { View } from '../events/selector.ts'
import { viewOf } from '../events/selector.ts'
import type { AnyCategory, SelectedEvent } from '../events/types.ts'
import { PAGE_SHARE } from './budget.ts'
import type { QueryBatcher } from './query-batcher.ts'
import type { RecentHorizon } from './recent-horizon.ts'

/** Options of `meow.query`. */
export interface QueryOptions<C extends AnyCategory = AnyCategory> {
  /** Read inside this client's transaction, which must be READ COMMITTED. */
  client?: SqlClient | undefined
  /** Zod categories, which give their events their types. Events of other categories have `known: false`. */
  categories?: readonly C[] | undefined
}

/** The result of `meow.query`. */
export interface QueryResult<E = RecordedEvent> {
  /** All that is committed and matches, in the order of positions. */
  events: E[]
  /** What was seen. Pass it to `failIf.after` of an append. */
  seen: Seen
}

export const queryOptionsSchema = z.strictObject({
  client: clientSchema.optional(),
  categories: z
    .array(z.custom<AnyCategory>(isCategory, 'must be a category that defineCategory has made'))
    .optional(),
})

/** How a query shows its events. */
export const viewOfCategories = (
  categories: readonly AnyCategory[] | undefined,
  path: string,
): View | null => (categories && categories.length > 0 ? viewOf(categories, path) : null)

/** What queries of a store share in this process. */
export interface QueryPorts {
  /** The key with which the store signs what was seen. */
  readonly seenKey: () => Promise<Buffer>
  readonly horizon: RecentHorizon
  readonly batcher: QueryBatcher
}

/** Events that one statement reads at most. */
const PAGE_SIZE = 5_000

/** The key with which a store signs; each process asks for it once. */
export function seenKeyOf(db: Queries): () => Promise<Buffer> {
  let known: Promise<Buffer> | undefined
  return () => {
    known ??= db.query(statements.seenKey, {}).then(([row]) => {
      if (!row)
        throw new ValidationError(
          'seen_key',
          'must have a row: the table was emptied; run migrate() on a new store, or restore it',
          0,
        )
      return Buffer.from(row[0], 'hex')
    })
    known.catch(() => {
      known = undefined
    })
    return known
  }
}

/** So many positions above the horizon, and the next query gets a newer one. */
const MANY = 64

/**
 * What is at or below the horizon, all pages see whole. Above it counts what was seen, one by one; an event that commits between two
 * pages, below the first one's end, is among the unseen. In a transaction of a caller the first page fetches the horizon itself: a
 * snapshot may be older than one that others have fetched.
 */
export async function query<C extends AnyCategory>(
  db: Queries,
  { seenKey, horizon: recent, batcher }: QueryPorts,
  asked: EventQuery,
  options: QueryOptions<C> = {},
): Promise<QueryResult<SelectedEvent<C>>> {
  const items = JSON.stringify(checkQuery(asked))
  const { client, categories } = parse(queryOptionsSchema, options, 'options')
  const view = viewOfCategories(categories, 'options.categories')
  const key = await seenKey()
  for (;;) {
    const { current } = db.timeline
    const known = client ? null : await recent.get()
    const together = known === null ? undefined : await batcher.ask(items)
    const { events, horizon } = together
      ? { events: together, horizon: known! }
      : await all(db, items, known, client)
    if (!client && current.aborted) continue // the store has lost history: the horizon was of the events before
    const positions = events.map(({ position }) => position).filter((position) => position > horizon)
    if (positions.length > MANY) recent.expire()
    const seen = signSeen(key, { horizon, positions })
    return { events: (view ? events.map(view) : events) as SelectedEvent<C>[], seen }
  }
}

/** All pages, and the horizon of the first one. */
async function all(db: Queries, query: string, known: number | null, client: SqlClient | undefined) {
  const maxBytes = Math.floor(db.settings.maxBufferedBytes / PAGE_SHARE)
  const events: RecordedEvent[] = []
  let horizon = known
  for (;;) {
    const values = { query, after: events.at(-1)?.position ?? 0, limit: PAGE_SIZE, known: horizon }
    const { rows, isFull } = await db.page(statements.queryPage, values, maxBytes, client)
    if (events.length === 0) horizon = toPosition(rows[0]![0])
    for (const [, ...row] of rows) if (isEventRow(row)) events.push(toEvent(row))
    if (rows.length < PAGE_SIZE && !isFull) return { events, horizon: horizon! }
  }
}
