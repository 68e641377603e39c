// @direct
// Those who notify for all, over a simulated clock, network and database: whatever the order in which things happen and break,
// a LISTENER who never polls is told of every event after its commit, and the lease is closed in the end.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Duty } from '../src/notify/coalescing/duty.ts'
import { exploreQuiet } from './simulation/conductor.ts'

const runs = Number(process.env.MEOWMX_SCHEDULES ?? 2_000)

test(`${runs} schedules`, async () => {
  const began = performance.now()
  const { told, rung } = await exploreQuiet({ Duty }, runs)
  const took = ((performance.now() - began) / 1_000).toFixed(1)
  console.log(`${runs} schedules in ${took} s: told of ${told}, of ${rung} by who conducted`)
  assert.ok(rung > told / 5, 'nobody conducts')
})

test.run()
