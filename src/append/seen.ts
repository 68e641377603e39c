// What a query has seen, as a signed text: users pass it on, perhaps by way of a browser, to the condition of an append.
import { createHash } from 'node:crypto'
import { ValidationError } from '../core/errors.ts'

/**
 * What a query has seen. It is opaque: pass it to `failIf.after` of the same store. It may be stored, or sent to a browser and back.
 */
export type Seen = string

/** A horizon, and the positions above it that were seen. */
export interface SeenPositions {
  readonly horizon: number
  readonly positions: readonly number[]
}

const FORM = /^s1((?:\.\d{1,16})+)\.[0-9a-f]{32}$/

/** Signs with the key of the store, so that it can't be forged, and belongs to no other store; as sql/functions/sign_seen.sql does. */
export function signSeen(key: Buffer, { horizon, positions }: SeenPositions): Seen {
  const payload = ['s1', horizon, ...positions].join('.')
  const inner = createHash('sha256').update(key).update(payload).digest()
  return `${payload}.${createHash('sha256').update(key).update(inner).digest('hex').slice(0, 32)}`
}

/** Takes apart what `signSeen` has made with this key. Otherwise a ValidationError. */
export function readSeen(key: Buffer, seen: unknown, path: string): SeenPositions {
  const [, numbers = ''] = (typeof seen === 'string' && FORM.exec(seen)) || []
  const [horizon = 0, ...positions] = numbers.split('.').slice(1).map(Number)
  if (numbers === '' || signSeen(key, { horizon, positions }) !== seen)
    throw new ValidationError(path, 'must be what query() of this store has returned as `seen`', seen)
  return { horizon, positions }
}
