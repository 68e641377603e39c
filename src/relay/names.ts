// Encodes names and values for subjects and headers.
import { createHash } from 'node:crypto'
import { jsonText } from '../core/json-text.ts'

/** The largest length of a token. A longer one is cut and gets a hash. */
const MAX_TOKEN = 128
const HASH = 32

/**
 * A name as one token of a subject. Letters, digits, `-` and `_` stay as they are; every other byte of its UTF-8 form becomes `%XX`.
 * So a token contains no dot or wildcard, and `decodeURIComponent` restores the name. A token of more than 128 characters is
 * cut, and ends with `~` and a hash: it cannot be decoded, and only the header has the whole name.
 */
export function token(name: string): string {
  const safe = encodeURIComponent(name).replace(/[.!*'()~]/g, percent)
  if (safe.length <= MAX_TOKEN) return safe
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH)
  return `${safe.slice(0, MAX_TOKEN - HASH - 1).replace(/%.?$/, '')}~${hash}`
}

/**
 * A text as the value of a header: one line of printable ASCII without spaces at its ends. Other characters and `%` become `%XX`,
 * so `decodeURIComponent` restores the text. Half of a surrogate pair, which plain SQL can write into metadata, becomes U+FFFD.
 */
export function headerText(text: string): string {
  return text.toWellFormed().replace(/^ +| +$|[^ -~]+|%/gu, (part) => encodeURIComponent(part))
}

/** JSON text in ASCII only; every parser reads the same value from it. */
export function asciiJson(value: unknown): string {
  return jsonText(value).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const percent = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
