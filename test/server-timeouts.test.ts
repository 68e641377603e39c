// @direct
// A server with short timeouts for everybody (lock_timeout, statement_timeout) delays workers and ends none of them.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

for (const setting of ['lock_timeout', 'statement_timeout']) {
  for (const transactional of [false, true]) {
    test(`${setting}, ${transactional ? 'transactional' : 'plain'}`, async () => {
      const category = uniqueName('short')
      const writer = await openStore()
      const url = new URL(databaseUrl())
      url.searchParams.set('options', `-c ${setting}=500ms`)
      const warnings: string[] = []
      const warn = (fields: { err?: { code?: string; message?: string } }) =>
        warnings.push(`${fields.err?.message}`)
      const logger = { debug() {}, info() {}, warn, error: warn }
      const meow = await openStore({ connectionString: url.href, logger })
      const handled: number[] = []
      const subscription = meow.subscription(category, { category, leaseMs: 500 })
      const worker = subscription.process(({ position }) => void handled.push(position), { transactional })
      let ended: unknown
      worker.done.catch((error) => {
        ended = error
      })
      await worker.ready

      // Somebody holds the table, longer than anybody may wait, so that claims, renewals and acks are all refused.
      const stranger = await pgClient()
      await stranger.query(
        `begin; lock table ${storeSchema}.checkpoints, ${storeSchema}.executors in exclusive mode`,
      )
      await writer.append({ category, streamId: '1' }, { type: 'Happened', data: {} })
      await until(() => warnings.some((text) => text.includes('timeout')) || ended, { what: 'a refusal' })
      await stranger.query('rollback')

      const { position } = await writer.append({ category, streamId: '1' }, { type: 'Happened', data: {} })
      await until(() => handled.includes(position) || ended, { what: 'the worker to go on' })
      assert.is(ended, undefined)
      await writer.waitFor(category, position, { timeoutMs: 30_000 })
    })
  }
}

test.run()
