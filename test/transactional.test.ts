// transactional: true. What a handler writes through its client is committed together with the checkpoint.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkpoint } from './support/checkpoints.ts'
import { gate } from './support/gate.ts'
import { streamsOf } from './support/sql-executor.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { openTransactional } from './support/transactional.ts'
import { upTo } from './support/up-to.ts'

const { meow, sql, given } = await openTransactional()
test.after(closeAll)

test('what handlers write and the checkpoint become visible together', async () => {
  const { name, append, process, write, table, hasWritten } = await given()
  const events = (await Promise.all(upTo(5).map((n) => append(`${n}`, 40)))).flat()
  let looks = 0
  let writing = true
  const watcher = await pgClient()
  const watch = async () => {
    while (writing) {
      const { rows } = await watcher.query(
        `select (select count(*)::int from ${table}) as effects,
                (select count(*)::int from ${storeSchema}.events e where e.category = $2 and e.position <= c.position) as passed
         from ${storeSchema}.checkpoints c where subscription = $1`,
        [name, events[0]!.category],
      )
      for (const { effects, passed } of rows) assert.is(effects, passed)
      looks++
    }
  }
  const worker = process((event, { client }) => write(event, client), { batchSize: 7 })
  const watching = watch()
  await hasWritten(200)
  writing = false
  await watching
  assert.ok(looks > 5)
  assert.is((await checkpoint(name)).position, Math.max(...events.map(({ position }) => position)))
  await worker.stop()
})

test('a transaction has at most batchSize events, 100 by default', async () => {
  for (const batchSize of [undefined, 1, 10, 250]) {
    const { append, process, write, effects, hasWritten } = await given({ maxInFlight: 1_000 })
    await append('a', 500)
    const worker = process((event, { client }) => write(event, client), batchSize ? { batchSize } : {})
    await hasWritten(500)
    await worker.stop()
    const sizes = new Map<string, number>()
    for (const { tx } of await effects()) sizes.set(tx, (sizes.get(tx) ?? 0) + 1)
    const most = Math.max(...sizes.values())
    assert.is(most, batchSize ?? 100)
    assert.ok(sizes.size <= Math.ceil(500 / most) + 3, `${sizes.size} transactions`)
    assert.equal(
      (await effects()).map(({ event }) => event),
      upTo(500).map((n) => `a${n}`),
    )
  }
})

test('a single event does not wait for a batch to fill', async () => {
  const { append, process, write, written, hasWritten } = await given()
  const worker = process((event, { client }) => write(event, client))
  await worker.ready
  for (const n of upTo(3)) {
    await append('a')
    await hasWritten(n + 1)
  }
  assert.equal(await written(), ['a0', 'a1', 'a2'])
  await worker.stop()
})

test('the checkpoint is not locked while handlers run', async () => {
  const { name, append, process, write, hasWritten } = await given()
  await append('a', 3)
  const begun = gate()
  const going = gate()
  const worker = process(async (event, { client }) => {
    await write(event, client)
    if (event.version < 2) return
    begun.open()
    await going.opened
  })
  await begun.opened
  const other = await pgClient()
  await other.query('begin')
  for (const table of ['checkpoints', 'subscriptions', 'executors']) {
    const column = table === 'subscriptions' ? 'name' : 'subscription'
    const { rowCount } = await other.query(
      `select from ${storeSchema}.${table} where ${column} = $1 for update nowait`,
      [name],
    )
    assert.is(rowCount, 1, table)
  }
  await other.query('rollback')
  const { rows } = await other.query(
    `select l.relation::regclass::text as relation, l.mode from pg_locks l
     join pg_stat_activity a on a.pid = l.pid
     where a.state like 'idle in transaction%' and a.application_name = $1
       and l.relation = any (array['checkpoints', 'subscriptions']::regclass[]) and l.mode <> 'AccessShareLock'`.replace(
      /'(checkpoints|subscriptions)'/g,
      `'${storeSchema}.$1'`,
    ),
    [`meowmx ${storeSchema}`],
  )
  assert.equal(rows, [])
  going.open()
  await hasWritten(3)
  await worker.stop()
})

