// A handler is called at most maxAttempts times for an event, however it fails, and whatever else is in its batch.
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ProcessOptions, RecordedEvent } from '../src/index.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
const effects = `${storeSchema}.effects`
await sql.query(`create table ${effects} (
  event uuid, poison bool, name text, constraint once unique (name, poison) deferrable initially deferred)`)
test.after(closeAll)

type Fail = (client: pg.ClientBase) => unknown
const ways: Record<string, Fail> = {
  throws: () => {
    throw new Error('no')
  },
  'hides that its query failed': (client) => client.query('select 1/0').catch(() => {}),
  // It is known only at the commit, and not for which event.
  'violates a deferred constraint': (client) =>
    client.query(`insert into ${effects} (name, poison) values ('twice', true), ('twice', true)`),
  'ends its session': (client) => client.query('select pg_terminate_backend(pg_backend_pid())'),
  'ends its session, and hides it': (client) =>
    client.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {}),
  'takes too long': () => new Promise(() => {}),
}

for (const [what, fail] of Object.entries(ways))
  for (const maxAttempts of [1, 2, 3])
    test(`a transactional handler that ${what}: ${maxAttempts} at most`, async () => {
      const name = uniqueName('most')
      const poisons = ['p1', 'p2', 'p3']
      // Good events before, between and after the bad ones, all in one batch.
      for (const streamId of ['a', 'b', 'p1', 'c', 'p2', 'p3', 'd'])
        await meow.append({ category: name, streamId }, { type: 'Happened', data: {} })
      const calls = new Map<string, number>()
      const attempts = new Map<string, number[]>()
      const options = {
        transactional: true,
        outage: false,
        retry: { maxAttempts, minDelayMs: 0, maxDelayMs: 1 },
        ...(what === 'takes too long' ? { timeoutMs: 50 } : {}),
      } as const
      const worker = meow
        .subscription(name, { category: name })
        .process(async ({ streamId, id }: RecordedEvent, { client, attempt }) => {
          calls.set(streamId, (calls.get(streamId) ?? 0) + 1)
          attempts.set(streamId, [...(attempts.get(streamId) ?? []), attempt])
          if (poisons.includes(streamId)) await fail(client)
          else await client.query(`insert into ${effects} (event, name) values ($1, $2)`, [id, name])
        }, options satisfies ProcessOptions)
      const parked = async () =>
        (
          await sql.query(
            `select attempts from ${storeSchema}.parked_events where subscription = $1 and not replaying`,
            [name],
          )
        ).rows
      const handled = async () =>
        (await sql.query(`select event from ${effects} where name = $1`, [name])).rows.length
      await until(async () => (await parked()).length === 3 && (await handled()) === 4, {
        what: 'the bad ones to be parked, and the good ones to be handled once each',
        timeoutMs: 60_000,
      })
      await worker.stop()
      for (const poison of poisons) {
        assert.ok(calls.get(poison)! <= maxAttempts, `${poison} was handled ${calls.get(poison)} times`)
        assert.equal(
          attempts.get(poison),
          Array.from({ length: calls.get(poison)! }, (_, i) => i + 1),
        )
      }
      for (const { attempts } of await parked()) assert.ok(attempts <= maxAttempts && attempts >= 1)
      assert.is(await handled(), 4)
    })

test('a handler without a transaction, too; its attempts are 1, 2, 3 …', async () => {
  const name = uniqueName('most')
  for (const streamId of ['a', 'b'])
    await meow.append({ category: name, streamId }, { type: 'Happened', data: {} })
  const attempts: Record<string, number[]> = { a: [], b: [] }
  const worker = meow.subscription(name, { category: name }).process(
    ({ streamId }, { attempt }) => {
      attempts[streamId]!.push(attempt)
      throw new Error('no')
    },
    { outage: false, retry: { maxAttempts: 2, minDelayMs: 0 } },
  )
  await until(async () => (await meow.parked(name)).length === 2, { what: 'both to be parked' })
  await worker.stop()
  assert.equal(attempts, { a: [1, 2], b: [1, 2] })
})

test.run()
