// Which zod schemas promise what JSON can't give back: a date is stored as text, and is read as text, unless a codec says how.
import { ValidationError } from '../core/errors.ts'
import { isOrdinary } from '../core/json.ts'

interface Definition {
  readonly type?: string
  readonly [part: string]: unknown
}

/** What zod can promise and JSON has not, and what to take instead. */
const REMEDIES: Readonly<Record<string, string>> = {
  date: 'take z.codec(z.iso.datetime(), z.date(), { decode: (s) => new Date(s), encode: (d) => d.toISOString() }), or z.iso.datetime() alone',
  bigint:
    'take z.codec(z.string(), z.bigint(), { decode: (s) => BigInt(s), encode: (n) => String(n) }), or z.string() alone',
  map: 'take z.record(), or a z.codec() to what JSON has',
  set: 'take z.array(), or a z.codec() to it',
  nan: 'take z.null()',
  symbol: 'take z.string()',
  function: 'leave it out',
  promise: 'await it before the event is made',
  file: 'store it elsewhere, and take z.string() for its address',
}

const TRANSFORM_REMEDY =
  'take z.codec(), which says both ways, or, where the type stays the same, .overwrite() instead of .transform()'

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
  /** It has codecs: what they encode is stored, and what is read is decoded. */
  readonly codecs: boolean
  /** Only what is stored tells whether JSON gives it back: functions of the schema's author make it. */
  readonly makes: boolean
}

/**
 * Refuse a schema whose data can't be read as it promises, with the path to the part that is at fault. `again`: what is read is
 * to pass the schema again.
 *
 * @throws ValidationError with the remedy
 */
export function storingOf(schema: unknown, path: string, again: boolean): Storing {
  let codecs = false
  walk(schema, path, 'out', ({ reverseTransform }) => {
    codecs ||= typeof reverseTransform === 'function'
  })
  let makes = codecs
  // With codecs what goes into the schema is stored, without them what comes out of it.
  walk(schema, path, codecs ? 'in' : 'out', (definition, path, stored) => {
    const { type = '', out } = definition
    const refuse = (what: string, remedy: string) => {
      throw new ValidationError(path, `${what}: ${remedy}`, type)
    }
    if (codecs && type === 'transform')
      refuse('must not be a transform, which can not be undone, beside a codec', TRANSFORM_REMEDY)
    if (!codecs && again && type === 'pipe' && definitionOf(out)?.type === 'transform')
      refuse(
        'must not be a transform, which validateOnRead would do again with what it made',
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

/** A schema and all that is in it; `side`: which end of a pipe is stored. */
function walk(schema: unknown, path: string, side: 'in' | 'out', visit: Visit): void {
  const seen = { stored: new Set<unknown>(), passing: new Set<unknown>() }
  const look = (schema: unknown, path: string, stored: boolean): void => {
    if (Array.isArray(schema)) for (const one of schema) look(one, path, stored)
    const definition = definitionOf(schema)
    const before = stored ? seen.stored : seen.passing
    if (!definition || before.has(schema)) return
    before.add(schema)
    visit(definition, path, stored)
    for (const [key, property] of Object.entries((definition.shape as object | undefined) ?? {}))
      look(property, `${path}.${key}`, stored)
    for (const part of PARTS) {
      const kept = part === side || (part !== 'in' && part !== 'out' && part !== 'keyType')
      look(definition[part], LISTS.includes(part) ? `${path}[]` : path, stored && kept)
    }
    if (definition.type === 'lazy') look((definition.getter as () => unknown)(), path, stored)
  }
  look(schema, path, true)
}

/** Refuse a value, made by a schema with functions of its author's, that reading it from JSON would not give back. */
export function refuseChangedByJson(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return
  if (!isOrdinary(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function')
    throw new ValidationError(
      path,
      'would come back from JSON as something else than its schema has made: have it make plain objects, arrays, text, numbers and booleans',
      value,
    )
  for (const [key, item] of Object.entries(value))
    refuseChangedByJson(item, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`)
}
