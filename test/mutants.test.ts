// @direct @long
// The simulation is to be trusted: each planted defect is found within 100 schedules, and more hidden ones within 1,000.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { exploreCoalescing } from './simulation/coalescing.ts'
import { explore } from './simulation/explore.ts'
import type { Mutant } from './simulation/mutants.ts'
import {
  coalescingEngineOf,
  coalescingMutants,
  engineOf,
  mutants,
  plant,
  ringingEngineOf,
  ringingMutants,
  uproot,
} from './simulation/mutants.ts'
import { exploreRinging } from './simulation/ringing.ts'
import './support/typescript.js'
import { typescript } from './support/typescript.ts'

// Always the same schedules: of other seeds, some need more (see SEED in CONTRIBUTING.md).
const seedOf = (mutant: Mutant) => Number(process.env.SEED ?? mutant.seed ?? 2)

for (const mutant of [...mutants, ...coalescingMutants]) {
  const schedules = mutant.hidden ? 1_000 : 100
  test(`found within ${schedules} schedules: ${mutant.name}`, async () => {
    const folder = await plant(mutant)
    const options = { flaws: mutant.flaws ?? {}, seed: seedOf(mutant), shrink: false }
    try {
      const exploring = coalescingMutants.includes(mutant)
        ? exploreCoalescing(await coalescingEngineOf(folder), schedules, options)
        : explore(await engineOf(folder), schedules, options)
      const found = await exploring.then(
        () => undefined,
        (error) => String(error),
      )
      assert.ok(found, 'not found')
      assert.match(found!, /Broken: I\d/)
      console.log(`${mutant.name}: ${found!.split('\n').slice(0, 2).join(' ')}`)
    } finally {
      await uproot(folder)
    }
  })
}

for (const mutant of ringingMutants)
  test(`found within 1000 schedules: ${mutant.name}`, async () => {
    const folder = await plant(mutant)
    try {
      const engine = await ringingEngineOf(folder)
      const options = { flaws: mutant.flaws ?? {}, seed: Number(process.env.SEED ?? 2), shrink: false }
      const found = await exploreRinging(engine, 1_000, options).then(
        () => undefined,
        (error) => String(error),
      )
      assert.match(found ?? 'not found', /Broken: I\d/)
    } finally {
      await uproot(folder)
    }
  })

test('in PostgreSQL too: what the simulation takes for an unfenced ack is found by the test of the fence', async () => {
  const folder = await plant(mutants.find(({ name }) => name === 'unfenced ack')!)
  try {
    await cp(import.meta.dirname, join(folder, 'test'), { recursive: true })
    const child = spawn(process.execPath, [...typescript, 'test/executors-fence.test.ts'], {
      cwd: folder,
    })
    let said = ''
    child.stdout.on('data', (data) => {
      said += data
    })
    const [code] = await once(child, 'close')
    assert.is(code, 1, said)
    assert.match(said, /FAIL/)
  } finally {
    await uproot(folder)
  }
})

test.run()
