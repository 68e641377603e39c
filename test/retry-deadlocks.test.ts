// A transaction that the server rolls back because of others runs again, a few times at most; other failures are passed on at once.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { retryDeadlocks } from '../src/database/retry-deadlocks.ts'
import { closeAll, directUrl, pgClient, uniqueName } from './support/store.ts'

test.after(closeAll)

async function table() {
  const sql = await pgClient()
  const name = uniqueName('counters')
  await sql.query(`create table ${name} (id int primary key, n int not null)`)
  await sql.query(`insert into ${name} values (1, 0), (2, 0)`)
  const sums = async () => (await sql.query(`select n from ${name} order by id`)).rows.map(({ n }) => n)
  return { sql, name, sums }
}

/** Resolves for all callers when `count` of them have arrived; later callers pass. */
function meeting(count: number): () => Promise<void> {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  let arrived = 0
  return () => {
    if (++arrived === count) open()
    return opened
  }
}

test('two transactions that wait for each other both succeed, and one of them ran again', async () => {
  const { sql, name, sums } = await table()
  const meet = meeting(2)
  let runs = 0
  const add = async (order: readonly number[]) => {
    const client = await pgClient({ connectionString: directUrl() })
    await retryDeadlocks(async () => {
      runs++
      await client.query('begin')
      try {
        for (const id of order) {
          await client.query(`update ${name} set n = n + 1 where id = $1`, [id])
          await meet()
        }
        await client.query('commit')
      } catch (error) {
        await client.query('rollback')
        throw error
      }
    })
  }
  await Promise.all([add([1, 2]), add([2, 1])])
  assert.equal(await sums(), [2, 2])
  assert.ok(runs > 2, `${runs} runs`)
  await sql.query(`drop table ${name}`)
})

test('it gives up after the last attempt, and at once if something else fails', async () => {
  const failing = (code: unknown) => {
    let runs = 0
    const run = () => {
      runs++
      return Promise.reject(Object.assign(new Error('no'), { code }))
    }
    return retryDeadlocks(run).then(
      () => assert.unreachable('it succeeded'),
      () => runs,
    )
  }
  assert.is(await failing('40P01'), 5)
  assert.is(await failing('40001'), 5)
  for (const code of ['23505', '57014', 40_001, undefined]) assert.is(await failing(code), 1)
})

test.run()
