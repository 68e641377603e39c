import { z } from 'zod'
import { attempt } from '../describe.ts'
import { explain, ValidationError } from '../errors.ts'
import { check, parse } from '../options.ts'
import { refuseUnlike, refuseUnlikeJson } from './json-output.ts'
import type { EventSchemas, VersionedSchema } from './types.ts'

/** One type of event, complete: its schema of now, and the steps from each older one. */
export class EventSchema {
  readonly version: number
  readonly #schema: z.ZodType
  readonly #makes: boolean // values, by functions of its own
  readonly #steps: readonly ((old: unknown) => unknown)[]

  constructor(definition: EventSchemas[string], path: string) {
    const {
      schema,
      version = 1,
      upcast = {},
    } = isSchema(definition)
      ? { schema: definition }
      : (parse(versioned, definition, path) as VersionedSchema)
    const older = Array.from({ length: version - 1 }, (_, i) => i + 1)
    const stranger = Object.keys(upcast).find((key) => !older.some((from) => String(from) === key))
    if (stranger !== undefined)
      throw new ValidationError(
        `${path}.upcast.${stranger}`,
        `leads from no version below ${version}`,
        stranger,
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
    this.#makes = refuseUnlikeJson(schema, path)
    this.#steps = older.map((from) => upcast[from]!)
  }

  /** Data as the schema has it, its defaults filled in; else a ValidationError with the whole path. */
  check(data: unknown, path: string): unknown {
    try {
      const made = check(this.#schema, data, path, 'is not in the schema')
      if (this.#makes) refuseUnlike(made, path)
      return made
    } catch (error) {
      if (attempt(() => error instanceof ValidationError)) throw error
      // A transformation of the user's threw, or the schema is asynchronous.
      throw new ValidationError(path, `can not be checked by its schema (${explain(error)})`, data)
    }
  }

  /** Data of an older version as that of now. */
  upcast(data: unknown, from: number): unknown {
    return this.#steps.slice(from - 1).reduce((old, step) => step(old), data)
  }
}

function isSchema(value: unknown): value is z.ZodType {
  return typeof (value as z.ZodType | null)?.safeParse === 'function'
}

const versioned = z.strictObject({
  schema: z.custom<z.ZodType>(isSchema, 'must be a zod schema'),
  version: z.number().int().min(1).max(100_000).optional(),
  upcast: z
    .record(
      z.string(),
      z.custom<(old: unknown) => unknown>((f) => typeof f === 'function', 'must be a function'),
    )
    .optional(),
})
