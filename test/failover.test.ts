// @direct
// A primary is killed under load and its standby promoted: writers and subscribers go on by themselves. With synchronous
// replication no acknowledged event is lost.
import { randomUUID } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { ConnectionError, connect, OutcomeUnknownError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import type { Pair } from './support/pair.ts'
import { startPair } from './support/pair.ts'
import { rejects } from './support/rejects.ts'
import { listening } from './support/status.ts'
import { until } from './support/until.ts'
import { theWay } from './support/ways.ts'

const schema = 'failover'
const category = 'failover'
const event = () => ({ id: randomUUID(), type: 'Happened', data: {} })

let pair: Pair
const opened: Meow[] = []
const open = async (connectionString: string): Promise<Meow> => {
  const meow = await connect(theWay({ connectionString, schema }))
  opened.push(meow)
  return meow
}
test.before(async () => {
  pair = await startPair({ synchronous: true })
})
test.after(async () => {
  await Promise.all(opened.map((meow) => meow.close()))
  await pair.remove()
})

test('the primary is found in any order of the hosts; a standby alone is refused in the end', async () => {
  const standbyFirst = pair.both.replace(/@(.*),(.*)\/postgres/, '@$2,$1/postgres')
  const meow = await open(standbyFirst)
  await meow.migrate()
  assert.is((await meow.append({ category: 'first', streamId: '1' }, event())).version, 0)
  await listening(meow)
  const alone = `${pair.standby}?target_session_attrs=primary`
  const refused = await rejects(connect({ connectionString: alone, schema, listen: false }), ConnectionError)
  assert.match(refused.message, 'can only be read')
  // An append looks for the primary as long as any query may take.
  const reader = await connect({
    connectionString: pair.standby,
    schema,
    listen: false,
    queryTimeoutMs: 1_000,
  })
  const stream = { category: 'first', streamId: '1' }
  // Until it has replayed as much, the standby has no such table either.
  const there = () =>
    reader.load(stream).then(
      ({ length }) => length === 1,
      () => false,
    )
  await until(there, { what: 'the event to be on the standby' })
  assert.match((await rejects(reader.append(stream, event()), ConnectionError)).message, 'can only be read')
  await reader.close()
})

test('kill -9 of the primary under load: every acknowledged event is there, and everything continues', async () => {
  const meow = await open(pair.both)
  await meow.migrate()
  const observer = collect(meow.events({ category }))
  const handled: string[] = []
  const worker = meow
    .subscription('failover', { category, partitions: 4, leaseMs: 2_000 })
    .process(({ id }) => void handled.push(id), { concurrency: 4 })
  await worker.ready
  await listening(meow)

  const acknowledged = new Set<string>()
  const refused = new Set<string>()
  const unknown = new Set<string>()
  let promotedAt = Infinity
  let firstAfter = Infinity
  let done = false
  const trips = { retried: 0 }
  /** `persistent`: the same again until it is written; else what fails is left, and must not be there. */
  const write = async (streamId: string, persistent: boolean): Promise<void> => {
    for (let version = 0; !done; ) {
      const one = event()
      const expectedVersion = persistent ? version - 1 : 'any'
      for (;;) {
        try {
          const result = await meow.append({ category, streamId }, one, { expectedVersion })
          if (persistent) assert.is(result.version, version)
          version++
          acknowledged.add(one.id)
          if (performance.now() > promotedAt) firstAfter = Math.min(firstAfter, performance.now())
          break
        } catch (error) {
          if (!(error instanceof ConnectionError || error instanceof OutcomeUnknownError)) throw error
          if (!persistent) {
            ;(error instanceof OutcomeUnknownError ? unknown : refused).add(one.id)
            break
          }
          trips.retried++
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
    }
  }
  const writers = Promise.all([
    ...Array.from({ length: 8 }, (_, n) => write(`persistent-${n}`, true)),
    ...Array.from({ length: 4 }, (_, n) => write(`once-${n}`, false)),
  ])
  writers.catch(() => {})
  const more = async (count: number, timeoutMs = 30_000) => {
    const target = acknowledged.size + count
    await Promise.race([
      until(() => acknowledged.size >= target, { timeoutMs, what: 'acknowledged events' }),
      writers,
    ])
  }

  await more(300)
  await pair.kill()
  const before = acknowledged.size
  await pair.promote()
  promotedAt = performance.now()
  await more(300)
  const since = (at: number) => Math.round(at - promotedAt)
  console.log(`failover: first append acknowledged ${since(firstAfter)} ms after the promotion`)
  await until(() => handled.length > before + 100, { timeoutMs: 30_000, what: 'the subscription' })
  await listening(meow)
  console.log(`failover: push and subscription ${since(performance.now())} ms after the promotion`)
  done = true
  await writers

  const truth = await meow.read({ category }, { limit: 100_000 })
  const ids = truth.events.map(({ id }) => id)
  const stored = new Set(ids)
  assert.is(stored.size, ids.length)
  assert.equal(
    [...acknowledged].filter((id) => !stored.has(id)),
    [],
    'acknowledged, and lost',
  )
  assert.equal(
    [...refused].filter((id) => stored.has(id)),
    [],
    'refused, and there',
  )
  const strangers = ids.filter((id) => !acknowledged.has(id) && !unknown.has(id))
  assert.equal(strangers, [], 'neither acknowledged nor unknown, and there')
  const streams = new Map<string, number[]>()
  for (const { streamId, version } of truth.events)
    streams.set(streamId, [...(streams.get(streamId) ?? []), version])
  for (const versions of streams.values())
    assert.equal(
      versions,
      versions.map((_, n) => n),
      'dense',
    )
  await observer.has(ids.length, 30_000)
  assert.equal(
    observer.all.map(({ id }) => id),
    ids,
    'observed once each, in order',
  )
  await until(() => new Set(handled).size === stored.size, { timeoutMs: 30_000, what: 'all to be handled' })
  await worker.stop()
  console.log(
    `failover: ${acknowledged.size} acknowledged, ${before} of them before; ${trips.retried} tries again, ${refused.size} refused, ${unknown.size} unknown; ${handled.length - stored.size} handled twice`,
  )
})

test.run()
