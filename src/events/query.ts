// Queries by tags: what `meow.query` reads, and what the condition of an append asks for.
import { z } from 'zod'
import { ValidationError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent } from './event.ts'
import { MOST } from './tags.ts'

/** Selects the events that carry all of these tags and have one of these types. */
export interface QueryItem {
  /**
   * All of these, at least one, at most 32. The first one is what a conditional append locks, so begin with the one that the fewest
   * events carry: `['course:1', 'student:7']`, not `['all', 'course:1']`.
   */
  readonly tags: readonly [string, ...string[]]
  /** Any of these; every type if it is left out. */
  readonly types?: readonly string[]
}

/** One item, or a list of at most 32: the events that match any of them. */
export type EventQuery = QueryItem | readonly QueryItem[]

/** An item after validation. */
export interface CheckedItem {
  readonly tags: readonly string[]
  readonly types?: readonly string[]
}

const itemSchema = z.strictObject({
  tags: z.array(nameSchema).min(1).max(MOST),
  types: z.array(nameSchema).min(1).optional(),
})

/** Checks a query. Returns its items. */
export function checkQuery(query: EventQuery, path = 'query'): readonly CheckedItem[] {
  const list: readonly unknown[] = Array.isArray(query) ? query : [query]
  if (list.length === 0 || list.length > MOST)
    throw new ValidationError(path, `must have 1 to ${MOST} items`, list.length)
  return list.map((item, i) => {
    const at = Array.isArray(query) ? `${path}[${i}]` : path
    if (typeof item === 'object' && item !== null && 'types' in item && item.types === undefined)
      throw new ValidationError(
        `${at}.types`,
        'must have a value or be left out (undefined would mean every type)',
        undefined,
      )
    const { tags, types } = parse(itemSchema, item, at)
    return { tags: [...new Set(tags)], ...(types ? { types: [...new Set(types)] } : {}) }
  })
}

/** Whether an event matches one of the items. */
export function matchesQuery(
  items: readonly CheckedItem[],
  { tags, type }: Pick<RecordedEvent, 'tags' | 'type'>,
): boolean {
  return items.some(
    (item) =>
      item.tags.every((tag) => tags.includes(tag)) && (item.types === undefined || item.types.includes(type)),
  )
}
