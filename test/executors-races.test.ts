// Two things at the same moment: a stop and a claim, a failure and a stop, the end of a replay and a new event, a lost lease
// and a read of the parked streams, two wake-ups. No event is lost, and nothing hangs.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { holdingPool } from './support/holding-pool.ts'
import { current } from './support/status.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const event = { type: 'Happened', data: {} }

let meow: Meow
test.before(async () => {
  meow = await openStore()
})
test.after(closeAll)

const given = () => ({ category: uniqueName('race'), name: uniqueName('race') })

/** A store whose answers can be kept back. */
async function slowStore() {
  const { pool, hold } = holdingPool()
  return { store: await openStore({ pool }), hold, pool }
}

test('stopped during its claim: the partitions that it took are free at once', async () => {
  const { category, name } = given()
  const { store, hold, pool } = await slowStore()
  const options = { category, partitions: 4, leaseMs: 60_000 }
  const claims = hold('.claim(')
  const hasty = store.subscription(name, options).process(() => {})
  await claims.some()
  const stopped = hasty.stop()
  claims.release()
  await stopped
  const next = meow.subscription(name, options)
  const worker = next.process(() => {})
  await until(() => current(next.status$).partitions.length === 4, { what: 'the next to take over' })
  await worker.stop()
  await store.close()
  await pool.end()
})

test('stopped while its tail is still being opened, also by others', async () => {
  const { category, name } = given()
  const { store, hold, pool } = await slowStore()
  const opening = hold('channel(name)')
  const other = store.events({ category }).subscribe()
  await opening.some()
  const subscription = store.subscription(name, { category })
  const worker = subscription.process(() => {})
  await until(() => current(subscription.status$).partitions.length === 1, { what: 'it to own something' })
  let stopped = false
  worker.stop().then(() => {
    stopped = true
  })
  await until(() => stopped, { what: 'the worker to stop' }).finally(() => {
    other.unsubscribe()
    opening.release()
  })
  await store.close()
  await pool.end()
})

test('a clean stop with many streams at once repeats nothing', async () => {
  const { category, name } = given()
  const stream = (streamId: string) => ({ category, streamId })
  await meow.append(stream('a'), [event, event])
  await meow.append(stream('b'), Array(10).fill(event))
  const handled: string[] = []
  let go = () => {}
  const first = meow.subscription(name, { category }).process(
    async ({ streamId, version }) => {
      if (streamId === 'a' && version === 0) await new Promise<void>((resolve) => (go = resolve))
      handled.push(`${streamId}${version}`)
    },
    { concurrency: 2 },
  )
  // a1 waits for a0, and all events of b are handled.
  await until(() => handled.length === 10, { what: 'the other stream' })
  const stopped = first.stop()
  go()
  await stopped
  const second = meow.subscription(name, { category }).process(({ streamId, version }) => {
    handled.push(`${streamId}${version}`)
  })
  await until(() => handled.length >= 12, { what: 'the rest' })
  await second.stop()
  assert.equal([...handled].sort(), [...new Set(handled)].sort(), 'none twice')
  assert.is((await meow.subscriptions()).find((one) => one.name === name)!.lag, 0)
})

test('a clean stop while one waits to be tried again repeats nothing', async () => {
  const { category, name } = given()
  const stream = (streamId: string) => ({ category, streamId })
  await meow.append(stream('a'), event)
  await meow.append(stream('b'), Array(10).fill(event))
  const handled: string[] = []
  const first = meow.subscription(name, { category }).process(
    async ({ streamId, version }) => {
      if (streamId === 'a') throw new Error('later')
      handled.push(`${streamId}${version}`)
    },
    { retry: { minDelayMs: 60_000, maxDelayMs: 60_000 } },
  )
  await until(() => handled.length === 10, { what: 'the other stream' })
  await first.stop()
  const second = meow.subscription(name, { category }).process(({ streamId, version }) => {
    handled.push(`${streamId}${version}`)
  })
  await until(() => handled.length >= 11, { what: 'the rest' })
  await second.stop()
  assert.equal([...handled].sort(), [...new Set(handled)].sort(), 'none twice')
})

