import { createHash } from 'node:crypto'
import { jsonText } from '../core/json-text.ts'

/** Of a token of a subject: what is longer is cut, and told apart by its hash. */
const MAX_TOKEN = 128
const HASH = 32

/**
 * A name as one token of a subject: letters, digits, `-` and `_` stand for themselves, all else for its UTF-8 bytes as
 * `%XX`, so that no name can hold a dot or a wildcard and `decodeURIComponent` gives it back. One that comes out longer
 * than 128 characters is cut, and ends in `~` and a hash: it can't be given back, and is told by its header alone.
 */
export function token(name: string): string {
  const safe = encodeURIComponent(name).replace(/[.!*'()~]/g, percent)
  if (safe.length <= MAX_TOKEN) return safe
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH)
  return `${safe.slice(0, MAX_TOKEN - HASH - 1).replace(/%.?$/, '')}~${hash}`
}

/**
 * A text as the value of a header, which is one line of printable ASCII without blanks at its ends: what it can't hold stands
 * as `%XX`, and `%` itself, so that `decodeURIComponent` gives the text back. Half a surrogate pair, which a writer of plain SQL
 * can put into metadata, becomes U+FFFD.
 */
export function headerText(text: string): string {
  return text.toWellFormed().replace(/^ +| +$|[^ -~]+|%/gu, (part) => encodeURIComponent(part))
}

/** JSON in ASCII alone: the same value to any parser. */
export function asciiJson(value: unknown): string {
  return jsonText(value).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const percent = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
