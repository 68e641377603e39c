// An executor that stops waits for what it has in hand, and for nothing else: no neighbour's transaction.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

const setUp = () => [uniqueName('leave'), uniqueName('leave')] as const

test('stop() does not wait for what another executor has open', async () => {
  const [category, name] = setUp()
  await createSubscription(name, { categories: [category], partitions: 2 })
  const other = await sqlExecutor(name)
  const worker = meow.subscription(name, { category, partitions: 2 }).process(() => {})
  await worker.ready
  // As a transaction does that is about to commit its checkpoint, and is frozen there.
  const frozen = await pgClient()
  await frozen.query('begin')
  await frozen.query(`select ${storeSchema}.holds($1, 0, $2)`, [name, other.epochs.get(0)])
  let stopped = false
  const stopping = worker.stop().then(() => {
    stopped = true
  })
  await until(() => stopped, { what: 'stop()' }).finally(() => frozen.query('rollback'))
  await stopping
  await other.leave()
})

test('who leaves and who claims are no deadlock', async () => {
  const [category, name] = setUp()
  await createSubscription(name, { categories: [category], partitions: 2 })
  const leaver = await sqlExecutor(name, { owner: 'leaver' })
  const other = await sqlExecutor(name, { owner: 'other' })
  const sql = await pgClient()
  await sql.query(`set search_path = ${storeSchema}`)
  // The leaver was not heard of for long; the other has the second partition, whose row is in use just now.
  await sql.query(`update checkpoints set owner = 'other' where subscription = $1 and partition = 1`, [name])
  await sql.query(`update executors set alive_until = now() where subscription = $1 and owner = 'leaver'`, [
    name,
  ])
  other.epochs.set(1, leaver.epochs.get(1)!)
  leaver.epochs.delete(1)
  await sql.query('begin')
  await sql.query('select from checkpoints where subscription = $1 and partition = 1 for update', [name])
  const waiting = (count: number) =>
    until(
      async () => {
        const { rows } = await sql.query(
          `select count(*)::int as n from pg_stat_activity where $1::int = any (pg_blocking_pids(pid))`,
          [(sql as unknown as { processID: number }).processID],
        )
        return rows[0].n >= count
      },
      { what: 'them to wait for the row' },
    )
  const leaving = leaver.leave().then(() => true)
  await Promise.race([leaving, waiting(1)])
  const claiming = other.claim()
  await waiting(1)
  await sql.query('commit')
  await Promise.all([leaving, claiming])
  const { rows } = await sql.query(
    `select owner from checkpoints where subscription = $1 order by partition`,
    [name],
  )
  assert.equal(
    rows.map(({ owner }) => owner),
    ['other', 'other'],
  )
})

test.run()
