// Right after process(), which creates the subscription, every call about it waits until it exists, instead of saying that
// there is none.
import { test } from 'uvu'
import { SubscriptionNotFoundError, TimeoutError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
await sql.query(`set search_path = ${storeSchema}`)
test.after(closeAll)

const calls = {
  waitFor: (name: string) => meow.waitFor(name, 0),
  parked: (name: string) => meow.parked(name),
  replayParked: (name: string) => meow.replayParked(name),
  resetSubscription: (name: string) => meow.resetSubscription(name, 'end'),
  deleteSubscription: (name: string) => meow.deleteSubscription(name),
}

/** Meanwhile no subscription can be made. */
async function withNoneMade(action: () => Promise<void>): Promise<void> {
  await sql.query('begin; lock table subscriptions in share mode')
  await action().finally(() => sql.query('commit'))
}

async function makerWaits(): Promise<void> {
  const asked = `select from pg_locks where not granted and relation = 'subscriptions'::regclass`
  await until(async () => (await sql.query(asked)).rowCount === 1, {
    what: 'the maker, waiting for the lock',
  })
}

for (const [what, call] of Object.entries(calls)) {
  test(`${what} waits for the subscription that is being made`, async () => {
    const name = uniqueName('beginning')
    let answer: Promise<unknown> | undefined
    let worker: { stop(): Promise<void> } | undefined
    await withNoneMade(async () => {
      worker = meow.subscription(name, { category: name }).process(() => {})
      await makerWaits()
      answer = call(name)
      answer.catch(() => {})
      await rejects(meow.waitFor(name, 0, { timeoutMs: 50 }), TimeoutError)
    })
    await answer
    await worker!.stop()
  })
}

test('if nobody creates it, it does not exist', async () => {
  const name = uniqueName('beginning')
  for (const call of Object.values(calls)) await rejects(call(name), SubscriptionNotFoundError)
})

test.run()
