// @direct
// Conditions over a simulated clock, network and database: whatever the order in which things happen, each condition held at its
// position. The queries are those of src/; the simulated appends lock, check and take positions as the functions of sql/ do. Planted
// defects are found.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { query } from '../src/read/query.ts'
import { QueryBatcher } from '../src/read/query-batcher.ts'
import { RecentHorizon } from '../src/read/recent-horizon.ts'
import type { ConditionFlaws, ConditionsEngine } from './simulation/conditions.ts'
import { exploreConditions } from './simulation/conditions.ts'
import type { Mutant } from './simulation/mutants.ts'
import { plant, uproot } from './simulation/mutants.ts'
import './support/typescript.js'

const engine = { query, QueryBatcher, RecentHorizon }
const runs = Number(process.env.MEOWMX_SCHEDULES ?? 400)
/** Always the same schedules, for defects. */
const FIXED = { seed: 2, shrink: false }

test(`${runs} schedules`, async () => {
  const began = performance.now()
  const { held, refused } = await exploreConditions(engine, runs)
  const took = ((performance.now() - began) / 1_000).toFixed(1)
  console.log(`${runs} schedules in ${took} s: ${held} conditions held, ${refused} did not`)
  assert.ok(held > runs && refused > runs, `${held} held, ${refused} did not`)
})

async function finds(engine: ConditionsEngine, flaws: ConditionFlaws = {}): Promise<void> {
  const found = await exploreConditions(engine, 300, { ...FIXED, flaws }).then(
    () => 'nothing',
    (error) => String(error),
  )
  assert.match(found, /Broken: I9/)
}

for (const flaw of ['unlocked', 'highest', 'late', 'early'] as const)
  test(`found: ${flaw}`, () => finds(engine, { [flaw]: true }))

const mutants: readonly Mutant[] = [
  {
    name: 'queries forget what open appends hold back',
    file: 'src/read/horizon.ts',
    from: 'return Math.min(this.#free, ...this.#limits.values())',
    to: 'return this.#free',
  },
  {
    name: 'the horizon of a query is fetched after it has read',
    file: 'src/read/query.ts',
    from: '? { events: together, horizon: known! }',
    to: '? { events: together, horizon: (recent.expire(), await recent.get()) }',
  },
]

for (const mutant of mutants)
  test(`found: ${mutant.name}`, async () => {
    const folder = await plant(mutant)
    const load = (file: string) => import(pathToFileURL(join(folder, 'src/read', file)).href)
    try {
      const [one, two, three] = await Promise.all(
        ['query.ts', 'query-batcher.ts', 'recent-horizon.ts'].map(load),
      )
      await finds({ ...one, ...two, ...three })
    } finally {
      await uproot(folder)
    }
  })

test.run()
