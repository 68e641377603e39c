// @serial @direct
// The siege's checker finds each defect that is planted in the evidence of a real run, and nothing in that run itself: some
// seconds of chaos, several processes. `npm run test:siege` does so for longer. MEOWMX_SIEGE_SEED repeats what happens.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chaos } from './siege/chaos/run.ts'
import { check } from './siege/checks/check.ts'
import type { Evidence } from './siege/checks/evidence.ts'
import { defects } from './siege/defects.ts'
import { table } from './siege/report.ts'
import { leaks, trend } from './siege/soak/trend.ts'
import { random } from './support/random.ts'

const seed = Number(process.env.MEOWMX_SIEGE_SEED || Math.floor(Math.random() * 1e9))
let evidence: Evidence | undefined

test('some seconds of chaos break no promise', async () => {
  const report = await chaos({
    seed,
    seconds: 6,
    processes: 3,
    keep: (kept) => {
      evidence = kept
    },
  })
  console.log(`MEOWMX_SIEGE_SEED=${seed} npm test -- siege\n${table(report)}`)
  assert.equal(report.findings, [])
  assert.ok(evidence!.events.length > 50, 'events, or this test shows nothing')
})

for (const [what, { plant, found }] of Object.entries(defects)) {
  test(`the checker finds ${what}`, () => {
    const findings = check(plant(evidence!))
    assert.ok(
      findings.some((finding) => found.test(finding)),
      `expected ${found} among ${JSON.stringify(findings)}`,
    )
  })
}

test('a trend is told from noise', () => {
  const dice = random(seed)
  const series = (value: (n: number) => number) =>
    trend(Array.from({ length: 60 }, (_, n) => ({ at: n * 2_000, value: value(n) })))!
  assert.not.ok(
    leaks(
      series(() => 20),
      1,
    ),
    'what stands still',
  )
  assert.not.ok(
    leaks(
      series(() => dice.int(20, 30)),
      1,
    ),
    'noise alone',
  )
  assert.not.ok(
    leaks(
      series((n) => Math.min(n, 20)),
      1,
    ),
    'what grows to begin with',
  )
  assert.not.ok(
    leaks(
      series((n) => 20 + (n % 5)),
      1,
    ),
    'a saw without a trend',
  )
  assert.ok(
    leaks(
      series((n) => 20 + n / 5 + dice.int(0, 2)),
      1,
    ),
    'a leak below noise',
  )
  assert.is(trend([{ at: 0, value: 1 }]), undefined)
})

test.run()
