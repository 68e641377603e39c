import { z } from 'zod'
import { show, ValidationError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { parse, refuseUndefined } from '../core/validate.ts'
import { isCategory } from './category.ts'
import type { EventModel, RecordedEvent } from './event.ts'
import { MODEL } from './event.ts'
import { tagsSchema } from './tags.ts'
import type { AnyCategory } from './types.ts'

/**
 * Selects events by category, stream or type. `{}` selects every event. A property must not be `undefined`: leave it out
 * instead.
 */
export interface Selector<C extends string | AnyCategory = string | AnyCategory, T extends string = string> {
  /** The name of a category, or a zod category, which gives the selected events their types; or an array of these. */
  category?: C | readonly C[]
  /**
   * Only events of these types. The database filters them. Of a zod category, only types that it defines, and events narrow to them.
   * No index has the types: from the beginning, a rare type costs the database one pass over the whole category.
   */
  types?: readonly T[]
  /** Only this stream. Requires exactly one category. */
  streamId?: string
  /** Only events that carry all of these tags, at most 32. The database filters them. */
  tags?: readonly string[]
}

/** A selector after validation. Lists are sorted and have no duplicates, so equal selectors are equal. */
export interface Selection {
  /** If empty, every category. */
  readonly categories: readonly string[]
  readonly types: readonly string[] | null
  readonly streamId: string | null
  readonly tags: readonly string[] | null
  /** The same text for equal selectors. */
  readonly key: string
  /** Converts an event for a reader that selects by a zod category; null: the event stays as it is stored. */
  readonly view: View | null
}

export type View = (event: RecordedEvent) => RecordedEvent

export const selectorShape = {
  category: z.preprocess(names, z.union([nameSchema, z.array(nameSchema).min(1)])).optional(),
  types: z.array(nameSchema).min(1).optional(),
  streamId: nameSchema.optional(),
  tags: tagsSchema.min(1).optional(),
}
/** A category or its name; the output is the name. */
export const oneCategorySchema = z.preprocess(names, nameSchema)
const selectorSchema = z.strictObject(selectorShape)

/** The selector with these properties; those that are null or undefined are left out, an empty one is not: it is refused later. */
export function selectorOf<C extends string | AnyCategory>({
  category,
  types,
  streamId,
  tags,
}: { readonly [K in keyof Selector<C>]: Selector<C>[K] | null | undefined }): Selector<C> {
  return {
    ...(category != null ? { category } : {}),
    ...(types != null ? { types } : {}),
    ...(streamId != null ? { streamId } : {}),
    ...(tags != null ? { tags } : {}),
  }
}

/** Refuses a selector that selects more than it seems to, because a variable has no value. */
export function refuseWide(value: Pick<Selector, 'category'>, path: string): void {
  refuseUndefined(value, path, {
    category: 'every category',
    types: 'every type of event',
    tags: 'events with any tags or none',
    get streamId() {
      const categories = [names(value.category) ?? []].flat()
      return `every stream of ${categories.map((name) => show(name)).join(', ') || 'every category'}`
    },
  })
}

export function select(value: Selector, path = 'selector'): Selection {
  refuseWide(value, path)
  const { category, types, streamId, tags } = parse(selectorSchema, value, path)
  const categories = category === undefined ? [] : sorted([category].flat())
  if (streamId !== undefined && categories.length !== 1) {
    throw new ValidationError(`${path}.streamId`, 'needs exactly one category', streamId)
  }
  const selection = {
    categories,
    types: types ? sorted(types) : null,
    streamId: streamId ?? null,
    tags: tags ? sorted(tags) : null,
  }
  const view = viewOf(value.category, `${path}.category`)
  return Object.freeze({ ...selection, key: JSON.stringify(Object.values(selection)), view })
}

/** Replaces categories by their names. */
function names(category: unknown): unknown {
  if (Array.isArray(category)) return category.map(names)
  return isCategory(category) ? category.name : category
}

export function viewOf(category: Selector['category'], path: string): View | null {
  const models = new Map<string, EventModel>()
  for (const one of [category].flat()) {
    if (!isCategory(one)) continue
    if ((models.get(one.name) ?? one[MODEL]) !== one[MODEL])
      throw new ValidationError(path, 'must not hold two definitions of one category', one.name)
    models.set(one.name, one[MODEL])
  }
  if (models.size === 0) return null
  return (event) =>
    models.get(event.category)?.toReader(event) ?? ({ ...event, known: false } as RecordedEvent)
}

const sorted = (names: readonly string[]) => [...new Set(names)].sort()
