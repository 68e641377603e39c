// Events that arrive at the very end of a replay are not lost and not handled too early.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Handler, Meow } from '../src/index.ts'
import { checkpoint } from './support/checkpoints.ts'
import { gate } from './support/gate.ts'
import type { Held } from './support/holding-pool.ts'
import { holdingPool } from './support/holding-pool.ts'
import { keepLog } from './support/log.ts'
import { named } from './support/named.ts'
import { parkingSubscription } from './support/parking.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'

const { pool, hold } = holdingPool()
let meow: Meow
/** A second store, whose queries `hold` can hold back, and what it has logged. */
let slow: Meow
const { logged, logger } = keepLog()
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 200 })
  slow = await openStore({ pool, pollIntervalMs: 20, logger })
  await Promise.all([listening(meow), listening(slow)])
})
test.before.each(() => {
  logged.length = 0
})
test.after(async () => {
  await closeAll()
  await pool.end()
})

test('an event that arrives while the last page of a replay is read is not lost', async () => {
  const { name, bad, append, process, parkedAre, handled, has } = parkingSubscription(meow, {}, slow)
  bad.add('b')
  await append('b')
  const worker = process()
  await parkedAre('b0')
  bad.clear()
  // The replay has read b0 and looks for more. Meanwhile b1 arrives, and a checkpoint passes it.
  const reading = hold('between $3 and $4', () => handled.includes('b0'), 'query')
  await meow.replayParked(name)
  await reading.some()
  const [b1] = await append('b')
  await until(async () => (await checkpoint(name)).position >= b1!.position, { what: 'the checkpoint' })
  reading.release()
  await has('b0', 'b1')
  await append('b')
  await has('b2')
  assert.equal(handled, ['b0', 'b1', 'b2'])
  await parkedAre()
  await worker.stop()
})

/** A worker that replays stream b; `replay()` starts that, and returns once its last step is held back. */
async function atTheEndOfAReplay(park: string[], handle: Handler = () => {}) {
  const it = parkingSubscription(meow, {}, slow)
  const { name, bad, append, process, parkedAre, handled, subscribe } = it
  for (const streamId of ['b', ...park]) {
    bad.add(streamId)
    await append(streamId)
  }
  const before = process()
  await parkedAre(...[...bad].map((streamId) => `${streamId}0`))
  await before.stop()
  bad.clear()
  const subscription = subscribe(slow)
  const worker = subscription.process(
    async (event, context) => {
      await handle(event, context)
      handled.push(named(event))
    },
    { concurrency: 3, retry: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } },
  )
  await worker.ready
  /** Appends an event, and waits until it is read. */
  const come = async (streamId: string) => {
    const [event] = await append(streamId)
    await until(() => current(subscription.status$).horizon >= event!.position, { what: 'it to be read' })
  }
  const replay = async (): Promise<Held> => {
    const ending = hold('.replayed(', (values) => values.at(-1) === null, 'query')
    await meow.replayParked(name, { streamId: 'b' })
    await ending.some()
    return ending
  }
  return { ...it, worker, come, replay }
}

test('at the end of a replay, a new event of a stream that stays parked is not handled', async () => {
  const { come, replay, append, has, handled, parkedAre, worker } = await atTheEndOfAReplay(['u'])
  const ending = await replay()
  await come('b')
  await come('u')
  await come('v')
  ending.release()
  await has('b0', 'b1', 'v0')
  await append('v')
  await has('v1')
  assert.equal(
    handled.filter((event) => !event.startsWith('v')),
    ['b0', 'b1'],
  )
  await parkedAre('u0', 'u1')
  await worker.stop()
})

test('at the end of a replay, a new event waits if an earlier event of its stream has failed', async () => {
  const random = Math.random
  const [begun, failing] = [gate(), gate()]
  const { come, append, replay, has, handled, worker } = await atTheEndOfAReplay(
    [],
    async ({ streamId, version }) => {
      if (streamId !== 't' || version > 0) return
      begun.open()
      await failing.opened
      throw new Error('not yet')
    },
  )
  await append('t')
  await begun.opened
  const ending = await replay()
  await come('t')
  Math.random = () => 0.999
  failing.open()
  await until(() => logged.some(({ text }) => text === 'a handler failed; trying again'), {
    what: 'the failure',
  })
  Math.random = random
  ending.release()
  await come('b')
  await come('w')
  await has('b0', 'b1', 'w0')
  assert.equal(
    handled.filter((event) => event.startsWith('t')),
    [],
  )
  await worker.stop()
})

test.run()
