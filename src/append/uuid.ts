import { randomUUID } from 'node:crypto'
import { wall } from '../core/clock.ts'

let last = 0
let sequence = 0

/**
 * A UUIDv7 (RFC 9562, method 1: a counter in rand_a). Ids of one process ascend, so that the index on them grows at
 * its right edge.
 */
export function uuidv7(): string {
  const now = wall()
  if (now > last) {
    last = now
    sequence = 0
  } else if (++sequence > 0xfff) {
    last++ // more than 4,096 in one millisecond, or the clock went back: use the next millisecond
    sequence = 0
  }
  const time = last.toString(16).padStart(12, '0')
  const counter = sequence.toString(16).padStart(3, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${randomUUID().slice(19)}` // variant and random bits are as in v4
}
