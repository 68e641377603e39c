// @direct
// close() at any moment leaves no connection and no handle (I8): a child process, which never calls process.exit(), opens
// and closes stores at random moments, under faults, and ends by itself.
import { firstValueFrom, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeOften } from './support/close.ts'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

for (const [faults, rounds] of [
  ['none', 40],
  ['terminate', 40],
  ['cut', 15],
  ['blackhole', 3],
] as const) {
  test(`at random moments, ${rounds} times: fault ${faults}`, () => closeOften(faults, rounds))
}

test('calls that are under way end, and later calls are refused', async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('drain'), streamId: '1' }
  const appends = Array.from({ length: 50 }, () => meow.append(stream, { type: 'Happened', data: {} }))
  const seen = collect(meow.events({ category: stream.category }))
  let [begun, ended, closed] = [0, 0, false]
  const worker = meow.subscription(uniqueName('drain'), { category: stream.category }).process(async () => {
    begun++
    await until(() => closed, { what: 'close()' })
    ended++
  })
  await until(() => begun > 0, { what: 'the handler' })
  const closing = meow.close()
  closed = true
  const results = await Promise.all(appends)
  assert.is(results.length, 50)
  await closing
  await worker.done
  assert.equal([begun, ended], [1, 1], 'the event in hand, and no other')
  assert.ok(seen.completed)
  assert.equal((await firstValueFrom(meow.status$.pipe(toArray()))).length, 0)
  for (const call of [
    () => meow.append(stream, { type: 'Late', data: {} }),
    () => meow.load(stream),
    () => meow.read({}),
    () => meow.categories(),
    () => meow.migrate(),
    async () => meow.subscription('late', {}).process(() => {}),
  ]) {
    const error = await call().then(
      () => assert.unreachable('not refused'),
      (error) => error,
    )
    assert.is(error.code, 'ERR_CLOSED')
  }
  await meow.close()
})

test('await using closes; a pool that was lent is left alone', async () => {
  const { pool } = countingPool()
  {
    await using meow = await openStore({ pool })
    await meow.read({})
  }
  assert.is((await pool.query('select 1 as one')).rows[0].one, 1)
  await pool.end()
})

test.run()
