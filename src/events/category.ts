import { z } from 'zod'
import { explain, ValidationError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { plainObject } from '../core/json.ts'
import { jsonText } from '../core/json-text.ts'
import { isError } from '../core/kinds.ts'
import { parse } from '../core/validate.ts'
import { UpcastError } from './errors.ts'
import type { EventModel, NewEvent, RecordedEvent, Storable, StreamRef } from './event.ts'
import { ERASED, isEmptied, isReserved, MODEL } from './event.ts'
import { EventSchema } from './schema.ts'
import { checkTags } from './tags.ts'
import type { EventSchemas, NewEventOptions, Reserved, TagsOf, TypedCategory } from './types.ts'

/** The options of `defineCategory`. */
export interface CategoryOptions {
  /**
   * Default false: events were checked when they were appended. If true, events are also checked when they are read, after
   * upcasting; use this if other programs write to the store. An event that fails the check is an `UpcastError`. The schema
   * must accept its own output, so a schema with a transform is refused. Events with codecs are always checked when they are
   * read.
   */
  validateOnRead?: boolean | undefined
  /**
   * For each type, a function that makes tags from an event's data. They are added to the tags that the caller gives. The data
   * is as readers see it, checked and decoded. The functions must be pure.
   */
  tags?: CategoryTags | undefined
}

/** Makes tags of data, by type. */
type CategoryTags = { readonly [type: string]: (data: any) => readonly string[] }

const categoryOptionsSchema = z.strictObject({
  validateOnRead: z.boolean().default(false),
  tags: z
    .record(
      z.string(),
      z.custom<CategoryTags[string]>((f) => typeof f === 'function', 'must be a function'),
    )
    .default({}),
})
/** The options of a category with these schemas. */
type TypedCategoryOptions<Schemas extends EventSchemas> = Omit<CategoryOptions, 'tags'> & {
  readonly tags?: TagsOf<Schemas>
}

const RESERVED: readonly string[] = ['name', 'stream', 'jsonSchema', 'then'] satisfies (keyof Reserved)[]

/**
 * Defines a category whose events have zod schemas.
 *
 * It has a creator for each type of event. Events are checked when they are appended, and TypeScript narrows them by `known`
 * and `type` when they are read. Pass the category wherever a category's name is accepted.
 *
 * What the schema returns is stored, with its defaults, so it must be JSON. A type that JSON can't return, such as `z.date()`
 * or `z.map()`, is refused here; the output of a transform is checked when it is appended. With a codec (`z.codec`) you
 * append what the schema returns, such as a Date. It is encoded when it is appended, and decoded and checked when it is read.
 * A schema with a codec can't have transforms, and its defaults are filled in on read only. A schema must not be asynchronous.
 *
 * If a schema changes, give it a `version` and a step from each older version. The version is stored in
 * `metadata.schemaVersion` (if absent: 1). Stored events do not change; they are upcast when they are read. A step receives
 * and returns data as it is stored, before it is decoded.
 *
 * An event is returned as it is stored, with `known: false`, if its type is not defined, if its version is newer than the
 * schema's, or if it was erased.
 *
 * @param name non-empty, at most 255 characters
 * @param schemas by type: a zod schema, or `{ schema, version, upcast: { 1: (old) => next } }`
 * @throws ValidationError for a schema that returns what JSON can't hold, such as a date, or has a transform that would have to be
 *   undone or repeated on read; with the path and what to use instead
 * @param options `validateOnRead`; `tags`: by type, a function that makes an event's tags of its data
 * @throws ValidationError for a type named `stream`, `name`, `jsonSchema` or `then`, one that begins with `$` (except `$erased`, which is only
 *   read), or a version without the steps that lead to it
 * @example
 * const Order = defineCategory('order', {
 *   OrderPlaced: z.object({ price: z.number() }),
 *   OrderShipped: { schema: z.object({ by: z.string() }), version: 2, upcast: { 1: (old) => ({ by: old.carrier }) } },
 * })
 * await meow.append(Order.stream('42'), Order.OrderPlaced({ price: 9 }))
 * for (const event of await meow.load(Order.stream('42')))
 *   if (event.known && event.type === 'OrderPlaced') console.log(event.data.price)
 */
export function defineCategory<const Name extends string, Schemas extends EventSchemas & Reserved>(
  category: Name,
  schemas: Schemas,
  options: TypedCategoryOptions<Schemas> = {},
): TypedCategory<Name, Schemas> {
  parse(nameSchema, category, 'name')
  const { validateOnRead, tags } = parse(categoryOptionsSchema, options, 'options')
  if (typeof schemas !== 'object' || schemas === null)
    throw new ValidationError('schemas', 'must be { Type: schema }', schemas)
  const types = new Map<string, EventSchema>()
  for (const [type, definition] of Object.entries(schemas)) {
    const path = `schemas.${type}`
    if (RESERVED.includes(type))
      throw new ValidationError(path, 'is reserved and can not be a type of event', type)
    // The tombstone of an erased stream can be read as any event, but no one can append it.
    if (isReserved(type) && type !== ERASED)
      throw new ValidationError(path, "must not begin with '$': such types are reserved", type)
    parse(nameSchema, type, path)
    types.set(type, new EventSchema(definition as EventSchemas[string], path, validateOnRead))
  }
  for (const type of Object.keys(tags))
    if (!types.has(type))
      throw new ValidationError(`options.tags.${type}`, 'must be a type that the category defines', type)
  const model = new CategoryModel(category, types, new Map(Object.entries(tags)))
  const creators = [...types].map(([type, { version }]) => [
    type,
    (data: unknown, options?: NewEventOptions) => create(model, version, { ...options, type, data }),
  ])
  const stream = (streamId: string): StreamRef => withModel({ category, streamId }, model)
  const jsonSchema = () =>
    Object.fromEntries(
      [...types].map(([type, schema]) => [type, schema.jsonSchema(`${category}.${type}`)] as const),
    )
  return Object.freeze(
    withModel({ ...Object.fromEntries(creators), name: category, stream, jsonSchema }, model),
  ) as TypedCategory<Name, Schemas>
}

/** Whether a value is a category, not the name of one. */
export function isCategory(value: unknown): value is { name: string; readonly [MODEL]: EventModel } {
  return typeof value === 'object' && value !== null && MODEL in value && 'stream' in value
}

class CategoryModel implements EventModel {
  readonly name: string
  readonly #types: ReadonlyMap<string, EventSchema>
  readonly #tags: ReadonlyMap<string, CategoryTags[string]>

  constructor(
    name: string,
    types: ReadonlyMap<string, EventSchema>,
    tags: ReadonlyMap<string, CategoryTags[string]>,
  ) {
    this.name = name
    this.#types = types
    this.#tags = tags
  }

  toStore(event: NewEvent, path: string): Storable {
    const { type, data, metadata } = event
    const schema = this.#types.get(type)
    if (!schema) throw new ValidationError(`${path}.type`, `must be defined by category "${this.name}"`, type)
    const { schemaVersion } = (metadata ?? {}) as { schemaVersion?: unknown }
    if (schemaVersion !== undefined && schemaVersion !== schema.version)
      throw new ValidationError(
        `${path}.metadata.schemaVersion`,
        `must be ${schema.version}, the version that "${type}" has now`,
        schemaVersion,
      )
    const stored = schema.store(data, `${path}.data`)
    return {
      ...event,
      ...stored,
      ...versioned(metadata, schema.version),
      ...this.#tagged(event, stored, path),
    }
  }

  /** The tags that the caller gives, and those that are made from the event's data. */
  #tagged(
    { type, tags }: NewEvent,
    { data, seen }: Pick<Storable, 'data' | 'seen'>,
    path: string,
  ): { tags?: readonly string[] } {
    const make = this.#tags.get(type)
    if (!make) return {}
    let made: unknown
    try {
      made = make(seen ? seen.data : data)
    } catch (error) {
      throw new ValidationError(`${path}.tags`, `can not be made of the data (${explain(error)})`, data)
    }
    return {
      tags: [
        ...(tags === undefined ? [] : checkTags(tags, `${path}.tags`)),
        ...checkTags(made, `${path}.tags`),
      ],
    }
  }

  toReader(event: RecordedEvent): RecordedEvent & { known: boolean } {
    const { type, metadata } = event
    const schema = event.category === this.name && !isEmptied(event) ? this.#types.get(type) : undefined
    const from = metadata.schemaVersion ?? 1
    if (!schema || !Number.isInteger(from) || from < 1 || from > schema.version)
      return { ...event, known: false }
    if (from === schema.version && !schema.reads) return { ...event, known: true }
    try {
      // Other observers share the event, and an upcaster may change its argument.
      const data = from === schema.version ? event.data : schema.upcast(cloned(event.data), from)
      return { ...event, data: schema.reads ? schema.read(data, 'data') : data, known: true }
    } catch (error) {
      throw new UpcastError(event, from, error)
    }
  }
}

function create(model: EventModel, version: number, event: NewEvent): NewEvent {
  return withModel({ ...event, ...versioned(event.metadata, version) }, model)
}

/** A copy of data of any depth. structuredClone alone overflows the stack if raw SQL has written very deep data. */
function cloned(data: unknown): unknown {
  try {
    return structuredClone(data)
  } catch (error) {
    if (!isError(error) || error.name !== 'RangeError') throw error
    return JSON.parse(jsonText(data))
  }
}

/** Version 1 is not written to the metadata. */
function versioned(metadata: object | undefined, version: number): { metadata?: object } {
  return version === 1
    ? {}
    : { metadata: { ...(metadata && plainObject(metadata, 'metadata')), schemaVersion: version } }
}

/** The model is not enumerable, so that only the plain value is printed, compared and sent. */
function withModel<T extends object>(value: T, model: EventModel): T {
  return Object.defineProperty(value, MODEL, { value: model })
}
