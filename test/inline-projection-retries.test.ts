// An inline projection runs again after a lost race or a lost connection, and still no event is projected twice.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { OutcomeUnknownError } from '../src/index.ts'
import { startFaultProxy } from './faults/proxy.ts'
import { event, of, projecting } from './support/projecting.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, uniqueName } from './support/store.ts'

const { meow, sql, write, written, noting, data } = await projecting()
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

test('after a serialization failure the handler runs again, in a new transaction', async () => {
  const name = uniqueName('race')
  let runs = 0
  meow.project(name, async (_, client) => {
    await write(client, name, ++runs)
    if (runs < 3) await client.query(`do $$ begin raise serialization_failure; end $$`)
  })
  await meow.append(of(name), event())
  assert.is(runs, 3)
  assert.equal([await written(name), await data(name)], [['3'], [{}]])
})

test('if the connection ends before the commit, everything runs again and is written once', async () => {
  const name = uniqueName('killed')
  let runs = 0
  meow.project(name, async (_, client) => {
    await write(client, name, ++runs)
    if (runs === 1) await client.query('select pg_terminate_backend(pg_backend_pid())')
  })
  const { version, deduplicated } = await meow.append(of(name), event())
  assert.equal([version, deduplicated, runs], [0, false, 2])
  assert.equal([await written(name), await data(name)], [['2'], [{}]])
})

test('if the answer to COMMIT is lost, it is looked up, and nothing is projected twice', async () => {
  const proxy = await startFaultProxy(databaseUrl())
  const { name, store, seen } = await noting({ connectionString: proxy.url })
  store.project(name, () => proxy.loseAnswers(1))
  const { version, deduplicated } = await store.append(of(name), event('once'))
  assert.equal([version, deduplicated, seen.length], [0, false, 1])
  assert.equal([await written(name), await data(name)], [['once'], ['once']])
  await store.close()
  await proxy.close()
})

test('if there is no answer at all, the outcome is unknown, and a retry with the same ids settles it', async () => {
  const proxy = await startFaultProxy(databaseUrl())
  const { name, store } = await noting({ connectionString: proxy.url, queryTimeoutMs: 1_500 })
  store.project(name, () => proxy.loseAnswers(1_000_000))
  const unknown = await rejects(store.append(of(name), event('once')), OutcomeUnknownError)
  proxy.loseAnswers(0)
  const again = await meow.append(unknown.stream, unknown.events)
  assert.is(again.deduplicated, true)
  assert.equal([await written(name), await data(name)], [['once'], ['once']])
  await store.close()
  await proxy.close()
})

test.run()
