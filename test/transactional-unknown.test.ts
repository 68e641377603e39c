// transactional: what a handler wrote happens exactly once, even if the answer to a commit never arrives.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startProxy } from './support/proxy.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
const table = `${storeSchema}.effects`
await sql.query(`create table ${table} (name text, stream text)`)

/** Whether the answer to the next commit is swallowed, and its connection reset. */
let armed = false
let lost = 0
const proxy = await startProxy(directUrl(), (reset) => {
  let losing = false
  return {
    there(chunk) {
      if (!armed || !chunk.includes('commit\0')) return
      armed = false
      losing = true
    },
    back(chunk) {
      if (!losing) return chunk
      lost++
      setImmediate(reset)
      return undefined
    },
  }
})
test.after(async () => {
  await closeAll()
  await proxy.close()
})

// With `maxAttempts: 1` a batch has savepoints from the start, otherwise once one of its events has failed.
for (const maxAttempts of [1, 3])
  for (const streams of [
    ['a', 'bad', 'b'],
    ['bad', 'a'],
    ['a', 'b'],
  ])
    test(`the answer to the first commit of ${streams} is lost, maxAttempts ${maxAttempts}: each once`, async () => {
      const store = await openStore({ connectionString: proxy.url, pollIntervalMs: 50 })
      const name = uniqueName('unknown')
      await meow.appendAll(
        streams.map((streamId) => ({
          stream: { category: name, streamId },
          events: { type: 'T', data: {} },
        })),
      )
      lost = 0
      let begun = false
      const worker = store.subscription(name, { category: name, leaseMs: 60_000 }).process(
        async ({ streamId }, { client }) => {
          armed ||= !begun
          begun = true
          await client.query(`insert into ${table} values ($1, $2)`, [name, streamId])
          if (streamId === 'bad') throw new Error('bad')
        },
        { transactional: true, outage: false, retry: { maxAttempts, minDelayMs: 0, maxDelayMs: 1 } },
      )
      const dealtWith = async () => {
        const one = (await meow.subscriptions()).find((one) => one.name === name)
        return one?.lag === 0 && (!streams.includes('bad') || one.parked === 1)
      }
      await until(dealtWith, { what: 'all to be dealt with', timeoutMs: 30_000 })
      await worker.stop()
      assert.is(lost, 1)
      const { rows } = await sql.query(`select stream from ${table} where name = $1 order by stream`, [name])
      assert.equal(
        rows.map(({ stream }) => stream),
        streams.filter((stream) => stream !== 'bad').sort(),
      )
      const parked = await meow.parked(name)
      assert.equal(
        parked.map(({ event }) => event.streamId),
        streams.filter((stream) => stream === 'bad'),
      )
      await store.close()
    })

test.run()
