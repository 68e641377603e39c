import { setTimeout as delay } from 'node:timers/promises'
import type { Meow } from '../../src/index.ts'

/** The pause between two requests to replay parked events: each request wakes all executors. */
const REPLAY_MS = 1_000

/**
 * Waits until nothing is left to handle. Returns how long that took or, after the time limit, a text that says what is left.
 * Parked streams are replayed first: they may have many events, which are handled one by one, so it is enough that their number
 * falls.
 */
export async function drained(control: Meow, name: string, boundMs: number): Promise<number | string> {
  const begin = performance.now()
  let [since, replayedAt, least] = [begin, -Infinity, Infinity]
  for (;;) {
    const info = (await control.subscriptions()).find((one) => one.name === name)!
    const now = performance.now()
    if (info.lag === 0 && info.parked === 0) return Math.round(now - begin)
    if (info.parked > 0 && info.parked < least) {
      least = info.parked
      since = now
    }
    if (now - since > boundMs) {
      const stallers = await control.stallers()
      return `after ${Math.round(now - begin)} ms: ${JSON.stringify(info)}, held by ${JSON.stringify(stallers)}`
    }
    if (info.parked > 0 && now - replayedAt > REPLAY_MS) {
      await control.replayParked(name)
      replayedAt = now
    }
    await delay(20)
  }
}
