// @alone
// events(): catches up, then streams live, in position order, each event exactly once; unsubscribing frees everything.
import { bufferCount, firstValueFrom, take, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { countingPool } from './support/counting-pool.ts'
import { heard } from './support/listens.ts'
import { seeded } from './support/random.ts'
import { listening } from './support/status.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { lastingTimers, timers } from './support/timers.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'
import { pushes } from './support/ways.ts'

const event = (n: number, type = 'Counted') => ({ type, data: { n } })
const many = (count: number, type?: string) => Array.from({ length: count }, (_, n) => event(n, type))
const numbers = (events: readonly RecordedEvent[]) => events.map(({ data }) => data.n)

let meow: Meow
const warnings: Error[] = []
process.on('warning', (warning) => warnings.push(warning))
// Pools that keep no timer for an idle connection, so that what timers there are is ours.
const { pool } = countingPool({ idleTimeoutMillis: 0 })
test.before(async () => {
  meow = await openStore({ pool, pollIntervalMs: 60_000 })
  await listening(meow)
})
test.after(async () => {
  await closeAll()
  await pool.end()
})

test('from the start: page by page, then live, as append() recorded them', async () => {
  const stream = { category: uniqueName('start'), streamId: '1' }
  const appended = await meow.append(stream, [
    ...many(2_500),
    { type: 'Rich', data: { a: [1, 'ü'] }, metadata: { by: 'me' } },
  ])
  const seen = collect(meow.events({ category: stream.category }))
  await seen.has(2_501)
  const live = await meow.append(stream, [event(1), event(2)])
  await seen.has(2_503)
  assert.equal(seen.all, [...appended.events, ...live.events])
  seen.subscription.unsubscribe()
})

test('from the end, and from after a position', async () => {
  const stream = { category: uniqueName('from'), streamId: '1' }
  const { events } = await meow.append(stream, many(10))
  const after = collect(meow.events({ category: stream.category }, { from: { after: events[6]!.position } }))
  const end = collect(meow.events({ category: stream.category }, { from: 'end' }))
  await after.has(3)
  // The first event shows where the end was: append until one arrives.
  for (let n = 10; end.all.length === 0; n++) await meow.append(stream, event(n))
  const first = end.all[0]!.data.n
  assert.ok(first >= 10)
  const { data } = (await meow.append(stream, event(99))).events[0]!
  await until(() => end.all.at(-1)?.data.n === data.n, { what: 'the last one' })
  assert.equal(numbers(end.all).slice(0, -1), upTo(first + end.all.length - 1).slice(first))
  await until(() => after.all.at(-1)?.data.n === 99, { what: 'the last one' })
  assert.equal(numbers(after.all).slice(0, 4), [7, 8, 9, 10])
  for (const { subscription } of [after, end]) subscription.unsubscribe()
})

test('live: false completes at the horizon found at the start, held back or not', async () => {
  const { category, ...stream } = { category: uniqueName('finite'), streamId: '1' }
  assert.equal(await collect(meow.events({ category }, { live: false })).ended(), [], 'nothing there')
  await meow.append({ category, ...stream }, many(1_500))
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'open' }, event(0), { client })
  await meow.append({ category, ...stream }, event(1_500))
  const held = await collect(meow.events({ category }, { live: false })).ended()
  assert.equal(numbers(held), upTo(1_500))
  await client.query('rollback')
  assert.equal(numbers(await collect(meow.events({ category }, { live: false })).ended()), upTo(1_501))
  assert.equal(await collect(meow.events({ category }, { live: false, from: 'end' })).ended(), [])
})

test('a signal completes it: before, during and after it catches up; so does close()', async () => {
  const category = uniqueName('signal')
  await meow.append({ category, streamId: '1' }, many(3_000))
  const before = collect(meow.events({ category }, { signal: AbortSignal.abort() }))
  assert.ok(before.completed)
  assert.equal(before.all, [])

  const during = new AbortController()
  const cut = collect(meow.events({ category }, { signal: during.signal }), () => during.abort())
  await cut.ended()
  assert.is(cut.all.length, 1, 'nothing after the abort')

  const after = new AbortController()
  const live = collect(meow.events({ category }, { signal: after.signal }))
  await live.has(3_000)
  after.abort()
  assert.ok(live.completed)

  const other = await openStore()
  const closed = collect(other.events({ category }))
  await closed.has(1)
  await other.close()
  assert.ok(closed.completed)
  const late = collect(other.events({ category }))
  assert.is(late.error.code, 'ERR_CLOSED')
})

