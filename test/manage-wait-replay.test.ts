// waitFor() notices a replay: when the event is handled, a notification wakes it, without a poll.
import { test } from 'uvu'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 3_600_000 })
test.before(() => listening(meow))
test.after(closeAll)

for (const transactional of [false, true]) {
  for (const waited of [0, 1, 2]) {
    const how = transactional ? 'transactional' : 'plain'
    test(`it ends when event ${waited} of 3 is replayed, ${how}`, async () => {
      const [category, name] = [uniqueName('replayed'), uniqueName('replayed')]
      const happened = Array(3).fill({ type: 'Happened', data: {} })
      const { events } = await meow.append({ category, streamId: 'a' }, happened)
      let failing = true
      let go = () => {}
      const going = new Promise<void>((resolve) => {
        go = resolve
      })
      const handler = async ({ version }: { version: number }) => {
        if (failing) throw new Error('no')
        if (version === waited) await going
      }
      const worker = meow
        .subscription(name, { category, leaseMs: 60_000 })
        .process(handler, { transactional, retry: { maxAttempts: 1 } })
      await worker.ready
      await until(async () => (await meow.parked(name)).length === 3, { what: 'its stream to be set aside' })
      failing = false
      await meow.replayParked(name)
      const waiting = meow.waitFor(name, events[waited]!.position, { timeoutMs: 15_000 })
      const sql = await pgClient()
      const waiters = `select from ${storeSchema}.waiters where subscription = $1`
      await until(async () => (await sql.query(waiters, [name])).rowCount === 1, { what: 'the waiter' })
      go()
      await waiting
      await worker.stop()
    })
  }
}

test.run()
