// @direct
// Publishers over a simulated clock, network and database: whatever the order in which things happen and break, a LISTEN client
// that never polls is notified of every event after its commit, and the lease is closed in the end.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Coalescer } from '../src/notify/coalescing/coalescer.ts'
import { exploreCoalescing } from './simulation/coalescing.ts'

const runs = Number(process.env.MEOWMX_SCHEDULES ?? 2_000)

test(`${runs} schedules`, async () => {
  const began = performance.now()
  const { notified, published } = await exploreCoalescing({ Coalescer }, runs)
  const took = ((performance.now() - began) / 1_000).toFixed(1)
  console.log(`${runs} schedules in ${took} s: ${notified} notified, ${published} of them by publishers`)
  assert.ok(published > notified / 5, 'there are hardly any publishers')
})

test.run()
