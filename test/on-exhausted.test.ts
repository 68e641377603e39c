// onExhausted 'stop': when the attempts run out, the worker ends with the error of the handler, and nothing is parked.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, SubscriptionOptions } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { gate } from './support/gate.ts'
import { ownSubscription, soon } from './support/own-subscription.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 60_000 })
  await listening(meow)
})
test.after(closeAll)
const given = (options?: Partial<SubscriptionOptions>) => ownSubscription(meow, options)

test('done rejects with the error of the handler, and the next worker gets the event again', async () => {
  for (const error of [new Error('the very one'), 'a string', undefined]) {
    for (const how of ['throws', 'rejects'] as const) {
      const { name, append, process, past } = given()
      const events = await append('a', 4)
      const seen: string[] = []
      const worker = process(
        ({ version }, { attempt }) => {
          seen.push(`${version}.${attempt}`)
          if (version !== 1) return
          if (how === 'rejects') return Promise.reject(error)
          throw error
        },
        { onExhausted: 'stop', retry: { ...soon, maxAttempts: 2 } },
      )
      await worker.ready
      const outcome = await worker.done.then(
        () => 'resolved',
        (reason) => ({ reason }),
      )
      assert.is((outcome as { reason: unknown }).reason, error)
      await Promise.all([worker.stop(), worker.stop()])
      await worker[Symbol.asyncDispose]()
      assert.is(await worker.done.catch((reason) => reason), error)
      assert.equal(seen, ['0.1', '1.1', '1.2'])
      assert.equal(await meow.parked(name), [])
      const { position, owner } = await checkpoint(name)
      assert.equal([position, owner], [events[0]!.position, null], 'the lease is given back at once')

      const next: string[] = []
      const again = process(({ version }, { attempt }) => next.push(`${version}.${attempt}`))
      await past(events[3]!)
      assert.equal(next, ['1.1', '2.1', '3.1'])
      await again.stop()
    }
  }
})

test('events that other streams are handling are finished and acked', async () => {
  const { name, append, process } = given()
  const [good] = await append('good', 1)
  await append('bad', 1)
  const held = gate()
  const done: string[] = []
  const worker = process(
    async ({ streamId }) => {
      if (streamId === 'bad') throw new Error('no')
      await held.opened
      done.push(streamId)
    },
    { concurrency: 2, onExhausted: 'stop', retry: { maxAttempts: 1 } },
  )
  let ended = false
  worker.done.catch(() => {
    ended = true
  })
  await worker.ready
  await until(async () => (await checkpoint(name)).owner, { what: 'an owner' })
  assert.not(ended)
  held.open()
  assert.is((await worker.done.catch((error) => error)).message, 'no')
  assert.equal(done, ['good'])
  assert.is((await checkpoint(name)).position, good!.position)
})

test.run()
