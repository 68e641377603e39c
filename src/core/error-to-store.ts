// The text of an error, as the store keeps it for parked events and failed timers.
import { describe } from './describe.ts'
import { redactText } from './secrets.ts'

/** Its stack, which begins with its message, or a description of the thrown value. */
export function errorToStore(error: unknown): string {
  if (error === undefined) return ''
  // PostgreSQL can store neither NUL nor half of a surrogate pair. The error must be stored nevertheless.
  return redactText(describe(error).slice(0, 100_000)).replaceAll('\u0000', '\uFFFD').toWellFormed()
}

/** Escapes all characters that are not ASCII, as JSON does. */
export const escapeNonAscii = (text: string): string =>
  text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
