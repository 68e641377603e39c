// @direct
// Timers over a simulated clock, network and database: whatever the order in which things happen and break, each comes once and not
// early, its state and its effects together; soon if nothing is wrong; and nobody asks while the next one is far.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TimerRunner } from '../src/timers/runner.ts'
import { exploreRinging } from './simulation/ringing.ts'

const runs = Number(process.env.MEOWMX_SCHEDULES ?? 500)

test(`${runs} schedules`, async () => {
  const began = performance.now()
  const { fired } = await exploreRinging({ TimerRunner }, runs)
  console.log(`${runs} schedules in ${((performance.now() - began) / 1_000).toFixed(1)} s: ${fired} timers`)
  assert.ok(fired > runs, 'hardly a timer was fired')
})

test.run()
