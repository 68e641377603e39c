import { answers } from './answers.ts'
import { checkpoints } from './checkpoints.ts'
import { delivered, once, ordered } from './delivered.ts'
import type { Evidence } from './evidence.ts'
import { broken, observers, pages } from './observers.ts'

/** How many findings of one check are printed; the rest is counted. */
const MOST = 5

/**
 * The checker: returns the broken promises as text; empty if all were kept. It uses the tables and the logs of the processes,
 * and nothing of the library.
 */
export function check(evidence: Evidence): string[] {
  const checks = { answers, delivered, ordered, once, checkpoints, observers, pages, broken }
  return Object.entries(checks).flatMap(([name, check]) => {
    const found = [...check(evidence)].map((what) => `${name}: ${what}`)
    return found.length > MOST ? [...found.slice(0, MOST), `${name}: and ${found.length - MOST} more`] : found
  })
}
