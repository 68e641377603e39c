// Handlers fail at random, and their streams are parked and replayed while executors start and stop and events arrive: no event
// is lost, each stream is handled in version order, and effects of transactions happen exactly once (I1, I2).
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, ProcessOptions, RecordedEvent } from '../src/index.ts'
import { seeded } from './support/random.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { appendAtRandom } from './support/team.ts'
import { until } from './support/until.ts'

const EVENTS = 3_000

let meow: Meow
test.before(async () => {
  meow = await openStore()
})
test.after(closeAll)

for (const [what, options] of [
  ['plain', {}],
  ['many streams at once', { concurrency: 8 }],
  ['transactional', { transactional: true, batchSize: 20 }],
] satisfies [string, ProcessOptions][]) {
  test(`failures, parking, replays, joins and stops at random: nothing is lost (${what})`, async () => {
    const dice = seeded(`parking, ${what}`)
    const [category, name] = [uniqueName('poison'), uniqueName('poison')]
    const table = `${storeSchema}.${uniqueName('effects')}`
    const sql = await pgClient()
    await sql.query(
      `create table ${table} (n bigint generated always as identity, position bigint, stream text, version int)`,
    )
    const transactional = 'transactional' in options
    let failures = 0.02
    const handled: Pick<RecordedEvent, 'position' | 'streamId' | 'version'>[] = []
    let begun = 0
    const handle = async ({ position, streamId, version }: RecordedEvent, { client }: { client?: any }) => {
      begun++
      if (dice.chance(failures)) throw new Error('at random')
      await client?.query(`insert into ${table} (position, stream, version) values ($1, $2, $3)`, [
        position,
        streamId,
        version,
      ])
      if (dice.chance(0.1)) await new Promise((resolve) => setTimeout(resolve, dice.int(0, 10)))
      if (dice.chance(failures)) throw new Error('at random, in the end')
      if (!client) handled.push({ position, streamId, version })
    }
    const ends: unknown[] = []
    const join = async () => {
      const store = await openStore()
      const worker = store
        .subscription(name, { category, partitions: 4, leaseMs: 60_000, maxInFlight: 64 })
        .process(handle, {
          ...options,
          retry: { maxAttempts: dice.pick([1, 1, 3]), minDelayMs: 1, maxDelayMs: 10 },
        })
      worker.done.catch((error) => ends.push(error))
      await worker.ready
      return async () => {
        await worker.stop()
        await store.close()
      }
    }
    const info = async () => (await meow.subscriptions()).find((it) => it.name === name)!
    const events: RecordedEvent[] = []
    const all = [await join()]
    let replays = 0
    while (events.length < EVENTS) {
      events.push(...(await appendAtRandom(meow, category, 100, dice)))
      if (dice.chance(0.5)) {
        if (all.length < 2 || (all.length < 4 && dice.chance(0.5))) all.push(await join())
        else await all.splice(dice.int(0, all.length - 1), 1)[0]!()
      }
      const enough = begun + dice.int(0, 100)
      await until(async () => begun >= enough || (await info()).lag === 0, { what: 'some to be handled' })
      if (dice.chance(0.5)) replays += await meow.replayParked(name)
      assert.equal(ends, [], 'a worker ended')
    }
    failures = 0
    await until(
      async () => {
        replays += await meow.replayParked(name)
        const { lag, parked } = await info()
        return lag === 0 && parked === 0
      },
      { timeoutMs: 30_000, what: 'the end' },
    ).catch(async (error) => {
      throw new Error(`${error.message}: ${JSON.stringify(await info())}`)
    })
    for (const stop of all) await stop()
    assert.equal(ends, [], 'a worker ended')

    if (transactional) {
      const { rows } = await sql.query(
        `select position::int, stream as "streamId", version from ${table} order by n`,
      )
      handled.push(...rows)
      assert.is(handled.length, EVENTS, 'exactly once')
    }
    const first = new Map(handled.map((it) => [it.position, it]))
    assert.equal(
      events.filter(({ position }) => !first.has(position)).map((it) => `${it.streamId}/${it.version}`),
      [],
      'these are lost',
    )
    const seen = new Set<number>()
    const next = new Map<string, number>()
    for (const { position, streamId, version } of handled) {
      if (seen.has(position)) continue
      seen.add(position)
      assert.is(version, next.get(streamId) ?? 0, `stream ${streamId} out of order`)
      next.set(streamId, version + 1)
    }
    console.log(
      `${what}: ${begun} calls for ${EVENTS} events, ${replays} replayed, ${handled.length - EVENTS} handled twice`,
    )
  })
}

test.run()