test('take(n) ends it in the middle of a page', async () => {
  const category = uniqueName('take')
  await meow.append({ category, streamId: '1' }, many(30))
  const some = await firstValueFrom(meow.events({ category }).pipe(take(7), toArray()))
  assert.equal(numbers(some), upTo(7))
  const [first] = await firstValueFrom(meow.events({ category }).pipe(bufferCount(20)))
  assert.is(first!.data.n, 0)
})

test('selectors: types, a stream, several categories, more than eight', async () => {
  const categories = Array.from({ length: 10 }, () => uniqueName('selected'))
  for (const n of upTo(60)) {
    const stream = { category: categories[n % 10]!, streamId: `${n % 3}` }
    await meow.append(stream, event(n, n % 2 ? 'Odd' : 'Even'))
  }
  const cases = [
    [{ category: categories, types: ['Odd'] }, (n: number) => n % 2 === 1],
    [{ category: categories[3]!, streamId: '1' }, (n: number) => n % 10 === 3 && n % 3 === 1],
    [{ category: categories[3]!, streamId: '1', types: ['Even'] }, () => false],
    [{ category: categories.slice(0, 3) }, (n: number) => n % 10 < 3],
    [{ category: categories.slice(1) }, (n: number) => n % 10 > 0],
    [{ category: categories.slice(1), types: ['Even', 'Other'] }, (n: number) => n % 10 > 0 && n % 2 === 0],
  ] as const
  const observers = cases.map(([selector, wants]) => ({ seen: collect(meow.events(selector)), wants }))
  for (const { seen, wants } of observers) await seen.has(upTo(60).filter(wants).length)
  // The same again, live.
  for (const n of upTo(120).slice(60)) {
    const stream = { category: categories[n % 10]!, streamId: `${n % 3}` }
    await meow.append(stream, event(n, n % 2 ? 'Odd' : 'Even'))
  }
  for (const { seen, wants } of observers) {
    await seen.has(upTo(120).filter(wants).length)
    assert.equal(numbers(seen.all), upTo(120).filter(wants))
    seen.subscription.unsubscribe()
  }
})

test('exactly once at the change from stored events to live ones, for 30 that join under load', async () => {
  const dice = seeded('seam')
  const category = uniqueName('seam')
  let writing = true
  let count = 0
  const write = async () => {
    while (writing) {
      const size = dice.int(1, 40)
      await meow.append({ category, streamId: `${dice.int(0, 5)}` }, many(size))
      count += size
    }
  }
  const writers = [write(), write(), write()]
  const observers = []
  for (const n of upTo(30)) {
    await until(() => count > n * 100, { what: 'the load' })
    const { events, position } = await meow.read({ category }, { limit: dice.int(1, 3_000) })
    const from = dice.pick(['start', { after: position }] as const)
    observers.push({
      seen: collect(meow.events({ category }, { from })),
      skipped: from === 'start' ? 0 : events.length,
    })
  }
  writing = false
  await Promise.all(writers)
  const { events } = await meow.read({ category }, { limit: 100_000 })
  assert.is(events.length, count)
  for (const { seen, skipped } of observers) {
    await seen.has(count - skipped)
    assert.equal(
      seen.all.map(({ position }) => position),
      events.slice(skipped).map(({ position }) => position),
    )
    seen.subscription.unsubscribe()
  }
})

