// process(): while events keep coming and the window has room, one checkpoint every 5 ms is enough.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { countingPool } from './support/counting-pool.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

/** Handles this many events. Returns how many checkpoints were written until all were covered, and how long that took, in ms. */
async function handle(events: number): Promise<{ written: number; ms: number }> {
  const { pool, queries } = countingPool()
  const meow = await openStore({ pool })
  const name = uniqueName('pace')
  const happened = Array.from({ length: 500 }, () => ({ type: 'Happened', data: {} }))
  for (let n = 0; n < events; n += 500) await meow.append({ category: name, streamId: `${n}` }, happened)
  const written = () => queries.filter((query) => query.includes('.advance(')).length
  const { position } = (await meow.read({ category: name }, { direction: 'backward', limit: 1 })).events[0]!
  const begin = performance.now()
  // One turn of the event loop for each event, so each is acked alone.
  const handler = () => new Promise<void>((resolve) => setImmediate(resolve))
  const worker = meow.subscription(name, { category: name, maxInFlight: 5 * events }).process(handler)
  const covered = async () =>
    (await meow.subscriptions()).find((one) => one.name === name)?.position === position
  await until(covered, { what: 'all to be covered' })
  const result = { written: written(), ms: performance.now() - begin }
  await worker.stop()
  await meow.close()
  await pool.end()
  return result
}

test('checkpoints are no more than one every 5 ms', async () => {
  const { written, ms } = await handle(2_000)
  assert.ok(written <= ms / 5 + 2, `${written} in ${ms} ms`)
})

test.run()
