// replayParked() gives an event all its attempts once more, and once only.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { holdingPool } from './support/holding-pool.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

const retry = { maxAttempts: 3, minDelayMs: 1, maxDelayMs: 3 }

for (const transactional of [false, true]) {
  for (const restart of [false, true]) {
    const how = `${transactional ? 'transactional' : 'plain'}, ${restart ? 'by another executor' : 'by the same executor'}`
    test(`attempts are counted from 1 again, ${how}`, async () => {
      const name = uniqueName('attempts')
      await meow.append({ category: name, streamId: 'a' }, Array(2).fill({ type: 'Happened', data: {} }))
      const seen: [version: number, attempt: number][] = []
      const start = () =>
        meow.subscription(name, { category: name }).process(
          ({ version }, { attempt }) => {
            seen.push([version, attempt])
            throw new Error('no')
          },
          { transactional, retry },
        )
      let worker = start()
      const attempts = () => seen.splice(0).map(([version, attempt]) => `${version}.${attempt}`)
      const parkedAfter = (count: number) =>
        until(async () => (await meow.parked(name).catch(() => []))[0]?.attempts === count, {
          what: 'it to be parked',
        })
      await parkedAfter(3)
      assert.equal(attempts(), ['0.1', '0.2', '0.3'])
      if (restart) await worker.stop()
      assert.is(await meow.replayParked(name), 2)
      if (restart) {
        const [first] = await meow.parked(name)
        assert.is(first!.attempts, 0)
        assert.match(first!.error!, /^Error: no/)
        worker = start()
      }
      await parkedAfter(3)
      await until(() => seen.some(([, attempt]) => attempt === 3), { what: 'the last attempt' })
      await until(async () => (await info(name))!.lag === 0, { what: 'it to be parked for good' })
      assert.equal(attempts(), ['0.1', '0.2', '0.3'])
      await worker.stop()
    })
  }
}

test('a late answer with the parked streams does not replay anything twice', async () => {
  const name = uniqueName('attempts')
  const { pool, hold } = holdingPool()
  const store = await openStore({ pool })
  await meow.append({ category: name, streamId: 'a' }, { type: 'Happened', data: {} })
  let runs = 0
  let fail = () => {}
  const handler = () => {
    if (++runs === 1) throw new Error('no')
    return new Promise((_, reject) => {
      fail = () => reject(new Error('no'))
    })
  }
  const worker = store
    .subscription(name, { category: name, leaseMs: 60_000 })
    .process(handler, { retry: { maxAttempts: 1 } })
  await until(async () => (await meow.parked(name).catch(() => [])).length === 1, { what: 'it to be parked' })
  await meow.replayParked(name)
  await until(() => runs === 2, { what: 'the replay' })
  const sql = await pgClient()
  const ring = () => sql.query(`select pg_notify(${storeSchema}.wake_channel($1), '')`, [name])
  const late = hold('.parked_streams(')
  await ring()
  await late.some()
  fail()
  await until(async () => (await meow.parked(name))[0]!.attempts === 1, { what: 'it to be parked again' })
  // Its own turn to know of that: the lag is what it says it has still to do.
  await until(async () => (await info(name))!.lag === 0, { what: 'nothing to be left' })
  late.release()
  for (let looks = 0; looks < 3; looks++) {
    const next = hold('.parked_streams(')
    await ring()
    await next.some()
    next.release()
  }
  assert.is(runs, 2)
  await worker.stop()
  await store.close()
  await pool.end()
})

const info = async (name: string) => (await meow.subscriptions()).find((one) => one.name === name)

test.run()
