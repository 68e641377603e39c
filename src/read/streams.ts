// Lists the streams of a category.
import { z } from 'zod'
import { nameSchema, textSchema } from '../core/fields.ts'
import { parse, refuseUndefined } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import { oneCategorySchema } from '../events/selector.ts'
import type { AnyCategory } from '../events/types.ts'

/** A stream that has events. */
export interface StreamInfo {
  streamId: string
  /** The version of its last event. */
  version: number
  /** The position of its last event. */
  lastPosition: number
}

/** Which streams `meow.streams()` lists. */
export interface StreamsOptions {
  /** Only streams whose id begins with this text. It must not be `undefined`: leave it out. */
  prefix?: string
  /** Only streams whose id comes after this one: the last id of the page before. It must not be `undefined`: leave it out. */
  after?: string
  /** How many streams at most; default 100, minimum 1, maximum 100_000. */
  limit?: number | undefined
}

const streamsOptionsSchema = z.strictObject({
  prefix: textSchema.or(z.literal('')).default(''),
  after: nameSchema.or(z.literal('')).default(''),
  limit: z.number().int().min(1).max(100_000).default(100),
})

/** Checks the arguments of `streams`. */
export function checkStreams(category: string | AnyCategory, options: StreamsOptions = {}) {
  refuseUndefined(options, 'options', {
    prefix: 'every stream of the category',
    after: 'the first streams of the category',
  })
  const named = parse(oneCategorySchema, category, 'category') as string
  return { category: named, ...parse(streamsOptionsSchema, options, 'options') }
}

/** The streams of a category, in the order of the bytes of their ids. */
export async function streams(
  db: Queries,
  category: string | AnyCategory,
  options?: StreamsOptions,
): Promise<StreamInfo[]> {
  const rows = await db.query(statements.streams, checkStreams(category, options))
  return rows.map(([streamId, version, lastPosition]) => ({
    streamId,
    version: Number(version),
    lastPosition: Number(lastPosition),
  }))
}
