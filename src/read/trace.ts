// Finds the events that belong together: those of one correlation id.
import { z } from 'zod'
import { textSchema } from '../core/fields.ts'
import { isText } from '../core/json.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import type { RecordedEvent } from '../events/event.ts'
import { toEvent } from '../events/event.ts'
import { PAGE_SHARE } from './budget.ts'
import type { ByIds } from './by-ids.ts'
import { byIdsIn } from './by-ids.ts'

/** Options of `meow.trace()`. */
export interface TraceOptions {
  /** How many events at most; default: all, minimum 1. */
  limit?: number | undefined
}

/** What a trace is made of. */
export interface TraceSource {
  byIds: ByIds
  /**
   * Some of the next events above a position with this correlation id, at most `limit`, in position order; perhaps others that
   * only look like it. An empty result: there are no more.
   */
  correlated(id: string, after: number, limit: number): Promise<RecordedEvent[]>
}

const traceOptionsSchema = z.strictObject({ limit: z.number().int().min(1).optional() })
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** The events of a correlation id, or of the correlation that the event with this id belongs to, in position order. */
export async function trace(
  { byIds, correlated }: TraceSource,
  id: string,
  options: TraceOptions = {},
): Promise<RecordedEvent[]> {
  parse(textSchema, id, 'id')
  const { limit = Infinity } = parse(traceOptionsSchema, options, 'options')
  const found = new Map<string, RecordedEvent>()
  const ids = [id]
  for (const known of ids) {
    // The event itself; its correlation id is followed, too.
    for (const event of UUID.test(known) ? await byIds([known.toLowerCase()]) : []) {
      found.set(event.id, event)
      for (const next of [event.id, event.metadata.correlationId])
        if (isText(next) && next !== '' && !ids.includes(next)) ids.push(next)
    }
    let count = 0
    for (let after = 0, page: RecordedEvent[]; count < limit; after = page.at(-1)!.position) {
      page = await correlated(known, after, limit - count)
      if (page.length === 0) break
      for (const event of page) {
        if (event.metadata.correlationId !== known) continue
        found.set(event.id, event)
        count++
      }
    }
  }
  const events = [...found.values()].sort((a, b) => a.position - b.position)
  return limit === Infinity ? events : events.slice(0, limit)
}

/** Events that one query reads at most. */
const PAGE_SIZE = 1_000

/** The events of a store in PostgreSQL. */
export const traceSource = (db: Queries): TraceSource => ({
  byIds: byIdsIn(db),
  correlated: async (id, after, limit) => {
    const maxBytes = Math.floor(db.settings.maxBufferedBytes / PAGE_SHARE)
    const values = { id: JSON.stringify(id).slice(1, -1), after, limit: Math.min(limit, PAGE_SIZE) }
    const { rows } = await db.page(statements.trace, values, maxBytes)
    return rows.map((row) => toEvent(row))
  },
})
