import fc from 'fast-check'
import type { Flaws } from './database.ts'
import type { Engine, Setup } from './simulate.ts'
import { simulate } from './simulate.ts'

const setup: fc.Arbitrary<Setup> = fc.record({
  partitions: fc.integer({ min: 1, max: 3 }),
  machines: fc.integer({ min: 1, max: 3 }),
  concurrency: fc.integer({ min: 1, max: 2 }),
  maxInFlight: fc.integer({ min: 1, max: 4 }),
  slowHandlers: fc.boolean(),
  everything: fc.boolean(),
  push: fc.constantFrom('reliable', 'lossy', 'none'),
})

/** Who takes part, and what happens, a number a step. */
const schedules = fc.record({
  setup,
  choices: fc.array(fc.nat({ max: 0xffff }), { maxLength: 250, size: 'max' }),
})

/**
 * Runs so many schedules, those of a seed (SEED, or any). One in which a promise is broken is made as short as it can be,
 * and thrown with what happened in it, and with how to run it again.
 */
export async function explore(engine: Engine, runs: number, flaws: Flaws = {}): Promise<void> {
  const property = fc.asyncProperty(schedules, async ({ setup, choices }) => {
    await simulate(engine, setup, choices, flaws)
  })
  const details = await fc.check(property, {
    numRuns: runs,
    ...(process.env.SEED ? { seed: Number(process.env.SEED) } : {}),
  })
  if (!details.failed) return
  const [schedule] = details.counterexample ?? []
  throw new Error(
    `after ${details.numRuns} schedules, SEED=${details.seed}:\n${details.errorInstance}\n${JSON.stringify(schedule)}`,
  )
}
