// The rights that README's Operations name are enough for who connects, appends and runs subscriptions, and no more is
// granted: a role that has less hears which right is missing.
import { randomBytes } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConnectionError } from '../src/index.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

test('an executor: append, handle, fail, park, replay, wait', async () => {
  const owner = await openStore()
  const admin = await pgClient()
  const role = `executor_${randomBytes(4).toString('hex')}`
  const on = (names: string) =>
    names
      .split(' ')
      .map((name) => `${storeSchema}.${name}`)
      .join(', ')
  await admin.query(`
    create role ${role} login;
    grant usage on schema ${storeSchema} to ${role};
    grant select on ${on('migrations events events_position_seq retired_epoch')} to ${role};
    grant insert on ${on('events')} to ${role};
    grant select, insert, update on ${on('subscriptions checkpoints executors parked_events')} to ${role};
    grant delete on ${on('executors parked_events')} to ${role};
    grant select, insert, update, delete on ${on('waiters')} to ${role}`)
  const url = new URL(databaseUrl())
  url.username = role
  url.password = ''
  try {
    const meow = await openStore({ connectionString: url.href })
    const [category, name] = [uniqueName('rights'), uniqueName('rights')]
    const { position } = await meow.append(
      { category, streamId: 'a' },
      [1, 2].map((data) => ({ type: 'T', data })),
    )
    let poisonous = true
    const handled: number[] = []
    for (const transactional of [false, true]) {
      poisonous = true
      handled.length = 0
      const worker = meow.subscription(`${name} ${transactional}`, { category, partitions: 2 }).process(
        ({ version }) => {
          if (poisonous) throw new Error('poison')
          handled.push(version)
        },
        { transactional, retry: { maxAttempts: 1 } },
      )
      await worker.ready
      await meow.waitFor(`${name} ${transactional}`, position, { timeoutMs: 30_000 })
      assert.is((await meow.parked(`${name} ${transactional}`)).length, 2)
      poisonous = false
      assert.is(await meow.replayParked(`${name} ${transactional}`), 2)
      await until(() => handled.length === 2, { what: 'the replay' })
      await worker.stop()
    }
    assert.equal(handled, [0, 1])
    const refused = await meow.deleteSubscription(`${name} true`).catch((error) => error)
    assert.instance(refused, ConnectionError)
    assert.match(refused.message, /missing rights: .*permission denied/)
    await meow.close()
  } finally {
    await admin.query(`drop owned by ${role}; drop role ${role}`)
    await owner.close()
  }
})

test.run()
