import { z } from 'zod'
import { attempt } from '../core/describe.ts'
import { explain, ValidationError } from '../core/errors.ts'
import { encodeJson } from '../core/json.ts'
import { check, checked, parse } from '../core/validate.ts'
import type { Storable } from './event.ts'
import type { Storing } from './json-output.ts'
import { refuseChangedByJson, storingOf } from './json-output.ts'
import type { EventSchemas, VersionedSchema } from './types.ts'

/** One type of event: its current schema, and the steps from each older version. */
export class EventSchema {
  readonly version: number
  /** Whether events are checked by the schema when they are read: it has codecs, or its category has `validateOnRead`. */
  readonly reads: boolean
  readonly #schema: z.ZodType
  readonly #storing: Storing
  readonly #steps: readonly ((old: unknown) => unknown)[]

  constructor(definition: EventSchemas[string], path: string, validateOnRead: boolean) {
    const {
      schema,
      version = 1,
      upcast = {},
    } = isSchema(definition)
      ? { schema: definition }
      : (parse(versionedSchema, definition, path) as VersionedSchema)
    const older = Array.from({ length: version - 1 }, (_, i) => i + 1)
    const unknownProperty = Object.keys(upcast).find((key) => !older.some((from) => String(from) === key))
    if (unknownProperty !== undefined)
      throw new ValidationError(
        `${path}.upcast.${unknownProperty}`,
        `must be a version below ${version}`,
        unknownProperty,
      )
    for (const from of older)
      if (!upcast[from])
        throw new ValidationError(
          `${path}.upcast.${from}`,
          `must lead from version ${from} to the next`,
          undefined,
        )
    this.version = version
    this.#schema = schema
    this.#storing = storingOf(schema, path, validateOnRead)
    this.reads = this.#storing.codecs || validateOnRead
    this.#steps = older.map((from) => upcast[from]!)
  }

  /** The data to store, and the data that its readers will get. Otherwise a ValidationError with the whole path. */
  store(data: unknown, path: string): Pick<Storable, 'data' | 'seen'> {
    const stored = this.#validated(data, path, this.#storing.codecs ? 'encode' : 'decode')
    if (this.#storing.makes) refuseChangedByJson(stored, path)
    if (!this.reads) return { data: stored }
    const json = JSON.parse(encodeJson(stored, path))
    try {
      return { data: stored, seen: { data: this.read(json, path) } }
    } catch (error) {
      const { path, value } = error as ValidationError
      const problem = `would be stored in a form that its schema does not accept on read (${explain(error)})`
      throw new ValidationError(path, problem, value)
    }
  }

  /** The stored data, decoded and checked. Otherwise a ValidationError with the whole path. */
  read(stored: unknown, path: string): unknown {
    return this.#validated(stored, path, 'decode')
  }

  #validated(data: unknown, path: string, way: 'encode' | 'decode'): unknown {
    const unknownProperty = 'is not in the schema'
    try {
      if (way === 'decode') return check(this.#schema, data, path, unknownProperty)
      return checked(z.safeEncode(this.#schema, data, { reportInput: true }), path, unknownProperty)
    } catch (error) {
      if (attempt(() => error instanceof ValidationError)) throw error
      // A function of the user has thrown, or the schema is asynchronous.
      throw new ValidationError(path, `can not be checked by its schema (${explain(error)})`, data)
    }
  }

  /**
   * The JSON Schema of the data as it is stored. What JSON Schema can't say, such as what a transform returns, is `{}`: anything.
   * `x-version` is the version of the schema.
   */
  jsonSchema(title: string): object {
    const io = this.#storing.codecs ? 'input' : 'output'
    return {
      title,
      'x-version': this.version,
      ...z.toJSONSchema(this.#schema, { io, unrepresentable: 'any' }),
    }
  }

  /** Converts data of an older version to the current one. */
  upcast(data: unknown, from: number): unknown {
    return this.#steps.slice(from - 1).reduce((old, step) => step(old), data)
  }
}

function isSchema(value: unknown): value is z.ZodType {
  return typeof (value as z.ZodType | null)?.safeParse === 'function'
}

const versionedSchema = z.strictObject({
  schema: z.custom<z.ZodType>(isSchema, 'must be a zod schema'),
  version: z.number().int().min(1).max(100_000).optional(),
  upcast: z
    .record(
      z.string(),
      z.custom<(old: unknown) => unknown>((f) => typeof f === 'function', 'must be a function'),
    )
    .optional(),
})
