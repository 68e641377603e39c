// An executor that stops waits only for its own deliveries: not for other executors, and not for a server that is unreachable.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { startProxy } from './support/proxy.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

const setUp = () => [uniqueName('leave'), uniqueName('leave')] as const

test('stop() does not wait for deliveries of another executor', async () => {
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

test('executors that leave and executors that claim never deadlock', async () => {
  const [category, name] = setUp()
  await createSubscription(name, { categories: [category], partitions: 2 })
  const leaver = await sqlExecutor(name, { owner: 'leaver' })
  const other = await sqlExecutor(name, { owner: 'other' })
  const sql = await pgClient()
  await sql.query(`set search_path = ${storeSchema}`)
  // The leaving executor has not called for long; the other one has the second partition, whose row is locked at this moment.
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

/** What a worker whose handler fails for the last time, or a consumer, has begun when the server goes away. */
const begunWrites = {
  'a park': async (store: Meow, name: string, away: () => Promise<void>) => {
    let begun = false
    let fail = (_: Error) => {}
    const handler = () => {
      begun = true
      return new Promise((_, reject) => {
        fail = reject
      })
    }
    store
      .subscription(name, { category: name, leaseMs: 1_000 })
      .process(handler, { retry: { maxAttempts: 1 } })
    await until(() => begun, { what: 'the handler' })
    await away()
    fail(new Error('no'))
  },
  'a replay': (store: Meow, name: string, away: () => Promise<void>) => replay(store, name, away),
  'a replay that fails again': (store: Meow, name: string, away: () => Promise<void>) =>
    replay(store, name, away, new Error('no')),
  'a retry behind which others are acked': async (store: Meow, name: string, away: () => Promise<void>) => {
    await meow.append({ category: name, streamId: 'b' }, { type: 'Happened', data: {} })
    let handled = false
    const handler = ({ streamId }: { streamId: string }) => {
      if (streamId === 'a') throw new Error('not yet')
      handled = true
    }
    store
      .subscription(name, { category: name, leaseMs: 1_000 })
      .process(handler, { retry: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } })
    await until(() => handled, { what: 'the other' })
    await away()
  },
}

async function replay(store: Meow, name: string, away: () => Promise<void>, error?: Error): Promise<void> {
  let begun = 0
  let end = () => {}
  const handler = () => {
    if (++begun === 1) throw new Error('no')
    return new Promise<void>((resolve, reject) => {
      end = () => (error ? reject(error) : resolve())
    })
  }
  store.subscription(name, { category: name, leaseMs: 1_000 }).process(handler, { retry: { maxAttempts: 1 } })
  await until(async () => (await meow.parked(name).catch(() => [])).length === 1, { what: 'it to be parked' })
  await meow.replayParked(name)
  await until(() => begun === 2, { what: 'the replay' })
  await away()
  end()
}

for (const [what, begin] of Object.entries(begunWrites)) {
  test(`close() does not wait for an unreachable server: ${what}`, async () => {
    const name = uniqueName('leave')
    await meow.append({ category: name, streamId: 'a' }, { type: 'Happened', data: {} })
    const proxy = await startProxy(databaseUrl())
    const store = await openStore({ connectionString: proxy.url, queryTimeoutMs: 2_000 })
    await begin(store, name, () => proxy.cut())
    let closed = false
    store.close().then(() => {
      closed = true
    })
    await until(() => closed, { what: 'close()' }).finally(() => proxy.heal())
    await until(() => closed, { what: 'close() behind the outage' })
    await proxy.close()
  })
}

test('a park that can’t be written any more rejects, like an ack', async () => {
  const name = uniqueName('leave')
  await meow.append({ category: name, streamId: 'a' }, { type: 'Happened', data: {} })
  const proxy = await startProxy(databaseUrl())
  const store = await openStore({ connectionString: proxy.url, queryTimeoutMs: 2_000 })
  const { all, has, subscription } = collect(
    store.subscription(name, { category: name, leaseMs: 1_000 }).deliveries(),
  )
  await has(1)
  await proxy.cut()
  const parking = all[0]!.park(new Error('no')).catch((error) => error)
  subscription.unsubscribe()
  assert.is((await parking)?.code, 'ERR_LEASE_LOST')
  await proxy.heal()
  await store.close()
  await proxy.close()
})

test.run()
