import { setTimeout as delay } from 'node:timers/promises'
import type { Meow } from '../../src/index.ts'

/** Waits until nothing is left to handle, and returns how long that took; or what is left after so long, in words. */
export async function drained(control: Meow, name: string, boundMs: number): Promise<number | string> {
  const begin = performance.now()
  for (;;) {
    const info = (await control.subscriptions()).find((one) => one.name === name)!
    const ms = Math.round(performance.now() - begin)
    if (info.lag === 0 && info.parked === 0) return ms
    if (ms > boundMs) {
      const stallers = await control.stallers()
      return `after ${ms} ms: ${JSON.stringify(info)}, held by ${JSON.stringify(stallers)}`
    }
    if (info.parked > 0) await control.replayParked(name)
    await delay(20)
  }
}
