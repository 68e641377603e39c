import type { Tap, Proxy as Way } from '../support/proxy.ts'
import { startProxy } from '../support/proxy.ts'

/** A proxy that knows enough of PostgreSQL's protocol to swallow an answer. */
export interface FaultProxy extends Way {
  /** Drops the answers to the next commits and resets their connections, so that nobody knows whether they were done. */
  loseAnswers(count: number): void
  /** Swallows notifications, while everything else passes. */
  loseNotifications(on: boolean): void
  /** Resets LISTEN connections, and each new one; all others pass. */
  banListeners(ban: boolean): void
}

/** Which statements of the library commit: a COMMIT, or a statement that is a transaction by itself. */
const COMMITS = /\bcommit\b|\bappend_|\.(advance|claim|release|park|replayed)\(/i
const NAMED = /\b(meowmx_[0-9a-f]{32})\0([^\0]*)/g // a statement that is prepared
const LISTENER = 'application_name\0meowmx listener '
const NOTIFICATION = 'A'.charCodeAt(0)

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  let toLose = 0
  let losesNotifications = false
  let banned = false
  const listeners = new Set<() => void>()
  const tap = (reset: () => void): Tap => {
    const committing = new Set<string>() // names of prepared statements
    let losing = false
    let rest: Buffer = Buffer.alloc(0)
    return {
      there: (chunk) => {
        const text = chunk.toString('latin1')
        if (text.includes(LISTENER)) {
          listeners.add(reset)
          if (banned) setImmediate(reset)
        }
        for (const [, name, sql] of text.matchAll(NAMED)) if (COMMITS.test(sql!)) committing.add(name!)
        if (toLose === 0 || losing) return
        losing = COMMITS.test(text) || [...committing].some((name) => text.includes(name))
        if (losing) toLose--
      },
      back: (chunk) => {
        if (losing) {
          setImmediate(reset)
          return undefined
        }
        // Whole messages pass: a type, and a length that counts itself.
        rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
        const passing: Buffer[] = []
        while (rest.length >= 5) {
          const size = 1 + rest.readInt32BE(1)
          if (rest.length < size) break
          if (!losesNotifications || rest[0] !== NOTIFICATION) passing.push(rest.subarray(0, size))
          rest = rest.subarray(size)
        }
        return passing.length > 0 ? Buffer.concat(passing) : undefined
      },
    }
  }
  const proxy = await startProxy(target, tap)
  const loseAnswers = (count: number) => {
    toLose = count
  }
  const loseNotifications = (on: boolean) => {
    losesNotifications = on
  }
  const banListeners = (ban: boolean) => {
    banned = ban
    for (const reset of listeners) reset()
    listeners.clear()
  }
  return Object.defineProperties(
    { loseAnswers, loseNotifications, banListeners } as FaultProxy,
    Object.getOwnPropertyDescriptors(proxy),
  )
}
