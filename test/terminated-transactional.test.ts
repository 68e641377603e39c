// transactional: if connections are terminated, at whatever moment, each effect happens once and each stream is in order.
import { randomUUID } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { soon } from './support/own-subscription.ts'
import { seeded } from './support/random.ts'
import { closeAll, openStore, storeSchema } from './support/store.ts'
import { openTransactional } from './support/transactional.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const { meow, sql, given } = await openTransactional()
test.after(closeAll)

test('the connection of a transaction is terminated while its handler runs', async () => {
  const { name, append, process, write, written, hasWritten } = await given()
  await append('a', 10)
  await append('b', 10)
  const terminated = new Set<number>()
  const worker = process(async (event, { client }) => {
    await write(event, client)
    if (event.version % 4 === 0 && !terminated.has(event.position)) {
      terminated.add(event.position)
      const { rows } = await client.query('select pg_backend_pid() as pid')
      await sql.query('select pg_terminate_backend($1)', [rows[0].pid])
    }
  })
  await hasWritten(20)
  assert.is(terminated.size, 6)
  const all = await written()
  assert.is(new Set(all).size, 20)
  assert.is(all.length, 20)
  await until(async () => (await meow.parked(name)).length === 0, { what: 'nothing to be parked' })
  await worker.stop()
})

test('all connections of the store are terminated at random moments', async () => {
  const dice = seeded('terminated')
  const { category, process, write, written, hasWritten } = await given()
  const writer = await openStore({ pollIntervalMs: 60_000, schema: storeSchema })
  const worker = process(
    async (event, { client }) => {
      await write(event, client)
      if (dice.chance(0.05)) throw new Error('unlucky')
    },
    { batchSize: 10, retry: { ...soon, maxAttempts: 1_000 } },
  )
  await worker.ready
  const streams = ['a', 'b', 'c', 'd', 'e']
  let count = 0
  for (const _ of upTo(40)) {
    const events = Array.from({ length: dice.int(1, 10) }, () => ({
      type: 'Happened',
      data: {},
      id: randomUUID(),
    }))
    const streamId = dice.pick(streams)
    await until(
      () =>
        writer.append({ category, streamId }, events).then(
          () => true,
          () => false, // its connection was terminated too: because of the ids it is safe to append again
        ),
      { what: 'an append' },
    )
    count += events.length
    if (dice.chance(0.3)) {
      await sql.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
        `meowmx ${storeSchema}`,
      ])
    }
  }
  await hasWritten(count)
  await worker.stop()
  const all = await written()
  assert.is(all.length, count)
  for (const stream of streams) {
    const own = all.filter((event) => event.startsWith(stream))
    assert.equal(
      own,
      upTo(own.length).map((n) => `${stream}${n}`),
    )
  }
  await writer.close()
})

test.run()
