import { attempt, messageOf } from './describe.ts'
import { ValidationError } from './errors.ts'

const MAX_DEPTH = 2_000

/**
 * The JSON text of a value, or a ValidationError with the path to the part that JSON or PostgreSQL can't store. JSON.stringify
 * alone would drop a function and turn NaN into null and a Map into {}, without an error. As in JSON, a property that is
 * `undefined` is left out, and `toJSON` is called.
 */
export function encodeJson(value: unknown, path: string): string {
  if (isSimple(value)) return JSON.stringify(value)
  check(value, path)
  try {
    return JSON.stringify(value)
  } catch (error) {
    throw unreadable(error, path, value) // it did not throw during the check, but it does now
  }
}

/** An object whose properties may be copied one by one: the object itself, or its JSON form. Otherwise a ValidationError. */
export function plainObject(value: object, path: string): object {
  const plain = isOrdinary(value) && !('toJSON' in value) ? value : JSON.parse(encodeJson(value, path))
  if (typeof plain === 'object' && plain !== null && !Array.isArray(plain)) return plain
  throw new ValidationError(path, 'must be a JSON object', value)
}

/** Throws if PostgreSQL's text type can't store the string. */
export function checkText(text: string, path: string): void {
  if (text.includes('\u0000'))
    throw new ValidationError(path, 'must not contain \\u0000, which PostgreSQL can not store', text)
  if (!text.isWellFormed()) throw new ValidationError(path, 'must not contain a lone surrogate', text)
}

/** Whether a value is a string that PostgreSQL's text type can store. */
export const isText = (value: unknown): value is string =>
  typeof value === 'string' && !value.includes('\u0000') && value.isWellFormed()

/** Checks the most common values without building a path. */
function isSimple(value: unknown): boolean {
  if (typeof value === 'string') return isText(value)
  return typeof value === 'number' ? Number.isFinite(value) : typeof value === 'boolean' || value === null
}

/** An object that is being checked. `items` is its JSON form, which mostly is the object itself. */
interface Level {
  readonly value: object
  readonly items: Record<number | string, unknown>
  /** Null if it is an array. */
  readonly keys: readonly string[] | null
  readonly length: number
  readonly path: string
  next: number
}

/** Checks a value with a stack of its own, so that a deep value does not overflow the caller's stack. */
function check(value: unknown, path: string): void {
  const above: Level[] = []
  let level: Level | undefined
  try {
    level = enter(value, path, above)
    while (level) {
      const { items, keys, next } = level
      level.next++
      if (next === level.length) {
        above.pop()
        level = above.at(-1)
        continue
      }
      const key = keys ? keys[next]! : next
      const item = items[key]
      if (keys && item === undefined) continue
      if (keys && !isText(key)) checkText(keys[next]!, pathOf(level))
      if (!isSimple(item)) level = enter(item, pathOf(level), above) ?? level
    }
  } catch (error) {
    if (attempt(() => error instanceof ValidationError)) throw error
    throw unreadable(error, level ? pathOf(level) : path, value)
  }
}

/** The path of the item that this level has reached. */
const pathOf = ({ path, keys, next }: Level): string =>
  keys ? `${path}.${keys[next - 1]}` : `${path}[${next - 1}]`

/** The error if a getter, a toJSON or a proxy threw. */
const unreadable = (error: unknown, path: string, value: unknown) =>
  new ValidationError(path, `can not be read (${messageOf(error)})`, value, error)

/** Checks one value. If the value contains others, returns the next level. */
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
    if (tagOf(value) === 'Date' && Number.isNaN(Number(value)))
      throw new ValidationError(path, 'must be a valid date', value)
    const json: unknown = toJSON.call(value, '')
    // As in JSON.stringify: the result of `toJSON` is not asked for its own `toJSON`.
    if (typeof json !== 'object' || json === null) return enter(json, path, above)
    if (!isOrdinary(json)) refuseLost(json, tagOf(json), path)
    return into(value, json, path, above)
  }
  if (isOrdinary(value)) return into(value, value, path, above)
  const tag = tagOf(value)
  if (BOXES.has(tag)) {
    const content = value.valueOf()
    if (typeof content !== 'object') return enter(content, path, above)
  }
  refuseLost(value, tag, path)
  return into(value, value, path, above)
}

function refuseLost(value: object, tag: string, path: string): void {
  if (isLost(value, tag))
    throw new ValidationError(
      path,
      `must be a JSON value (JSON would lose what a ${nameOf(value) ?? tag} holds: store plain objects, arrays and text made of it)`,
      value,
    )
}

function into(value: object, items: object, path: string, above: Level[]): Level {
  const keys = Array.isArray(items) ? null : Object.keys(items)
  const { length } = keys ?? (items as unknown[])
  const level = { value, items: items as Level['items'], keys, length, path, next: 0 }
  above.push(level)
  return level
}

/** Whether it is a plain object or an array, of any realm, which JSON takes as it is. */
export function isOrdinary(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null && !isObjectPrototype(prototype)) return false
  // Math, JSON and `arguments` have properties with symbols as names, and JSON would skip such properties.
  return Object.getOwnPropertySymbols(value).length === 0
}

/** Objects of another realm, such as a test runner's sandbox, are not recognized by `instanceof`. */
const isObjectPrototype = (value: object): boolean =>
  Object.getPrototypeOf(value) === null && Object.hasOwn(value, 'isPrototypeOf')

/**
 * Whether JSON would write less of an object than it contains: it is a built-in object, its class has only private fields, or a
 * property has a symbol as its name. Instances of other classes are stored as their public fields.
 */
function isLost(value: object, tag: string): boolean {
  if (ArrayBuffer.isView(value) || LOST_IN_JSON.test(tag)) return true
  const isNamed = Object.getPrototypeOf(value) === null || isObjectPrototype(Object.getPrototypeOf(value))
  if (!isNamed && Object.keys(value).length === 0) return true
  return Object.getOwnPropertySymbols(value).some((symbol) =>
    Object.prototype.propertyIsEnumerable.call(value, symbol),
  )
}

const LOST_IN_JSON =
  /^(Map|Set|Weak\w+|RegExp|Promise|Error|DOMException|\w*ArrayBuffer|DataView|BigInt|Symbol|Arguments|Math|JSON|Atomics|Reflect|Blob|File|FormData|Headers|Request|Response|URLSearchParams|FinalizationRegistry|(Async)?Generator|.*Iterator|Iterator .*)$/
const BOXES = new Set(['Number', 'String', 'Boolean'])

/** The type of an object, found without `instanceof`. */
const tagOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1)

/** The name of its class. */
function nameOf(value: object): string | undefined {
  const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? name : undefined
}
