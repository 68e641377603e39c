// transactional: however many transactions are open, and for however long, a connection is left to renew the leases.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { streamsOf } from './support/sql-executor.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

test('two executors with more partitions than connections come to an end, and repeat nothing', async () => {
  const name = uniqueName('connections')
  const leaseMs = 1_500
  const happened = Array(6).fill({ type: 'Happened', data: {} })
  for (const [streamId] of await streamsOf(name, 4, 1)) {
    await meow.append({ category: name, streamId: streamId! }, happened)
  }
  const stores = [1, 2].map(() => openStore({ maxConnections: 2, pollIntervalMs: 200 }))
  const begun: string[] = []
  // The six of a stream are one transaction, which takes longer than a lease.
  const workers = (await Promise.all(stores)).map((store) =>
    store.subscription(name, { category: name, partitions: 4, leaseMs }).process(
      async ({ streamId, version }, { client }) => {
        begun.push(`${streamId} ${version}`)
        await client.query('select pg_sleep(0.4)')
      },
      { transactional: true },
    ),
  )
  await Promise.all(workers.map(({ ready }) => ready))
  const lag = async () => (await meow.subscriptions()).find((one) => one.name === name)!.lag
  await until(async () => (await lag()) === 0, { timeoutMs: 45_000, what: 'all to be handled' })
  // A hand-over may interrupt one of two that were begun.
  assert.ok(begun.length <= 24 + 12, `${begun.length} begun`)
  await Promise.all(workers.map((worker) => worker.stop()))
})

test('one connection is enough', async () => {
  const name = uniqueName('connections')
  const store = await openStore({ maxConnections: 1 })
  await store.append({ category: name, streamId: 'a' }, Array(5).fill({ type: 'Happened', data: {} }))
  let handled = 0
  const worker = store.subscription(name, { category: name, partitions: 3 }).process(() => void handled++, {
    transactional: true,
  })
  await until(() => handled === 5, { what: 'all to be handled' })
  await worker.stop()
})

test.run()
