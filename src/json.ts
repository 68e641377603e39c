import { ValidationError } from './errors.ts'

const MAX_DEPTH = 2_000

/**
 * The JSON text of a value, or a ValidationError with the path to what JSON or PostgreSQL can't hold. JSON.stringify
 * alone would drop a function, turn NaN into null and a Map into {}: silently lost. As in JSON, a property that is
 * `undefined` is left out and `toJSON` is honoured.
 */
export function encodeJson(value: unknown, path: string): string {
  if (!isPlain(value)) check(value, path)
  return JSON.stringify(value)
}

/** A string that PostgreSQL's text can hold. */
export function checkText(text: string, path: string): void {
  if (text.includes('\u0000'))
    throw new ValidationError(path, 'must not contain \\u0000, which PostgreSQL can not store', text)
  if (!text.isWellFormed()) throw new ValidationError(path, 'must not contain a lone surrogate', text)
}

/** Whether a value is a string that PostgreSQL's text can hold. */
export const isText = (value: unknown): value is string =>
  typeof value === 'string' && !value.includes('\u0000') && value.isWellFormed()

/** Nearly every value there is, told without making its path. */
function isPlain(value: unknown): boolean {
  if (typeof value === 'string') return isText(value)
  return typeof value === 'number' ? Number.isFinite(value) : typeof value === 'boolean' || value === null
}

/** An object that is being looked through; `items` is what stands for it in JSON, mostly itself. */
interface Level {
  readonly value: object
  readonly items: Record<number | string, unknown>
  /** Null: of an array. */
  readonly keys: readonly string[] | null
  readonly length: number
  readonly path: string
  next: number
}

/** With a stack of its own: what is allowed to be deep must not overflow that of the caller. */
function check(value: unknown, path: string): void {
  const above: Level[] = []
  let level = enter(value, path, above)
  while (level) {
    const { items, keys, path, next } = level
    level.next++
    if (next === level.length) {
      above.pop()
      level = above.at(-1)
      continue
    }
    const key = keys ? keys[next]! : next
    const item = items[key]
    if (keys && item === undefined) continue
    if (keys && !isPlain(key)) checkText(key as string, `${path}.${key}`)
    if (!isPlain(item)) level = enter(item, keys ? `${path}.${key}` : `${path}[${key}]`, above) ?? level
  }
}

/** Check a value itself; where there is something in it, that is the next level. */
function enter(value: unknown, path: string, above: Level[]): Level | undefined {
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
      return value === null ? undefined : enterObject(value, path, above)
    default:
      throw new ValidationError(path, 'must be a JSON value', value)
  }
}

function enterObject(value: object, path: string, above: Level[]): Level | undefined {
  for (const level of above)
    if (level.value === value || level.items === value)
      throw new ValidationError(path, 'must not contain itself', '[a cycle]')
  if (above.length >= MAX_DEPTH)
    throw new ValidationError(`${path.slice(0, 80)}…`, `must not be deeper than ${MAX_DEPTH} levels`, '[…]')
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') {
    if (value instanceof Date && Number.isNaN(value.getTime()))
      throw new ValidationError(path, 'must be a valid date', value)
    const json: unknown = toJSON.call(value, '')
    // As in JSON.stringify: what an object stands for is not asked again what it stands for.
    return typeof json === 'object' && json !== null
      ? into(value, json, path, above)
      : enter(json, path, above)
  }
  if (!isOrdinary(value)) {
    if (value instanceof Number || value instanceof String || value instanceof Boolean)
      return enter(value.valueOf(), path, above)
    if (LOST_IN_JSON.some((type) => value instanceof type)) {
      throw new ValidationError(
        path,
        `must be a JSON value (JSON would lose what a ${value.constructor.name} holds)`,
        value,
      )
    }
  }
  return into(value, value, path, above)
}

function into(value: object, items: object, path: string, above: Level[]): Level {
  const keys = Array.isArray(items) ? null : Object.keys(items)
  const { length } = keys ?? (items as unknown[])
  const level = { value, items: items as Level['items'], keys, length, path, next: 0 }
  above.push(level)
  return level
}

function isOrdinary(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null
}

const LOST_IN_JSON = [Map, Set, WeakMap, WeakSet, RegExp, Promise, Error, ArrayBuffer, BigInt, Symbol]
