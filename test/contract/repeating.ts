import { randomUUID } from 'node:crypto'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { Decider } from '../../src/index.ts'
import {
  DuplicateEventError,
  defineCategory,
  ValidationError,
  VersionConflictError,
} from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import type { Contract } from './contract.ts'

/** Counts up by any number of events of 1, and remembers how often it was asked. */
function counter(category: string) {
  let asked = 0
  const decider: Decider<number, { data: any }, number> = {
    category,
    initial: 0,
    evolve: (sum) => sum + 1,
    decide: (command) => {
      asked++
      // Something else each time.
      return Array.from({ length: command }, () => ({ type: 'Counted', data: randomUUID() }))
    },
  }
  return { decider, asked: () => asked }
}

export const repeating: Contract = (test, store) => {
  test('append with an idempotency key: a repeat returns the first result', async () => {
    const stream = { category: uniqueName('key'), streamId: 'a' }
    const events = [1, 2].map((data) => ({ type: 'T', data }))
    for (const idempotencyKey of ['1', '1 ', '"', '\ud800', 'x'.repeat(10_000)]) {
      const first = await store().append(stream, events, { idempotencyKey, expectedVersion: 'any' })
      assert.is(first.deduplicated, false)
      await store().append(stream, { type: 'T', data: 3 })
      const again = await store().append(stream, events, { idempotencyKey, expectedVersion: 'no-stream' })
      assert.equal(again, { ...first, deduplicated: true })
    }
    const [idempotencyKey, other] = [uniqueName('key'), { ...stream, streamId: 'b' }]
    const results = await Promise.all(
      Array.from({ length: 5 }, () => store().append(other, events[0]!, { idempotencyKey })),
    )
    assert.is((await store().load(other)).length, 1)
    assert.is(results.filter(({ deduplicated }) => !deduplicated).length, 1)

    // Another stream, another index, another key: other ids.
    const ids = new Set<string>()
    for (const streamId of ['c', 'd'])
      for (const key of ['k', 'l'])
        for (const { id } of (await store().append({ ...stream, streamId }, events, { idempotencyKey: key }))
          .events)
          ids.add(id)
    assert.is(ids.size, 8)
  })

  test('append with an idempotency key: refused', async () => {
    const stream = { category: uniqueName('key'), streamId: 'a' }
    const event = { type: 'T', data: 1 }
    await store().append(stream, event, { idempotencyKey: 'k' })
    await rejects(store().append(stream, { ...event, data: 2 }, { idempotencyKey: 'k' }), DuplicateEventError)
    await rejects(store().append(stream, [event, event], { idempotencyKey: 'k' }), DuplicateEventError)
    const own = { ...event, id: randomUUID() }
    for (const [events, idempotencyKey, path] of [
      [event, '', 'options.idempotencyKey'],
      [event, 5, 'options.idempotencyKey'],
      [event, null, 'options.idempotencyKey'],
      [own, 'k', 'events.id'],
      [[event, own], 'k', 'events[1].id'],
    ] as const) {
      const call = store().append(stream, events as never, { idempotencyKey: idempotencyKey as never })
      assert.is((await rejects(call, ValidationError)).path, path)
    }
    assert.is((await store().load(stream)).length, 1)
  })

  test('decide with an idempotency key: a repeat does not decide again', async () => {
    const category = uniqueName('key')
    const { decider, asked } = counter(category)
    for (const command of [1, 3, 64, 65, 128]) {
      const idempotencyKey = `key ${command}`
      const first = await store().decide(decider, 'a', command, { idempotencyKey })
      const before = asked()
      await store().append({ category, streamId: 'a' }, { type: 'Counted', data: 0 })
      const again = await store().decide(decider, 'a', 7, { idempotencyKey, expectedVersion: 999 })
      assert.equal(again, { state: first.state, result: { ...first.result, deduplicated: true } })
      assert.is(asked(), before)
    }
    // Nothing was appended: nothing is remembered.
    for (let n = 0; n < 2; n++) {
      const before = asked()
      await store().decide(decider, 'a', 0, { idempotencyKey: 'nothing' })
      assert.is(asked(), before + 1)
    }
    const twice = await Promise.all(
      Array.from({ length: 4 }, () => store().decide(decider, 'b', 2, { idempotencyKey: 'k', retries: 0 })),
    )
    assert.is((await store().load({ category, streamId: 'b' })).length, 2)
    for (const { result } of twice) assert.equal(result.events, twice[0]!.result.events)
    assert.is(twice.filter(({ result }) => !result.deduplicated).length, 1)
  })

  test('decide with an idempotency key in a zod category: the repeat is typed, too', async () => {
    const Order = defineCategory(uniqueName('key'), { Placed: z.object({ price: z.number().default(5) }) })
    const decider: Decider<null, unknown, number> = {
      category: Order,
      initial: 0,
      evolve: (count) => count + 1,
      decide: () => Order.Placed({}),
    }
    const first = await store().decide(decider, 'a', null, { idempotencyKey: 'k' })
    const again = await store().decide(decider, 'a', null, { idempotencyKey: 'k' })
    assert.equal(again, { state: 1, result: { ...first.result, deduplicated: true } })
  })

  test('decide with an expected version: nothing is decided if the stream has another one', async () => {
    const category = uniqueName('expected')
    const stream = { category, streamId: 'a' }
    const { decider, asked } = counter(category)
    const conflict = async (expectedVersion: any, actual: number) => {
      const before = asked()
      const error = await rejects(store().decide(decider, 'a', 1, { expectedVersion }), VersionConflictError)
      assert.equal([error.expected, error.actual, error.stream], [expectedVersion, actual, stream])
      assert.is(asked(), before)
    }
    await conflict(0, -1)
    await conflict('stream-exists', -1)
    await store().decide(decider, 'a', 1, { expectedVersion: 'no-stream' })
    await conflict('no-stream', 0)
    await conflict(-1, 0)
    await conflict(1, 0)
    await store().decide(decider, 'a', 1, { expectedVersion: 0 })
    await store().decide(decider, 'a', 1, { expectedVersion: 'stream-exists' })
    await store().decide(decider, 'a', 1, { expectedVersion: 'any' })
    assert.is(await store().head(stream), 3)

    // Of several at once with the same version one wins, however often each may try.
    const all = await Promise.allSettled(
      Array.from({ length: 5 }, () => store().decide(decider, 'a', 1, { expectedVersion: 3, retries: 100 })),
    )
    assert.is(all.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.is(await store().head(stream), 4)
    for (const [options, path] of [
      [{ expectedVersion: undefined }, 'options.expectedVersion'],
      [{ expectedVersion: 1.5 }, 'options.expectedVersion'],
      [{ expectedVersion: 'none' }, 'options.expectedVersion'],
      [{ idempotencyKey: '' }, 'options.idempotencyKey'],
    ] as const)
      assert.is(
        (await rejects(store().decide(decider, 'a', 1, options as never), ValidationError)).path,
        path,
      )
  })
}
