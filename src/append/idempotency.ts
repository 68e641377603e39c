// Ids that are derived from an idempotency key, so that a repeated call finds what the first one has recorded.
import { z } from 'zod'
import { ValidationError } from '../core/errors.ts'
import { uuidv5 } from '../core/uuid5.ts'
import type { NewEvent, StreamRef } from '../events/event.ts'
import type { Request } from './request.ts'

export const idempotencyKeySchema = z.string().min(1).optional()

/** The id of the event that a call with this key appends to a stream as its `index`th one. */
export const derivedId = ({ category, streamId }: StreamRef, key: string, index: number): string =>
  uuidv5(JSON.stringify([category, streamId, key, index]))

/** Gives the events of a request the ids that are derived from the key. */
export function deriveIds(request: Request, given: NewEvent | readonly NewEvent[], key: string): void {
  ;[given].flat().forEach(({ id }, i) => {
    if (id !== undefined)
      throw new ValidationError(
        Array.isArray(given) ? `events[${i}].id` : 'events.id',
        'must be left out with an idempotencyKey, from which ids are derived',
        id,
      )
  })
  request.events.forEach((event, i) => {
    event.id = derivedId(request.stream, key, i)
  })
  request.lookup = true
}
