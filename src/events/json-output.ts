// Finds zod schemas whose output JSON can't return: without a codec, a date is stored as text and read as text.
import { ValidationError } from '../core/errors.ts'
import { isOrdinary } from '../core/json.ts'

interface Definition {
  readonly type?: string
  readonly [part: string]: unknown
}

/** The outputs of zod that JSON can't hold, and what to use instead. */
const REMEDIES: Readonly<Record<string, string>> = {
  date: 'use z.codec(z.iso.datetime(), z.date(), { decode: (s) => new Date(s), encode: (d) => d.toISOString() }), or z.iso.datetime() alone',
  bigint:
    'use z.codec(z.string(), z.bigint(), { decode: (s) => BigInt(s), encode: (n) => String(n) }), or z.string() alone',
  map: 'use z.record(), or a z.codec() to a JSON value',
  set: 'use z.array(), or a z.codec() to it',
  nan: 'use z.null()',
  symbol: 'use z.string()',
  function: 'leave it out',
  promise: 'await it before the event is made',
  file: 'store it elsewhere, and use z.string() for its address',
}

const TRANSFORM_REMEDY =
  'use z.codec(), which converts both ways, or .overwrite() instead of .transform() if the type stays the same'

const PARTS = [
  'innerType',
  'element',
  'in',
  'out',
  'options',
  'left',
  'right',
  'items',
  'rest',
  'keyType',
  'valueType',
  'catchall',
]
const LISTS = ['element', 'items', 'rest']

/** How the data of a schema is stored. */
export interface Storing {
  /** Whether it has codecs: then what they encode is stored, and what is read is decoded. */
  readonly codecs: boolean
  /** Whether functions of the schema's author make the data, so that it has to be checked at each append. */
  readonly makes: boolean
}

/**
 * Refuses a schema whose data can't be read back as it promises. `again`: the schema checks events again when they are read.
 *
 * @throws ValidationError with the path to the part and what to use instead
 */
export function storingOf(schema: unknown, path: string, again: boolean): Storing {
  let codecs = false
  walk(schema, path, 'out', ({ reverseTransform }) => {
    codecs ||= typeof reverseTransform === 'function'
  })
  let makes = codecs
  // With codecs, the input of the schema is stored; without them, its output.
  walk(schema, path, codecs ? 'in' : 'out', (definition, path, stored) => {
    const { type = '', out } = definition
    const refuse = (what: string, remedy: string) => {
      throw new ValidationError(path, `${what}: ${remedy}`, type)
    }
    if (codecs && type === 'transform')
      refuse(
        'must not be a transform beside a codec, because a transform can not be undone',
        TRANSFORM_REMEDY,
      )
    if (!codecs && again && type === 'pipe' && definitionOf(out)?.type === 'transform')
      refuse(
        'must not be a transform, because validateOnRead would apply it again to its own output',
        TRANSFORM_REMEDY,
      )
    const kind = kindOf(definition)
    if (stored && REMEDIES[kind])
      refuse(`must not be a ${kind}, which JSON can not give back as it was`, REMEDIES[kind])
    makes ||= type === 'transform' || type === 'custom'
  })
  return { codecs, makes }
}

function kindOf({ type = '', values }: Definition): string {
  return type === 'literal' && (values as unknown[])?.some((value) => typeof value === 'bigint')
    ? 'bigint'
    : type
}

const definitionOf = (schema: unknown): Definition | undefined =>
  (schema as { _zod?: { def?: Definition } } | undefined)?._zod?.def

type Visit = (definition: Definition, path: string, stored: boolean) => void

/** Visits a schema and everything in it. `side` tells which end of a pipe is stored. */
function walk(schema: unknown, path: string, side: 'in' | 'out', visit: Visit): void {
  const seen = { stored: new Set<unknown>(), passing: new Set<unknown>() }
  const visitAll = (schema: unknown, path: string, stored: boolean): void => {
    if (Array.isArray(schema)) for (const one of schema) visitAll(one, path, stored)
    const definition = definitionOf(schema)
    const before = stored ? seen.stored : seen.passing
    if (!definition || before.has(schema)) return
    before.add(schema)
    visit(definition, path, stored)
    for (const [key, property] of Object.entries((definition.shape as object | undefined) ?? {}))
      visitAll(property, `${path}.${key}`, stored)
    for (const part of PARTS) {
      const kept = part === side || (part !== 'in' && part !== 'out' && part !== 'keyType')
      visitAll(definition[part], LISTS.includes(part) ? `${path}[]` : path, stored && kept)
    }
    if (definition.type === 'lazy') visitAll((definition.getter as () => unknown)(), path, stored)
  }
  visitAll(schema, path, true)
}

/** Refuses a value that would be different after it was stored as JSON. Functions of the schema's author made it. */
export function refuseChangedByJson(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return
  if (!isOrdinary(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function')
    throw new ValidationError(
      path,
      'would be different after it was stored as JSON: the schema must return plain objects, arrays, text, numbers and booleans',
      value,
    )
  for (const [key, item] of Object.entries(value))
    refuseChangedByJson(item, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`)
}
