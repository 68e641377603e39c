import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(4096)
let used = pool.length
let last = 0
let sequence = 0

/**
 * A UUIDv7 (RFC 9562, method 1: a counter in rand_a). Ids of one process ascend, so that the index on them grows at
 * its right edge.
 */
export function uuidv7(): string {
  const now = Date.now()
  if (now > last) {
    last = now
    sequence = 0
  } else if (++sequence > 0xfff) {
    last++ // more than 4,096 in a millisecond, or the clock went back: borrow from the next one
    sequence = 0
  }
  if (used + 8 > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const time = last.toString(16).padStart(12, '0')
  const random = pool.toString('hex', used, used + 8)
  used += 8
  const variant = (8 + (Number.parseInt(random[0]!, 16) & 3)).toString(16)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${sequence.toString(16).padStart(3, '0')}-${variant}${random.slice(1, 4)}-${random.slice(4)}`
}
