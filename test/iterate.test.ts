// @alone
// iterate(): the same events pulled. It reads at most two pages ahead, and can be ended at any moment.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { countingPool } from './support/counting-pool.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { lastingTimers, timers } from './support/timers.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'

const many = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => ({ type: 'Counted', data: { n: from + n } }))
const done = { done: true, value: undefined }

const { pool, queries } = countingPool({ idleTimeoutMillis: 0 })
let meow: Meow
test.before(async () => {
  meow = await openStore({ pool, pollIntervalMs: 60_000 })
  await listening(meow)
})
test.after(async () => {
  await closeAll()
  await pool.end()
})

test('for await: what is there, then what comes; leaving the loop frees everything', async () => {
  const stream = { category: uniqueName('loop'), streamId: '1' }
  await meow.append(stream, many(2_500))
  const before = await lastingTimers()
  const seen: number[] = []
  for await (const { data } of meow.iterate({ category: stream.category })) {
    seen.push(data.n)
    if (seen.length === 2_500) await meow.append(stream, many(3, 2_500))
    if (seen.length === 2_503) break
  }
  assert.equal(seen, upTo(2_503))
  await until(() => timers() <= before, { what: 'the timers to be gone' })

  const thrown = async () => {
    for await (const _ of meow.iterate({ category: stream.category })) throw new Error('enough')
  }
  const error = await thrown().catch((error) => error)
  assert.is(error.message, 'enough')
  await until(() => timers() <= before, { what: 'the timers to be gone' })
})

test('live: false ends at the horizon found at the start', async () => {
  const stream = { category: uniqueName('finite'), streamId: '1' }
  assert.equal(await all(meow.iterate({ category: stream.category }, { live: false })), [])
  const { events } = await meow.append(stream, many(1_500))
  const iterable = meow.iterate({ category: stream.category }, { live: false })
  assert.equal(await all(iterable), events)
  assert.equal(await all(iterable), events, 'each iteration begins anew')
  const after = events[1_400]!.position
  const rest = await all(meow.iterate({ category: stream.category }, { live: false, from: { after } }))
  assert.equal(rest, events.slice(1_401))
})

test('a consumer that takes its time has two pages read ahead at most', async () => {
  const stream = { category: uniqueName('bounded'), streamId: '1' }
  for (const part of upTo(10)) await meow.append(stream, many(2_000, part * 2_000))
  for (const live of [true, false]) {
    const before = queries.length
    const iterator = meow.iterate({ category: stream.category }, { live })[Symbol.asyncIterator]()
    assert.is((await iterator.next()).value.data.n, 0)
    const pages = () =>
      queries.slice(before).filter((text) => /from .*events where/.test(text) && text.includes('limit'))
        .length
    // Time for whoever would read on without being asked.
    for (const n of upTo(20)) await meow.append({ ...stream, streamId: '2' }, many(1, n))
    assert.ok(pages() >= 1 && pages() <= 3, `${pages()} pages of 20 were read`)
    for (const n of upTo(20_000).slice(1)) assert.is((await iterator.next()).value.data.n, n)
    await iterator.return!()
  }
})

test('return() while next() waits ends both at once', async () => {
  for (const options of [{}, { from: 'end' }, { live: false }] as const) {
    const iterator = meow.iterate({ category: uniqueName('idle') }, options)[Symbol.asyncIterator]()
    const waiting = iterator.next()
    assert.equal(await iterator.return!(), done)
    assert.equal(await waiting, done)
    assert.equal(await iterator.next(), done)
  }
  const stream = { category: uniqueName('idle'), streamId: '1' }
  await meow.append(stream, many(1))
  const idle = meow.iterate({ category: stream.category })[Symbol.asyncIterator]()
  await idle.next() // the tail is open now, and has no more
  const waiting = idle.next()
  await meow.append({ category: uniqueName('other'), streamId: '1' }, many(1))
  assert.equal(await idle.return!(), done)
  assert.equal(await waiting, done)
  const unused = meow.iterate({})[Symbol.asyncIterator]()
  assert.equal(await unused.return!(), done)
  assert.equal(await unused.next(), done)
})

test('calls of next() that overlap are answered in order', async () => {
  const stream = { category: uniqueName('overlap'), streamId: '1' }
  const iterator = meow.iterate({ category: stream.category })[Symbol.asyncIterator]()
  const calls = upTo(1_200).map(() => iterator.next())
  await meow.append(stream, many(1_200))
  const answers = await Promise.all(calls)
  assert.equal(
    answers.map(({ value }) => value.data.n),
    upTo(1_200),
  )
  await iterator.return!()
})

test('a signal ends it; so does close()', async () => {
  const category = uniqueName('signal')
  await meow.append({ category, streamId: '1' }, many(3))
  const stop = new AbortController()
  const seen = []
  for await (const event of meow.iterate({ category }, { signal: stop.signal })) {
    seen.push(event)
    if (seen.length === 2) stop.abort()
  }
  assert.is(seen.length, 2)
  assert.equal(await all(meow.iterate({ category }, { signal: stop.signal })), [])

  const other = await openStore()
  const iterator = other.iterate({ category })[Symbol.asyncIterator]()
  for (const n of upTo(3)) assert.is((await iterator.next()).value.data.n, n)
  const waiting = iterator.next()
  await other.close()
  assert.equal(await waiting, done)
  const closed = await all(other.iterate({ category })).catch((error) => error)
  assert.is(closed.code, 'ERR_CLOSED')
})

test('an error is thrown once, and that is the end', async () => {
  const schema = uniqueName('missing')
  const other = await openStore({ schema })
  await pool.query(`drop schema ${schema} cascade`)
  for (const live of [true, false]) {
    const iterator = other.iterate({ category: 'a' }, { live })[Symbol.asyncIterator]()
    const error = await iterator.next().catch((error) => error)
    assert.is(error.code, 'ERR_SCHEMA')
    assert.equal(await iterator.next(), done)
  }
  await other.close()
})

async function all(iterable: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> {
  const events = []
  for await (const event of iterable) events.push(event)
  return events
}

test.run()
