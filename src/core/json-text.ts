import { isDate } from './kinds.ts'

/**
 * The JSON text of a value that JSON.parse made, however deeply nested it is. JSON.stringify alone overflows the stack at about
 * 5,000 levels, and writes `null` for a number that a double can't hold, such as 1e400, which JSON.parse reads as Infinity.
 *
 * @param indent spaces per level; default 0: everything in one line
 */
export function jsonText(value: unknown, indent = 0): string {
  try {
    const text = JSON.stringify(value, null, indent)
    if (!text.includes('null') || !holdsInfinity(value)) return text
  } catch {
    // it is too deep for the stack
  }
  return write(value, indent)
}

function holdsInfinity(value: unknown): boolean {
  const left = [value]
  while (left.length > 0) {
    const one = left.pop()
    if (one === Infinity || one === -Infinity) return true
    if (typeof one === 'object' && one !== null) for (const item of Object.values(one)) left.push(item)
  }
  return false
}

/** The number of levels that are indented. Deeper levels are not indented further: the spaces alone would fill the memory. */
const MAX_INDENTED = 1_000

/** An object or an array that is being written. */
interface Level {
  readonly items: Readonly<Record<number | string, unknown>>
  /** Null if it is an array. */
  readonly keys: readonly string[] | null
  readonly length: number
  next: number
}

/** Writes the value with a stack of its own, so that its depth does not matter. */
function write(value: unknown, indent: number): string {
  const parts: string[] = []
  const above: Level[] = []
  const line = () => {
    if (indent > 0) parts.push(`\n${' '.repeat(indent * Math.min(above.length, MAX_INDENTED))}`)
  }
  const enter = (value: unknown) => {
    if (typeof value !== 'object' || value === null || isDate(value)) return parts.push(scalar(value))
    const keys = Array.isArray(value)
      ? null
      : Object.keys(value).filter((key) => (value as Level['items'])[key] !== undefined)
    const { length } = keys ?? (value as unknown[])
    if (length === 0) return parts.push(keys ? '{}' : '[]')
    parts.push(keys ? '{' : '[')
    return above.push({ items: value as Level['items'], keys, length, next: 0 })
  }
  enter(value)
  for (let level = above.at(-1); level; level = above.at(-1)) {
    const { items, keys, length, next } = level
    if (next === length) {
      above.pop()
      line()
      parts.push(keys ? '}' : ']')
      continue
    }
    level.next++
    if (next > 0) parts.push(',')
    line()
    const key = keys ? keys[next]! : next
    if (keys) parts.push(JSON.stringify(key), indent > 0 ? ': ' : ':')
    enter(items[key])
  }
  return parts.join('')
}

/** JSON has no infinity, but a number that is too large is read as infinity. */
function scalar(value: unknown): string {
  if (value === Infinity) return '1e999'
  return value === -Infinity ? '-1e999' : JSON.stringify(value)
}