test('transactional, stopped while a failed batch is run again: stop() drains', async () => {
  const { category, name } = given()
  await meow.appendAll(upTo(20).map((n) => ({ stream: { category, streamId: `${n}` }, events: [event] })))
  let stopped: Promise<void> | undefined
  let failed = false
  const done = new Set<number>()
  const worker = meow.subscription(name, { category }).process(
    async ({ position, streamId }, { client }) => {
      await client.query('select 1')
      if (failed && !stopped) stopped = worker.stop()
      if (streamId === '5' && !failed) {
        failed = true
        throw new Error('once')
      }
      done.add(position)
    },
    { transactional: true, retry: { minDelayMs: 0, maxDelayMs: 0 } },
  )
  await until(() => stopped !== undefined, { what: 'the batch to be run again' })
  const ended = await Promise.race([
    stopped!.then(() => true),
    until(() => false, { timeoutMs: 8_000, what: 'x' }).catch(() => false),
  ])
  assert.ok(ended, 'stop() has not resolved after 8 s')
})

test('transactional, failing again in the second run: the partition can be released', async () => {
  const { category, name } = given()
  await meow.appendAll(upTo(40).map((n) => ({ stream: { category, streamId: `${n}` }, events: [event] })))
  let stopped: Promise<void> | undefined
  const runs = new Map<string, number>()
  const worker = meow.subscription(name, { category }).process(
    async ({ streamId }, { client }) => {
      await client.query('select 1')
      const run = (runs.get(streamId) ?? 0) + 1
      runs.set(streamId, run)
      if (streamId === '3' && run <= 2) {
        if (run === 2) stopped = worker.stop()
        throw new Error('twice')
      }
    },
    { transactional: true, retry: { minDelayMs: 0, maxDelayMs: 0 } },
  )
  await until(() => stopped !== undefined, { what: 'the batch to be run again' })
  const ended = await Promise.race([
    stopped!.then(() => true),
    until(() => false, { timeoutMs: 8_000, what: 'x' }).catch(() => false),
  ])
  assert.ok(ended, 'stop() has not resolved after 8 s')
})

test('transactional: a handler that hides the failure of its query has failed', async () => {
  const { category, name } = given()
  const { position } = await meow.append({ category, streamId: 'a' }, Array(3).fill(event))
  const attempts: string[] = []
  const worker = meow.subscription(name, { category }).process(
    async ({ version }, { attempt, client }) => {
      attempts.push(`${version}/${attempt}`)
      if (version === 2 && attempt === 1) await client.query('select 1 / 0').catch(() => {})
    },
    { transactional: true, retry: { minDelayMs: 0, maxDelayMs: 0 } },
  )
  let ended: unknown
  worker.done.catch((error) => {
    ended = error
  })
  await until(() => ended || attempts.includes('2/2'), { what: 'it to be tried again' })
  assert.is(ended, undefined)
  await meow.waitFor(name, position)
  await worker.stop()
})

test('an event that arrives during the last read of a replay is handled', async () => {
  const { category, name } = given()
  const { store, hold, pool } = await slowStore()
  const handled: string[] = []
  let poisoned = true
  let events: ReturnType<typeof hold> | undefined
  const subscription = store.subscription(name, { category })
  const worker = subscription.process(
    ({ streamId, version }) => {
      if (streamId === 'a' && version === 0) {
        if (poisoned) throw new Error('poison')
        events = hold('position + 0 between') // the next read: it finds nothing more
      }
      handled.push(`${streamId}${version}`)
    },
    { retry: { maxAttempts: 1 } },
  )
  await worker.ready
  await meow.append({ category, streamId: 'a' }, event)
  await until(async () => (await meow.parked(name)).length === 1, { what: 'the stream to be parked' })
  poisoned = false
  await meow.replayParked(name)
  await until(() => events, { what: 'the replay' })
  await events!.some()
  await meow.append({ category, streamId: 'a' }, event)
  const { position } = await meow.append({ category, streamId: 'b' }, event)
  await until(() => current(subscription.status$).position >= position, { what: 'the checkpoint' })
  events!.release()
  await until(() => handled.includes('a1'), { timeoutMs: 5_000, what: `a1; handled: ${handled}` })
  assert.equal(
    handled.filter((it) => it.startsWith('a')),
    ['a0', 'a1'],
  )
  await worker.stop()
  await store.close()
  await pool.end()
})