test('two partitions run at the same time, and each partition one event at a time', async () => {
  const { category, append, process, write, hasWritten, written } = await given({ partitions: 2 })
  const streams = await streamsOf(category, 2, 4)
  for (const streamId of streams.flat()) await append(streamId, 3)
  const both = gate()
  const running = new Set<number>()
  const worker = process(
    async (event, { client }) => {
      const partition = streams[0]!.includes(event.streamId) ? 0 : 1
      assert.not(running.has(partition))
      running.add(partition)
      if (running.size === 2) both.open()
      await both.opened // ends only if both partitions are running
      await write(event, client)
      running.delete(partition)
    },
    { batchSize: 5 },
  )
  await hasWritten(24)
  const all = await written()
  for (const stream of streams.flat()) {
    assert.equal(
      all.filter((event) => event.startsWith(stream)),
      upTo(3).map((n) => `${stream}${n}`),
    )
  }
  await worker.stop()
})

test('append({ client }) in a handler: event, effect and checkpoint are committed together', async () => {
  const { name, append, process, write, effects, hasWritten } = await given()
  const category = uniqueName('derived')
  await append('a', 6)
  let failing = true
  const worker = process(
    async (event, { client }) => {
      const { events } = await meow.append(
        { category, streamId: event.streamId },
        { type: 'Derived', data: { from: event.version } },
        { client },
      )
      assert.is(events[0]!.version, event.version)
      await write(event, client)
      if (event.version === 3 && failing) {
        failing = false
        throw new Error('once')
      }
    },
    { batchSize: 2 },
  )
  await hasWritten(6)
  await worker.stop()
  const derived = await meow.load({ category, streamId: 'a' })
  assert.equal(
    derived.map(({ data }) => data.from),
    upTo(6),
  )
  const { rows } = await sql.query(
    `select xmin::text as xmin from ${storeSchema}.events where category = $1 order by version`,
    [category],
  )
  const txs = (await effects()).map(({ tx }) => `${BigInt(tx) & 0xffffffffn}`)
  // After a failed event, a row can have the id of a savepoint instead of that of its transaction.
  assert.is(rows.length, 6)
  assert.ok(rows.some(({ xmin }, i) => xmin === txs[i]))
  assert.equal(await meow.parked(name), [])
})

test('an executor that has lost its lease commits nothing: each effect happens once', async () => {
  const { name, append, process, write, written, hasWritten } = await given()
  await append('a', 3)
  const begun = gate()
  const going = gate()
  const old = process(async (event, { client }) => {
    if (event.version === 1) {
      begun.open()
      await going.opened
    }
    await write(event, client)
  })
  await begun.opened
  const other = await openStore({ pollIntervalMs: 60_000 })
  await listening(other)
  const next = process((event, { client }) => write(event, client), {}, other)
  await next.ready
  // The old executor no longer counts, so that the other one claims the free partition.
  await sql.query('begin')
  await sql.query(
    `delete from ${storeSchema}.executors using ${storeSchema}.checkpoints c
     where executors.subscription = $1 and c.subscription = $1 and executors.owner = c.owner`,
    [name],
  )
  await sql.query(
    `update ${storeSchema}.checkpoints set epoch = epoch + 1, owner = null, lease_until = null where subscription = $1`,
    [name],
  )
  await sql.query(`select pg_notify(${storeSchema}.wake_channel($1), '')`, [name])
  await sql.query('commit')
  await hasWritten(3)
  going.open()
  await old.stop()
  await append('a')
  await hasWritten(4)
  assert.equal(await written(), ['a0', 'a1', 'a2', 'a3'])
  await next.stop()
  await other.close()
})

test.run()
