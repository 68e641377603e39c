import { ValidationError } from './errors.ts'

const MAX_DEPTH = 2_000

/**
 * The JSON text of a value, or a ValidationError with the path to what JSON or PostgreSQL can't hold. JSON.stringify
 * alone would drop a function, turn NaN into null and a Map into {}: silently lost. As in JSON, a property that is
 * `undefined` is left out and `toJSON` is honoured.
 */
export function encodeJson(value: unknown, path: string): string {
  check(value, path, [])
  return JSON.stringify(value)
}

/** A string that PostgreSQL's text can hold. */
export function checkText(text: string, path: string): void {
  if (text.includes('\u0000'))
    throw new ValidationError(path, 'must not contain \\u0000, which PostgreSQL can not store', text)
  if (!text.isWellFormed()) throw new ValidationError(path, 'must not contain a lone surrogate', text)
}

/** Nearly every value there is, told without making its path. */
function isPlain(value: unknown): boolean {
  if (typeof value === 'string') return !value.includes('\u0000') && value.isWellFormed()
  return typeof value === 'number' ? Number.isFinite(value) : typeof value === 'boolean' || value === null
}

function check(value: unknown, path: string, above: object[]): void {
  switch (typeof value) {
    case 'string':
      checkText(value, path)
      return
    case 'boolean':
      return
    case 'number':
      if (!Number.isFinite(value)) throw new ValidationError(path, 'must be a finite number', value)
      return
    case 'object':
      if (value !== null) checkObject(value, path, above)
      return
    default:
      throw new ValidationError(path, 'must be a JSON value', value)
  }
}

function checkObject(value: object, path: string, above: object[]): void {
  if (above.includes(value)) throw new ValidationError(path, 'must not contain itself', '[a cycle]')
  if (above.length >= MAX_DEPTH)
    throw new ValidationError(`${path.slice(0, 80)}…`, `must not be deeper than ${MAX_DEPTH} levels`, '[…]')
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON !== 'function' && isOrdinary(value)) {
    checkItems(value, path, above)
  } else if (typeof toJSON === 'function') {
    if (value instanceof Date && Number.isNaN(value.getTime()))
      throw new ValidationError(path, 'must be a valid date', value)
    const json: unknown = toJSON.call(value, '')
    // As in JSON.stringify: what an object stands for is not asked again what it stands for.
    if (typeof json === 'object' && json !== null) checkItems(json, path, [...above, value])
    else check(json, path, above)
  } else if (value instanceof Number || value instanceof String || value instanceof Boolean) {
    check(value.valueOf(), path, above)
  } else if (LOST_IN_JSON.some((type) => value instanceof type)) {
    throw new ValidationError(
      path,
      `must be a JSON value (JSON would lose what a ${value.constructor.name} holds)`,
      value,
    )
  } else {
    checkItems(value, path, above)
  }
}

function isOrdinary(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null
}

function checkItems(value: object, path: string, above: object[]): void {
  above.push(value)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i])) check(value[i], `${path}[${i}]`, above)
  } else {
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key]
      if (item === undefined) continue
      if (!isPlain(key)) checkText(key, `${path}.${key}`)
      if (!isPlain(item)) check(item, `${path}.${key}`, above)
    }
  }
  above.pop()
}

const LOST_IN_JSON = [Map, Set, WeakMap, WeakSet, RegExp, Promise, Error, ArrayBuffer, BigInt, Symbol]
