// @serial @direct
// Faults of executors, writers, connections and the server at random, also at the same time: afterwards, every promise was kept
// (I1 to I9; faults/check.ts says which). Two runs at once, of both kinds of workers, polling and not. `npm run test:faults`
// does so for longer. MEOWMX_FAULT_SEED repeats the faults of a run, but not its timing.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { report, table } from './faults/report.ts'
import type { FaultReport } from './faults/run.ts'
import { faultRun } from './faults/run.ts'

const SECONDS = 5
const first = process.env.MEOWMX_FAULT_SEED
  ? Number(process.env.MEOWMX_FAULT_SEED)
  : 4 * Math.floor(Math.random() * 1e8)
const reports: FaultReport[] = []

for (const seeds of [
  [first, first + 1],
  [first + 2, first + 3],
]) {
  test(`seeds ${seeds.join(' and ')}`, async () => {
    const two = await Promise.all(seeds.map((seed) => faultRun({ seed, seconds: SECONDS })))
    reports.push(...two)
    for (const one of two) console.log(report(one, `MEOWMX_FAULT_SEED=${first} npm test -- faults`))
    assert.equal(
      two.flatMap(({ violations }) => violations),
      [],
    )
  })
}

test('what it was', () => {
  console.log(table(reports))
  assert.ok(
    reports.every(({ events }) => events > 50),
    'events, or this test shows nothing',
  )
  assert.ok(reports.flatMap(({ recoveries }) => recoveries).length >= 16, 'faults')
})

test.run()
