import fc from 'fast-check'
import type { Counts } from './checks.ts'
import type { Flaws } from './database.ts'
import type { Engine, Setup } from './simulate.ts'
import { AMBUSHES, LATE, simulate } from './simulate.ts'

const sizes = {
  partitions: fc.integer({ min: 1, max: 3 }),
  machines: fc.constantFrom(1, 1, 2, 3),
  concurrency: fc.integer({ min: 1, max: 2 }),
  batchSize: fc.constant(null),
  maxWaitMs: fc.constant(0),
  maxInFlight: fc.integer({ min: 1, max: 4 }),
  maxBufferedBytes: fc.constantFrom(67_108_864, 67_108_864, 4_096, 1_024),
  slowHandlers: fc.boolean(),
  failures: fc.constantFrom(0, 1, 3),
  service: fc.constant(false),
  poison: fc.constant(false),
  late: fc.constantFrom(...LATE),
}

/** Many events are written, and many things may break. */
const busy: fc.Arbitrary<Setup> = fc.record({
  ...sizes,
  everything: fc.boolean(),
  push: fc.constantFrom('reliable', 'lossy', 'none'),
  events: fc.constantFrom(3, 5, 10, 20),
  faults: fc.constantFrom(0, 1, 2, 4, 8),
  ambush: fc.constant(null),
  begin: fc.constantFrom('cold', 'listening', 'working'),
})

/** Few events are written, while the LISTEN connection is missing or not listening yet. */
const quiet: fc.Arbitrary<Setup> = fc.record({
  ...sizes,
  late: fc.constantFrom('listen', 'nothing'),
  everything: fc.constant(false),
  push: fc.constant('reliable'),
  events: fc.integer({ min: 1, max: 3 }),
  faults: fc.constantFrom(0, 2, 6),
  ambush: fc.constantFrom(...AMBUSHES),
  begin: fc.constant('listening'),
})

/** A service that handlers need is down now and then, and one stream may always fail; nothing else breaks. */
const failing: fc.Arbitrary<Setup> = fc.record({
  ...sizes,
  partitions: fc.constant(1),
  machines: fc.constant(1),
  maxInFlight: fc.integer({ min: 4, max: 8 }),
  slowHandlers: fc.constant(true),
  failures: fc.constant(0),
  service: fc.constant(true),
  poison: fc.boolean(),
  everything: fc.constant(true),
  push: fc.constant('reliable'),
  events: fc.constantFrom(5, 10, 20),
  faults: fc.constant(0),
  ambush: fc.constant(null),
  begin: fc.constant('working'),
})

/** Handlers are slow: mostly one is running when its process is stopped, killed or frozen. */
const hanging: fc.Arbitrary<Setup> = fc.record({
  ...sizes,
  machines: fc.integer({ min: 1, max: 2 }),
  slowHandlers: fc.constant(true),
  late: fc.constant('handled'),
  everything: fc.constant(true),
  push: fc.constantFrom('reliable', 'lossy'),
  events: fc.constantFrom(10, 20),
  faults: fc.constantFrom(2, 4, 8),
  ambush: fc.constant(null),
  begin: fc.constant('working'),
})

const setup = fc.oneof(
  { arbitrary: busy, weight: 6 },
  { arbitrary: quiet, weight: 6 },
  { arbitrary: failing, weight: 2 },
  { arbitrary: hanging, weight: 1 },
)

/** What is different where handlers get batches: there has to be room for some, and one event may spoil them. */
const batches = fc.record({
  batchSize: fc.constantFrom(2, 3, 5, 500),
  maxWaitMs: fc.constantFrom(0, 0, 20, 300),
  maxInFlight: fc.integer({ min: 2, max: 8 }),
  poison: fc.boolean(),
})

/**
 * The processes of a run and what happens, one number for each step. Whether there are batches is drawn last, so that schedules
 * without batches stay the same as in earlier versions.
 */
const schedules = fc.noBias(
  fc
    .record({
      setup,
      choices: fc.array(fc.nat({ max: 0xffff }), { maxLength: 250, size: 'max' }),
      batching: fc.oneof(
        { withCrossShrink: true },
        { arbitrary: fc.constant({}), weight: 2 },
        { arbitrary: batches, weight: 1 },
      ),
    })
    .map(({ setup, choices, batching }) => ({ setup: { ...setup, ...batching }, choices })),
)

const anySeed = () => Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/**
 * Runs this many schedules of a seed (SEED of the environment, or a random one). A schedule that breaks a promise is reduced as
 * far as possible, and thrown with its steps and a command that repeats it.
 *
 * @returns the sums over all runs, and the longest time from the last fault until everything was handled, in simulated ms
 */
export async function explore(
  engine: Engine,
  runs: number,
  { flaws = {}, seed = anySeed(), shrink = true }: { flaws?: Flaws; seed?: number; shrink?: boolean } = {},
): Promise<{ total: Counts; healedMs: number }> {
  const total: Counts = { handled: 0, repeated: 0, takenOver: 0, refused: 0, parked: 0 }
  let slowest = 0
  const property = fc.asyncProperty(schedules, async ({ setup, choices }) => {
    const { counts, healedMs } = await simulate(engine, setup, choices, flaws)
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += counts[key]
    slowest = Math.max(slowest, healedMs)
  })
  const details = await fc.check(property, {
    numRuns: runs,
    seed,
    endOnFailure: !shrink,
  })
  if (!details.failed) return { total, healedMs: slowest }
  const [schedule] = details.counterexample ?? []
  throw new Error(
    `after ${details.numRuns} schedules, SEED=${details.seed}:\n${details.errorInstance}\n${JSON.stringify(schedule)}`,
  )
}
