// Handlers fail at random, and workers restart: each stream is handled in order, and no event is lost.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Handler, Meow } from '../src/index.ts'
import { parkingSubscription } from './support/parking.ts'
import { seeded } from './support/random.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore({ pollIntervalMs: 200 })
  await listening(meow)
})
test.after(closeAll)

for (const transactional of [false, true]) {
  const how = transactional ? 'transactional' : 'concurrency 4'
  test(`random failures, parking, replays and restarts, ${how}`, async () => {
    const dice = seeded(`parking, ${how}`)
    const { category, name, subscribe, parked } = parkingSubscription(meow, {
      maxInFlight: 40,
      partitions: 2,
    })
    const succeeded = new Map<string, number[]>(upTo(20).map((n) => [`${n}`, []]))
    let repeats = 0
    let failures = 0.3
    const handler: Handler = async ({ streamId, version }) => {
      if (dice.chance(0.3)) await new Promise((resolve) => setTimeout(resolve, dice.int(0, 2)))
      if (dice.chance(failures)) throw new Error('unlucky')
      const versions = succeeded.get(streamId)!
      if (versions.includes(version)) repeats++
      else versions.push(version)
    }
    const start = () =>
      subscribe().process(handler, {
        ...(transactional ? { transactional, batchSize: dice.int(1, 10) } : { concurrency: 4 }),
        retry: { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 3 },
      })
    let worker = start()
    let appended = 0
    const counts = new Map<string, number>()
    for (const _ of upTo(60)) {
      const streamId = `${dice.int(0, 19)}`
      const size = dice.int(1, 5)
      await meow.append({ category, streamId }, Array(size).fill({ type: 'Happened', data: {} }))
      counts.set(streamId, (counts.get(streamId) ?? 0) + size)
      appended += size
      if (dice.chance(0.2)) await meow.replayParked(name).catch(notThere)
      if (dice.chance(0.1)) await meow.replayParked(name, { streamId }).catch(notThere)
      if (dice.chance(0.05)) {
        await worker.stop()
        worker = start()
      }
    }
    failures = 0.1
    const count = () => [...succeeded.values()].reduce((sum, { length }) => sum + length, 0)
    await until(
      async () => {
        if (count() === appended) return true
        await meow.replayParked(name)
        return false
      },
      { timeoutMs: 60_000, what: `all ${appended} events` },
    ).catch(async (error) => {
      throw new Error(`${error.message}: ${count()}; parked ${await parked()}`)
    })
    await worker.stop()
    for (const [streamId, versions] of succeeded)
      assert.equal(versions, upTo(counts.get(streamId) ?? 0), `stream ${streamId}`)
    // A transaction is repeated if a later event of its batch fails. Apart from that, only a stop repeats events.
    console.log(`${how}: ${appended} events, ${repeats} repeats`)
  })
}

function notThere(error: { code?: string }): void {
  if (error.code !== 'ERR_SUBSCRIPTION_NOT_FOUND') throw error
}

test.run()
