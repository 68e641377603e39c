// @direct
// The subscribing engine over a simulated clock, network and database: whatever the order in which things happen and
// break, every committed event is handled, in order, repeated at most as promised, and in time once nothing breaks any more.
import { test } from 'uvu'
import { Live } from '../src/live/live.ts'
import { ListenConnection } from '../src/notify/listen-connection.ts'
import { Reader } from '../src/read/reader.ts'
import { Subscriptions } from '../src/subscriptions/subscriptions.ts'
import { explore } from './simulation/explore.ts'
import { regressions } from './simulation/regressions.ts'
import { simulate } from './simulation/simulate.ts'

const runs = Number(process.env.MEOWMX_SCHEDULES ?? 1_500)

const engine = { ListenConnection, Live, Reader, Subscriptions }

for (const { name, setup, choices } of regressions)
  test(name, async () => {
    await simulate(engine, setup, choices)
  })

test(`${runs} schedules`, async () => {
  const began = performance.now()
  const { total, healedMs } = await explore(engine, runs)
  const took = ((performance.now() - began) / 1_000).toFixed(1)
  console.log(`${runs} schedules in ${took} s, healed within ${healedMs} ms: ${JSON.stringify(total)}`)
})

test.run()
