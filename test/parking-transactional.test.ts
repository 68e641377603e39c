// transactional: if an event is parked, the effects of all other events are kept and nothing of the failed one.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { named } from './support/named.ts'
import { parkingSubscription } from './support/parking.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 200 })
  await listening(meow)
})
test.after(closeAll)

test('parking keeps what the handlers of other events wrote, and nothing of the failed one', async () => {
  const { category, name, append, subscribe, parkedAre, info } = parkingSubscription(meow)
  const sql = await pgClient()
  const table = `${storeSchema}.${uniqueName('writes')}`
  await sql.query(`create table ${table} (seq serial, event text, attempt int)`)
  const bad = new Set(['b1'])
  await append('a', 2)
  await append('b', 4)
  await append('c', 3)
  const worker = subscribe().process(
    async (event, { client, attempt }) => {
      await client.query(`insert into ${table} (event, attempt) values ($1, $2)`, [named(event), attempt])
      if (bad.has(named(event))) throw new Error(`no ${category}`)
    },
    { transactional: true, retry: { maxAttempts: 3, minDelayMs: 1, maxDelayMs: 1 } },
  )
  const written = async () =>
    (await sql.query(`select event from ${table} order by seq`)).rows.map(({ event }) => event)
  await until(async () => (await written()).length === 6, { what: 'the effects of the other events' })
  await until(async () => (await meow.parked(name))[0]?.attempts === 3, { what: 'the last attempt' })
  await until(async () => (await info())!.lag === 0, { what: 'the checkpoint' })
  assert.equal((await written()).sort(), ['a0', 'a1', 'b0', 'c0', 'c1', 'c2'])
  await parkedAre('b1', 'b2', 'b3')
  assert.match((await meow.parked(name))[0]!.error!, /^Error: no /)
  bad.clear()
  await append('b')
  await meow.replayParked(name)
  await until(async () => (await written()).length === 10, { what: 'the replay' })
  await parkedAre()
  await append('b')
  await until(async () => (await written()).length === 11, { what: 'the next event' })
  assert.equal(
    (await written()).filter((event) => event.startsWith('b')),
    ['b0', 'b1', 'b2', 'b3', 'b4', 'b5'],
  )
  assert.is(new Set(await written()).size, 11)
  await worker.stop()
})

test('while an event waits for its next attempt, waitFor() does not count it as handled', async () => {
  const { name, append, subscribe } = parkingSubscription(meow)
  const [event] = await append('b')
  const seen: number[] = []
  const worker = subscribe().process(
    (_, { attempt }) => {
      seen.push(attempt)
      throw new Error('not yet')
    },
    { transactional: true, retry: { maxAttempts: 2, minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  const { random } = Math
  Math.random = () => 0.999
  await until(async () => (await checkpoint(name).catch(() => undefined))?.position === event!.position, {
    what: 'the checkpoint to pass it',
  })
  Math.random = random
  const outcome = await meow.waitFor(name, event!.position, { timeoutMs: 200 }).catch((error) => error)
  assert.is(outcome?.code, 'ERR_TIMEOUT')
  assert.is(Math.max(...seen), 1)
  await worker.stop()
})

test.run()