test('many observers of one selection cost what one costs', async () => {
  const { pool, queries } = countingPool()
  const lender = await openStore({ pool, pollIntervalMs: 60_000 })
  await listening(lender)
  const stream = { category: uniqueName('shared'), streamId: '1' }
  await lender.append(stream, event(0))
  const first = collect(lender.events({ category: stream.category }))
  await first.has(1)
  const before = queries.length
  const joined = upTo(100).map(() => collect(lender.events({ category: stream.category })))
  for (const seen of joined) await seen.has(1)
  assert.ok(queries.length - before <= 2, `${queries.length - before} queries for 100 who joined`)
  const start = queries.length
  for (const n of upTo(10)) {
    await lender.append(stream, event(n + 1))
    for (const seen of [first, ...joined]) await seen.has(n + 2)
  }
  // For each event: the append, and a fetch of the horizon with its page; rarely one more fetch, or a new connection.
  assert.ok(queries.length - start <= 50, `${queries.length - start} queries for ten events`)
  for (const { subscription } of [first, ...joined]) subscription.unsubscribe()
  await lender.close()
  await pool.end()
})

test('unsubscribing leaves no tail, no timer, no LISTEN', async () => {
  const category = uniqueName('freed')
  const before = await lastingTimers()
  const observers = [{ category }, { category }, { category, types: ['Counted'] }].map((selector) =>
    collect(meow.events(selector)),
  )
  await meow.append({ category, streamId: '1' }, event(0))
  for (const seen of observers) await seen.has(1)
  assert.ok(timers() > before, 'the poll')
  if (pushes) await heard('LISTEN', category)
  for (const { subscription } of observers) subscription.unsubscribe()
  await until(() => timers() <= before, { what: 'the timers to be gone' })
  if (pushes) await heard('UNLISTEN', category)
})

test('an observer that unsubscribes while its tail opens leaves nothing open either', async () => {
  const before = await lastingTimers()
  for (const from of ['start', 'end', { after: 3 }] as const) {
    for (const turns of upTo(30)) {
      const subscription = meow.events({ category: uniqueName('brief') }, { from }).subscribe()
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      subscription.unsubscribe()
    }
  }
  await until(() => timers() <= before, { what: 'the timers to be gone' })
})

test('an error reaches the observer, which can subscribe again; the failed attempt leaves nothing', async () => {
  const schema = uniqueName('missing')
  const sql = await pgClient()
  const other = await openStore({ pool, schema, pollIntervalMs: 60_000 })
  await listening(other)
  await sql.query(`drop schema ${schema} cascade`)
  const before = await lastingTimers()
  const errors: any[] = []
  const again: (() => void)[] = []
  other.events({ category: 'a' }).subscribe({
    error: (error) => {
      errors.push(error)
      // At once, from inside the error: while the failed one is not taken down yet.
      const second = other.events({ category: 'a' }).subscribe({ error: (error) => errors.push(error) })
      again.push(() => second.unsubscribe())
    },
  })
  const direct = collect(other.events({ category: 'b' }, { live: false }))
  await until(() => errors.length === 2 && direct.error, { what: 'the errors' })
  for (const error of [...errors, direct.error]) {
    assert.is(error.code, 'ERR_SCHEMA')
    assert.match(error.message, 'migrate()')
  }
  for (const end of again) end()
  await until(() => timers() <= before, { what: 'the timers to be gone' })
  await other.close()
})

test('a fast observer does not wait for a slow one', async () => {
  const category = uniqueName('speeds')
  await meow.append({ category, streamId: '1' }, many(5_000))
  const slow = meow.iterate({ category })[Symbol.asyncIterator]()
  assert.is((await slow.next()).value.data.n, 0)
  const fast = collect(meow.events({ category }))
  await fast.has(5_000)
  await meow.append({ category, streamId: '1' }, event(5_000))
  await fast.has(5_001)
  for (const n of upTo(5_001).slice(1)) assert.is((await slow.next()).value.data.n, n)
  await slow.return!()
  fast.subscription.unsubscribe()
})

test('bad arguments are refused at the call', () => {
  assert.throws(() => meow.events({ streamId: '1' }), /selector\.streamId needs exactly one category/)
  assert.throws(() => meow.events({ category: '' }), /selector\.category/)
  assert.throws(() => meow.events({}, { from: { after: -1 } }), /options\.from/)
  assert.throws(() => meow.events({}, { from: 'now' as 'end' }), /options\.from must be 'start', 'end'/)
  assert.throws(() => meow.events({}, { form: 'end' } as object), /options\.form is not an option/)
})

test('Node printed no warning', () => assert.equal(warnings, []))

test.run()
