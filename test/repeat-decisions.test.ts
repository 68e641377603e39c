// decide() with an idempotency key: of repeats at the same time, in two processes or in a caller's transaction, one decision
// counts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider } from '../src/index.ts'
import { VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const stores = await Promise.all([openStore({ listen: false }), openStore({ listen: false })])
const [meow] = stores as [(typeof stores)[0], (typeof stores)[0]]
test.after(closeAll)

const decider = (category: string): Decider<string, { data: string }, string[]> => ({
  category,
  initial: [],
  evolve: (all, { data }) => [...all, data],
  decide: (command) => ({ type: 'Said', data: command }),
})

test('two processes at once', async () => {
  const said = decider(uniqueName('repeat'))
  for (let round = 0; round < 20; round++) {
    const [streamId, idempotencyKey] = [`s${round}`, `k${round}`]
    const all = await Promise.all(
      stores.flatMap((store, i) => [
        store.decide(said, streamId, `${i}`, { idempotencyKey, expectedVersion: 'no-stream' }),
        store.decide(said, streamId, `${i}`, { idempotencyKey }),
      ]),
    )
    const stored = await meow.load({ category: said.category as string, streamId })
    assert.is(stored.length, 1)
    for (const { state, result } of all) {
      assert.equal(result.events, stored)
      assert.equal(state, [stored[0]!.data])
    }
  }
})

test('in a transaction of the caller: a repeat inside it, and one after a rollback', async () => {
  const said = decider(uniqueName('repeat'))
  const client = await pgClient()
  const options = { idempotencyKey: 'k', client }
  await client.query('begin')
  const first = await meow.decide(said, 'a', 'one', options)
  const again = await meow.decide(said, 'a', 'two', options)
  assert.equal(again.result, { ...first.result, deduplicated: true })
  await client.query('rollback')
  await client.query('begin')
  const fresh = await meow.decide(said, 'a', 'three', options)
  assert.equal([fresh.state, fresh.result.deduplicated], [['three'], false])
  await rejects(
    meow.decide(said, 'a', 'four', { client, expectedVersion: 'no-stream' }),
    VersionConflictError,
  )
  await client.query('commit')
  assert.is(await meow.head({ category: said.category as string, streamId: 'a' }), 0)
})

test.run()