test('the end of one replay delivers nothing of another parked stream', async () => {
  const { category, name } = given()
  const { store, hold, pool } = await slowStore()
  const handled: string[] = []
  const poisoned = new Set(['a', 'b'])
  const subscription = store.subscription(name, { category })
  const worker = subscription.process(
    ({ streamId, version }) => {
      if (poisoned.has(streamId)) throw new Error('poison')
      handled.push(`${streamId}${version}`)
    },
    { retry: { maxAttempts: 1 } },
  )
  await worker.ready
  await meow.appendAll(['a', 'b'].map((streamId) => ({ stream: { category, streamId }, events: [event] })))
  await until(async () => (await meow.parked(name)).length === 2, { what: 'the streams to be parked' })
  poisoned.delete('a')
  const ends = hold('.replayed(', (values) => values[5] === null)
  await meow.replayParked(name, { streamId: 'a' })
  await ends.some()
  await meow.append({ category, streamId: 'b' }, event)
  const { position } = await meow.append({ category, streamId: 'c' }, event)
  await until(() => current(subscription.status$).inFlight >= 2, {
    timeoutMs: 2_000,
    what: 'both to wait',
  }).catch(
    () => {}, // or any other outcome of events that arrive meanwhile
  )
  ends.release()
  await meow.waitFor(name, position)
  poisoned.delete('b')
  await meow.replayParked(name)
  await until(() => handled.includes('b1'), { what: 'the other stream' })
  assert.equal(
    handled.filter((it) => it.startsWith('b')),
    ['b0', 'b1'],
  )
  await worker.stop()
  await store.close()
  await pool.end()
})

test('a clean stop while an event is replayed repeats nothing', async () => {
  const { category, name } = given()
  const { store, hold, pool } = await slowStore()
  let poisoned = true
  let go: (() => void) | undefined
  const handled: string[] = []
  const options = { category, leaseMs: 60_000 }
  const first = store.subscription(name, options).process(
    async ({ version }) => {
      if (poisoned) throw new Error('poison')
      await new Promise<void>((resolve) => {
        go = resolve
      })
      handled.push(`a${version}`)
    },
    { retry: { maxAttempts: 1 } },
  )
  await first.ready
  await meow.append({ category, streamId: 'a' }, event)
  await until(async () => (await meow.parked(name)).length === 1, { what: 'the stream to be parked' })
  poisoned = false
  await meow.replayParked(name)
  await until(() => go !== undefined, { what: 'the replay' })
  const record = hold('.replayed(', undefined, 'query')
  let stopped = false
  first.stop().then(() => {
    stopped = true
  })
  go!()
  await until(() => handled.length === 1, { what: 'the handler' })
  await Promise.race([first.done, record.some()])
  record.release()
  await until(() => stopped, { timeoutMs: 5_000, what: 'the end of a drain that has nothing to wait for' })
  const second = meow.subscription(name, options).process(({ version }) => {
    handled.push(`a${version}`)
  })
  await meow.append({ category, streamId: 'a' }, event)
  await until(() => handled.includes('a1'), { what: 'the next' })
  await second.stop()
  assert.equal(handled, ['a0', 'a1'])
  await store.close()
  await pool.end()
})

test('a clean stop ends with the replayed event that it waits for, however long the lease', async () => {
  const { category, name } = given()
  let poisoned = true
  let go: (() => void) | undefined
  const worker = meow.subscription(name, { category, leaseMs: 60_000 }).process(
    async () => {
      if (poisoned) throw new Error('poison')
      await new Promise<void>((resolve) => {
        go = resolve
      })
    },
    { retry: { maxAttempts: 1 } },
  )
  await worker.ready
  await meow.append({ category, streamId: 'a' }, event)
  await until(async () => (await meow.parked(name)).length === 1, { what: 'the stream to be parked' })
  poisoned = false
  await meow.replayParked(name)
  await until(() => go !== undefined, { what: 'the replay' })
  let stopped = false
  worker.stop().then(() => {
    stopped = true
  })
  let looks = 0
  await until(() => ++looks > 20, { what: 'the drain to begin' })
  assert.not(stopped)
  go!()
  await until(() => stopped, { timeoutMs: 5_000, what: 'the end of a drain that has nothing to wait for' })
})

