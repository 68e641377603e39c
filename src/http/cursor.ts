// Cursors of the Durable Streams protocol (8.1): a cache between server and client must not answer the same request for ever.
import { wall } from '../core/clock.ts'

const EPOCH_MS = Date.UTC(2024, 9, 9)
const INTERVAL_MS = 20_000
/** The largest jitter: an hour. */
const MAX_JITTER_MS = 3_600_000

/** The number of the current interval, or a larger one than the client has. */
export function cursorAfter(given: string | null): string {
  const current = Math.floor((wall() - EPOCH_MS) / INTERVAL_MS)
  const known = given !== null && /^\d{1,15}$/.test(given) ? Number(given) : -1
  if (known < current) return String(current)
  return String(known + 1 + Math.floor((Math.random() * MAX_JITTER_MS) / INTERVAL_MS))
}
