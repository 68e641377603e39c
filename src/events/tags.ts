// Tags of events: what they may be, and how they are stored, as the first key of an event's metadata.
import { z } from 'zod'
import { show, ValidationError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'

/** How many tags an event may have, and how many items a query. */
export const MOST = 32

/** The key under which the metadata of a stored event holds its tags. It is always the first one. */
export const TAGS_KEY = '$tags'
const BEGINNING = `{"${TAGS_KEY}":[`

/** What events without tags share. */
export const NO_TAGS: readonly string[] = Object.freeze([])

export const tagsSchema = z.array(nameSchema).max(MOST)

/** Tags as an event has them: sorted, each once. Otherwise a ValidationError. */
export function checkTags(tags: unknown, path: string): readonly string[] {
  if (tags === undefined)
    throw new ValidationError(
      path,
      'must have a value or be left out (undefined would mean an event without tags)',
      tags,
    )
  const checked = sortedTags(parse(z.array(nameSchema).readonly(), tags, path))
  if (checked.length > MOST) throw new ValidationError(path, `must be at most ${MOST} tags`, checked.length)
  return checked.length === 0 ? NO_TAGS : checked
}

export const sortedTags = (tags: readonly string[]): readonly string[] =>
  Object.freeze([...new Set(tags)].sort())

/** Refuses metadata that has the key which is reserved for tags. */
export function refuseTagsKey(metadata: object, path: string): void {
  if (TAGS_KEY in metadata)
    throw new ValidationError(
      `${path}.${TAGS_KEY}`,
      "is reserved: give the event's tags as `tags`",
      show((metadata as any)[TAGS_KEY]),
    )
}

/** The JSON text of metadata together with tags, as it is stored. */
export function withTags(metadata: string, tags: readonly string[]): string {
  if (tags.length === 0) return metadata
  const inner = metadata.trim().slice(1, -1).trim()
  return `{"${TAGS_KEY}":${JSON.stringify(tags)}${inner === '' ? '}' : `,${inner}}`}`
}

/** Whether the metadata that is stored as this text begins with tags. */
export const hasTags = (metadata: string): boolean => metadata.startsWith(BEGINNING)

/** Takes tags out of stored metadata, which begins with them. */
export function takeTags({ [TAGS_KEY]: tags, ...metadata }: Record<string, unknown>): {
  tags: readonly string[]
  metadata: Record<string, unknown>
} {
  const list = Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : []
  return { tags: Object.freeze(list), metadata }
}
