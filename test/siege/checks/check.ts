import { answers } from './answers.ts'
import { checkpoints } from './checkpoints.ts'
import { delivered, once, ordered } from './delivered.ts'
import type { Evidence } from './evidence.ts'
import { broken, observers, pages } from './observers.ts'

/** How many findings of one check are told; the rest is counted. */
const MOST = 5

/**
 * Our own checker: what broke, in words; nothing if all promises were kept. It knows the tables and what processes wrote
 * down, and nothing of the library.
 */
export function check(evidence: Evidence): string[] {
  const checks = { answers, delivered, ordered, once, checkpoints, observers, pages, broken }
  return Object.entries(checks).flatMap(([name, check]) => {
    const found = [...check(evidence)].map((what) => `${name}: ${what}`)
    return found.length > MOST ? [...found.slice(0, MOST), `${name}: and ${found.length - MOST} more`] : found
  })
}
