// @direct
// A standby that lacks events is promoted and assigns their positions again: every reader that has such a position notices.
// Subscriptions continue at the checkpoint of the store and miss nothing; live observers, which can't, get an error.
import { inspect } from 'node:util'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { connect, HistoryLostError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import type { Pair } from './support/pair.ts'
import { startPair } from './support/pair.ts'
import type { Proxy as Way } from './support/proxy.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import { until } from './support/until.ts'
import { theWay } from './support/ways.ts'

const schema = 'lossy'
const stream = { category: 'lossy', streamId: '1' }
const event = { type: 'Happened', data: {} }
const errors: unknown[][] = []
const ignore = () => {}
const logger = { debug: ignore, info: ignore, warn: ignore, error: (...args: unknown[]) => errors.push(args) }

let pair: Pair
let way: Way // to the standby
let meow: Meow
let iterated: Promise<RecordedEvent>[] = []
test.before(async () => {
  pair = await startPair()
  way = await startProxy(pair.standby)
  const hosts = [pair.primary, way.url].map((url) => new URL(url).host)
  const connectionString = `postgresql://postgres@${hosts}/postgres?target_session_attrs=primary`
  meow = await connect(theWay({ connectionString, schema, logger, pollIntervalMs: 100 }))
  await meow.migrate()
})
test.after(async () => {
  await meow.close()
  await way.close()
  await pair.remove()
})

test('events that an asynchronous standby lacks: their positions are used again, and no reader skips them', async () => {
  const observers = [{ category: 'lossy' }, {}].map((selector) => collect(meow.events(selector)))
  const count = { category: 'lossy', initial: 0, evolve: (n: number) => n + 1, decide: () => [] }
  const watched = collect(meow.watch(count, '1'))
  const rare = collect(meow.events({ category: 'rare' })) // stands at the same positions, having seen nothing
  const handled: RecordedEvent[] = []
  const subscription = meow.subscription('lossy', { category: 'lossy', leaseMs: 2_000 })
  const worker = subscription.process((one) => void handled.push(one))
  const rarely: RecordedEvent[] = []
  const rareWorker = meow.subscription('rare', { category: 'rare' }).process((one) => void rarely.push(one))
  const kept = await meow.append(stream, [event, event, event])
  await meow.waitFor('lossy', kept.position)
  const standby = new pg.Client({ connectionString: pair.standby })
  standby.on('error', () => {}) // its server may be stopped first
  await standby.connect()
  const replicated = `select position from ${schema}.checkpoints where subscription = 'lossy'`
  await until(async () => Number((await standby.query(replicated)).rows[0]?.position) === kept.position, {
    what: 'the checkpoint to be on the standby',
  })
  await pair.cut()

  const lost = await meow.append(stream, Array(40).fill(event))
  await meow.waitFor('lossy', lost.position)
  await meow.waitFor('rare', lost.position)
  for (const { has } of observers) await has(43)
  const iterator = meow.iterate({}, { from: { after: lost.position } })[Symbol.asyncIterator]()
  iterated = [iterator.next().then(({ value }) => value)]
  iterated[0]!.catch(() => {})
  await way.cut()
  await pair.kill()
  await pair.promote()
  // Another process appends first, so other events have these positions when this process sees them.
  const other = await connect(theWay({ connectionString: pair.standby, schema, listen: false }))
  const begun = (await other.append({ category: 'rare', streamId: '1' }, event)).events[0]!
  const again = await other.append(stream, Array(60).fill(event))
  assert.ok(begun.position <= lost.position && again.position > lost.position, 'positions come again')
  const healed = performance.now()
  await way.heal()

  for (const observer of [...observers, rare]) {
    await until(() => observer.error, { timeoutMs: 30_000, what: 'an observer to be told' })
    assert.instance(observer.error, HistoryLostError)
    const { code, position, eventId, lastPosition, message } = observer.error
    assert.is(code, 'ERR_HISTORY_LOST')
    assert.equal([position, eventId], [lost.position, lost.events.at(-1)!.id])
    assert.ok(lastPosition >= again.position)
    for (const word of [position, eventId, lastPosition]) assert.match(message, String(word))
  }
  for (const { all } of observers) assert.is(all.length, 43, 'nothing of the new history after the old')
  await rejects(iterated[0]!, HistoryLostError)
  console.log(`lossy failover: noticed ${Math.round(performance.now() - healed)} ms after the way was open`)
  const reports = errors.filter(([, message]) => message === 'the store has gone back')
  assert.is(reports.length, 1, inspect(errors))

  // Durable subscriptions go on from the checkpoint that the store has.
  const missing = () => again.events.filter(({ id }) => !handled.some((one) => one.id === id))
  await until(() => missing().length === 0, { timeoutMs: 30_000, what: 'the new events to be handled' })
  await until(() => rarely.length > 0, { timeoutMs: 30_000, what: 'the one at a position that was passed' })
  assert.equal(rarely, [begun])
  await meow.waitFor('lossy', again.position, { timeoutMs: 20_000 })
  await until(() => watched.all.at(-1)?.state === 3 + 60, { timeoutMs: 30_000, what: 'the state' })
  assert.ok(watched.all.some(({ state }) => state === 3 + 40))
  watched.subscription.unsubscribe()
  const positions = (await meow.subscriptions()).map(({ name, position, ahead }) => [name, position, ahead])
  assert.equal(positions[0], ['lossy', again.position, 0])

  // So does a new observer.
  const anew = collect(meow.events({}))
  await anew.has(3 + 1 + 60)
  const later = await meow.append(stream, event)
  await anew.has(3 + 1 + 60 + 1)
  assert.equal(anew.all.slice(-2), [again.events.at(-1), later.events[0]])
  anew.subscription.unsubscribe()
  await Promise.all([worker.stop(), rareWorker.stop(), standby.end(), other.close()])
})

test('a checkpoint that is ahead of the store is reported', async () => {
  const last = (await meow.append(stream, event)).position
  const ahead = last + 1_000
  errors.length = 0
  // As after an incomplete restore.
  const sql = new pg.Client({ connectionString: pair.standby }) // which is the primary by now
  sql.on('error', () => {})
  await sql.connect()
  await sql.query(`update ${schema}.checkpoints set position = ${ahead} where subscription = 'lossy'`)
  await sql.end()
  const worker = meow.subscription('lossy', { category: 'lossy', leaseMs: 2_000 }).process(() => {})
  await until(() => errors.length > 0, { what: 'the report' })
  const [{ err, subscription }] = errors[0] as [{ err: HistoryLostError; subscription: string }]
  assert.equal([err.position, subscription], [ahead, 'lossy'])
  const found = (await meow.subscriptions()).find(({ name }) => name === 'lossy')!
  assert.is(found.ahead, ahead - err.lastPosition)
  await worker.stop()
})

test.run()
