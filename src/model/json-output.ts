// Which zod schemas promise what JSON can't give back: a date is stored as text, and is read as text.
import { ValidationError } from '../errors.ts'
import { isOrdinary } from '../json.ts'

interface Definition {
  readonly type?: string
  readonly [part: string]: unknown
}

/** What zod can promise and JSON has not, and what to take instead. */
const REMEDIES: Readonly<Record<string, string>> = {
  date: 'take z.iso.datetime(), and make a Date of it where it is needed',
  bigint: 'take z.string(), and make a BigInt of it where it is needed',
  map: 'take z.record()',
  set: 'take z.array()',
  nan: 'take z.null()',
  symbol: 'take z.string()',
  function: 'leave it out',
  promise: 'await it before the event is made',
  file: 'store it elsewhere, and take z.string() for its address',
}

const PARTS = [
  'innerType',
  'element',
  'out',
  'options',
  'left',
  'right',
  'items',
  'rest',
  'valueType',
  'catchall',
]

/**
 * Refuse a schema that returns what JSON can't give back as it was, with the path to it.
 *
 * @returns whether only what it returns tells: it has functions of its own that make values
 * @throws ValidationError with the remedy
 */
export function refuseUnlikeJson(schema: unknown, path: string): boolean {
  const seen = new Set<unknown>()
  let makes = false
  const look = (schema: unknown, path: string): void => {
    if (Array.isArray(schema)) for (const one of schema) look(one, path)
    const definition = (schema as { _zod?: { def?: Definition } } | undefined)?._zod?.def
    if (!definition || seen.has(schema)) return
    seen.add(schema)
    const { type = '', values } = definition
    const kind =
      type === 'literal' && (values as unknown[])?.some((value) => typeof value === 'bigint')
        ? 'bigint'
        : type
    const remedy = REMEDIES[kind]
    if (remedy)
      throw new ValidationError(
        path,
        `must not be a ${kind}, which JSON can not give back as it was: ${remedy}`,
        kind,
      )
    if (type === 'transform' || type === 'custom' || 'transform' in definition) makes = true
    for (const [key, property] of Object.entries((definition.shape as object | undefined) ?? {}))
      look(property, `${path}.${key}`)
    for (const part of PARTS)
      look(definition[part], part === 'element' || part === 'items' || part === 'rest' ? `${path}[]` : path)
    if (type === 'lazy') look((definition.getter as () => unknown)(), path)
  }
  look(schema, path)
  return makes
}

/** Refuse a value that a schema's own functions have made and that reading it from JSON would not give back. */
export function refuseUnlike(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return
  if (!isOrdinary(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function')
    throw new ValidationError(
      path,
      'is made by its schema, and would come back from JSON as something else: have the schema return plain objects, arrays, text, numbers and booleans',
      value,
    )
  for (const [key, item] of Object.entries(value))
    refuseUnlike(item, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`)
}
