import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits until `condition` returns something truthy, and returns that; asks every 10 ms. Throws after `timeoutMs` (default
 * 60,000: a busy machine may take long for what is done at once elsewhere), naming `what` it waited for.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 60_000, what }: { timeoutMs?: number; what: string },
): Promise<T> {
  for (const deadline = Date.now() + timeoutMs; ; await delay(10)) {
    const result = await condition()
    if (result) return result
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`)
  }
}
