import { z } from 'zod'
import { ValidationError } from '../errors.ts'
import { name, parse } from '../options.ts'

/** Which events: of a category or several, of one stream, of some types. `{}` is every event. */
export interface Selector {
  category?: string | readonly string[]
  /** Only events of these types; filtered in the database. */
  types?: readonly string[]
  /** Only this stream; needs exactly one category. */
  streamId?: string
}

/** A selector, checked; lists are sorted and without repeats, so that equal selectors are equal. */
export interface Selection {
  /** Empty: every category. */
  readonly categories: readonly string[]
  readonly types: readonly string[] | null
  readonly streamId: string | null
  /** Equal for equal selectors. */
  readonly key: string
}

export const selectorShape = {
  category: z.union([name, z.array(name).min(1)]).optional(),
  types: z.array(name).min(1).optional(),
  streamId: name.optional(),
}
const selector = z.strictObject(selectorShape)

export function select(value: Selector, path = 'selector'): Selection {
  const { category, types, streamId } = parse(selector, value, path)
  const categories = category === undefined ? [] : sorted([category].flat())
  if (streamId !== undefined && categories.length !== 1) {
    throw new ValidationError(`${path}.streamId`, 'needs exactly one category', streamId)
  }
  const selection = { categories, types: types ? sorted(types) : null, streamId: streamId ?? null }
  return Object.freeze({ ...selection, key: JSON.stringify(Object.values(selection)) })
}

const sorted = (names: readonly string[]) => [...new Set(names)].sort()