test('transactional: a handler that fails only at the commit has failed, and other streams go on', async () => {
  const { category, name } = given()
  const table = `${storeSchema}.${uniqueName('deferred')}`
  const sql = await pgClient()
  await sql.query(`create table ${table} (id int, constraint one unique (id) deferrable initially deferred)`)
  await meow.append({ category, streamId: 'a' }, [event, event])
  await meow.append({ category, streamId: 'b' }, [event, event])
  const handled: string[] = []
  const worker = meow.subscription(name, { category }).process(
    async ({ streamId, version }, { client }) => {
      const id = streamId === 'a' ? 1 : version + 2
      await client.query(`insert into ${table} values ($1)`, [id])
      handled.push(`${streamId}${version}`)
    },
    { transactional: true, retry: { maxAttempts: 2, minDelayMs: 0, maxDelayMs: 0 } },
  )
  let ended: unknown
  worker.done.catch((error) => {
    ended = error
  })
  const parked = async () => (await meow.parked(name)).map(({ event }) => `${event.streamId}${event.version}`)
  await worker.ready
  await until(async () => ended || (await parked()).length > 0, { what: 'the stream to be parked' })
  assert.is(ended, undefined)
  assert.equal(await parked(), ['a1'])
  await until(async () => (await sql.query(`select from ${table}`)).rowCount === 3, { what: 'the others' })
  await worker.stop()
})

test('a lease lost while the executor reads the parked streams: it continues', async () => {
  const { category, name } = given()
  const { store, hold, pool } = await slowStore()
  const handled: string[] = []
  const worker = store.subscription(name, { category, leaseMs: 60_000 }).process(
    ({ streamId, version }) => {
      if (streamId === 'a') throw new Error('poison')
      handled.push(`${streamId}${version}`)
    },
    { retry: { maxAttempts: 1 } },
  )
  let ended: unknown
  worker.done.catch((error) => {
    ended = error
  })
  await worker.ready
  await meow.append({ category, streamId: 'a' }, event)
  await until(async () => (await meow.parked(name)).length === 1, { what: 'the stream to be parked' })
  const looks = hold('.parked_streams(')
  const sql = await pgClient()
  await sql.query(`select pg_notify(${storeSchema}.wake_channel($1), '')`, [name])
  await looks.some()
  const { position } = await meow.append({ category, streamId: 'b' }, event)
  await until(() => handled.includes('b0'), { what: 'the other stream' })
  await meow.waitFor(name, position)
  await meow.resetSubscription(name, { after: position })
  await meow.append({ category, streamId: 'b' }, event)
  await until(() => handled.includes('b1'), { what: 'the event that finds the lease lost' })
  await meow.append({ category, streamId: 'c' }, event)
  looks.release()
  await until(() => ended || handled.includes('c0'), { what: 'it to go on' })
  assert.is(ended, undefined)
  await worker.stop()
  await store.close()
  await pool.end()
})

test('a newcomer gets its share at once, however long the lease', async () => {
  for (const round of upTo(10)) {
    const { category, name } = given()
    const options = { category, partitions: 8, leaseMs: 60_000 }
    const stores = await Promise.all([openStore(), openStore(), openStore()])
    const workers = []
    for (const [i, store] of stores.entries()) {
      const subscription = store.subscription(name, options)
      const worker = subscription.process(() => {})
      workers.push(worker)
      await worker.ready
      const share = Math.floor(8 / (i + 1))
      await until(() => current(subscription.status$).partitions.length >= share, {
        what: `the share of number ${i} in round ${round}`,
      })
    }
    await Promise.all(workers.map((worker) => worker.stop()))
    await Promise.all(stores.map((store) => store.close()))
  }
})

test.run()
