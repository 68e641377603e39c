// Offsets: positions as texts of one length, so that they sort as positions do.
import type { From } from '../live/observer.ts'
import { Problem } from './problem.ts'

/** 2^53 - 1 has 16 digits. */
const DIGITS = 16

/** The offset of a position. */
export const offsetOf = (position: number): string => String(position).padStart(DIGITS, '0')

/** The position of an offset. @throws Problem if it is not one */
export function positionOf(offset: string, name = 'offset'): number {
  const position = Number(offset)
  if (!/^\d{1,16}$/.test(offset) || !Number.isSafeInteger(position))
    throw new Problem(400, `${name} must be -1, now, or an offset that this feed gave out`)
  return position
}

/** Where a request begins to read: `offset`, or `since` in its place. Default: at the start. @throws Problem */
export function startOf(query: URLSearchParams): From {
  const offset = only(query, 'offset')
  const since = only(query, 'since')
  if (offset !== null && since !== null)
    throw new Problem(400, 'offset and since were both given: give only one')
  if (since !== null) {
    if (!/^\d{4}-\d\d-\d\d/.test(since) || Number.isNaN(Date.parse(since)))
      throw new Problem(400, 'since must be a time, such as 2026-01-31T14:00:00Z')
    return { since: new Date(since) }
  }
  if (offset === null || offset === '-1') return 'start'
  return offset === 'now' ? 'end' : { after: positionOf(offset) }
}

/** The value of a parameter that may come once. @throws Problem */
export function only(query: URLSearchParams, name: string): string | null {
  const values = query.getAll(name)
  if (values.length > 1) throw new Problem(400, `${name} was given ${values.length} times: give it once`)
  return values[0] ?? null
}
