import { firstValueFrom, lastValueFrom, take, toArray } from 'rxjs'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../../src/index.ts'
import { ClosedError, HistoryLostError } from '../../src/index.ts'
import { collect } from '../support/collect.ts'
import { seeded } from '../support/random.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import { upTo } from '../support/up-to.ts'
import type { Contract } from './contract.ts'

const newStream = () => ({ category: uniqueName('observe'), streamId: 'a' })
const event = (n: number, type = 'T') => ({ type, data: { n } })
const many = (count: number) => Array.from({ length: count }, (_, n) => event(n))
const numbers = (events: readonly RecordedEvent[]) => events.map(({ data }) => data.n)

export const observing: Contract = (test, store, open) => {
  test('from a moment: what was recorded then or later', async () => {
    const category = uniqueName('since')
    const append = async () =>
      (await store().append({ category, streamId: 'a' }, { type: 'T', data: 1 })).events[0]!
    const first = await append()
    let next = await append()
    while (next.recordedAt <= first.recordedAt) next = await append()
    const since = next.recordedAt
    for (const moment of [since, since.toISOString()]) {
      const found = []
      for await (const event of store().iterate({ category }, { from: { since: moment }, live: false }))
        found.push(event)
      assert.equal(found, [next])
    }
  })

  test('events: from the start, page by page, then live, as append recorded them', async () => {
    const stream = newStream()
    const before = await store().append(stream, many(2_100))
    const seen = collect(store().events({ category: stream.category }))
    await seen.has(2_100)
    await store().append(newStream(), event(0))
    const live = await store().append(stream, [event(1), event(2)])
    await seen.has(2_102)
    assert.equal(seen.all, [...before.events, ...live.events])
    seen.subscription.unsubscribe()
    await store().append(stream, event(3))
    assert.is((await store().read(stream, { after: live.position })).events.length, 1)
    assert.is(seen.all.length, 2_102)
  })

  test('events: from the end, from after a position', async () => {
    const stream = newStream()
    const { events } = await store().append(stream, many(4))
    const after = collect(store().events(stream, { from: { after: events[2]!.position } }))
    await after.has(1)
    const end = collect(store().events(stream, { from: 'end' }))
    // The first event shows where the end was: append until one arrives.
    let n = 4
    for (; end.all.length === 0; n++) {
      await store().append(stream, event(n))
      await new Promise(setImmediate)
    }
    await store().append(stream, event(n))
    await after.has(n - 2)
    assert.equal(numbers(after.all), upTo(n + 1).slice(3))
    await end.has(n + 1 - end.all[0]!.data.n)
    assert.equal(numbers(end.all), upTo(n + 1).slice(end.all[0]!.data.n))
    for (const { subscription } of [after, end]) subscription.unsubscribe()
  })

  test('events, iterate: a start after a position that the store has not reached fails at once', async () => {
    const stream = newStream()
    const { position } = await store().append(stream, many(2))
    const ahead = position + 1_000_000
    for (const selector of [stream, { category: stream.category }, {}])
      for (const live of [true, false]) {
        const options = { from: { after: ahead }, live }
        const pulled = store().iterate(selector, options)[Symbol.asyncIterator]().next()
        const pushed = lastValueFrom(store().events(selector, options).pipe(toArray()))
        const errors = [pulled, pushed].map((observed) => rejects(observed, HistoryLostError))
        for (const error of await Promise.all(errors)) {
          assert.is(error.position, ahead)
          assert.ok(error.lastPosition >= position && error.lastPosition < ahead)
          assert.match(error.message, /start from a position of this store/)
        }
      }
    // The last one is not ahead of it.
    const last = (await store().read({})).horizon
    assert.equal(
      await lastValueFrom(
        store()
          .events(stream, { from: { after: last }, live: false })
          .pipe(toArray()),
      ),
      [],
    )
  })

  test('events: live: false completes after the stored events', async () => {
    const { category, ...stream } = newStream()
    const finite = (options = {}) =>
      lastValueFrom(
        store()
          .events({ category }, { live: false, ...options })
          .pipe(toArray()),
      )
    assert.equal(await finite(), [])
    const { events } = await store().append({ category, ...stream }, many(1_001))
    assert.equal(await finite(), events)
    assert.equal(await finite({ from: { after: events[999]!.position } }), events.slice(1_000))
    assert.equal(await finite({ from: 'end' }), [])
  })

  test('events: selectors, before and live', async () => {
    const categories = [uniqueName('observe'), uniqueName('observe')]
    const append = async (from: number) => {
      for (const n of upTo(20)) {
        const stream = { category: categories[n % 2]!, streamId: `${n % 3}` }
        await store().append(stream, event(from + n, n % 4 < 2 ? 'Low' : 'High'))
      }
    }
    const cases = [
      [{ category: categories }, () => true],
      [{ category: categories, types: ['High'] }, (n: number) => n % 4 >= 2],
      [{ category: categories[1]!, streamId: '2' }, (n: number) => n % 2 === 1 && n % 3 === 2],
      [{ category: categories[0]!, types: ['None'] }, () => false],
    ] as const
    await append(0)
    const seen = cases.map(([selector]) => collect(store().events(selector)))
    await append(20)
    for (const [i, [, wants]] of cases.entries()) {
      const expected = upTo(40).filter((n) => wants(n % 20))
      await seen[i]!.has(expected.length)
      assert.equal(numbers(seen[i]!.all), expected)
    }
    for (const { subscription } of seen) subscription.unsubscribe()
  })

  test('events: exactly once at the change from stored events to live ones', async () => {
    const dice = seeded('contract: seam')
    const stream = newStream()
    const seen: ReturnType<typeof collect<RecordedEvent>>[] = []
    for (const n of upTo(60)) {
      const appending = store().append(stream, event(n))
      if (n % 6 === 0) seen.push(collect(store().events(stream)))
      if (dice.int(0, 1)) await appending
    }
    for (const one of seen) {
      await one.has(60)
      assert.equal(numbers(one.all), upTo(60))
      one.subscription.unsubscribe()
    }
  })

  test('events: a signal completes it, take ends it', async () => {
    const stream = newStream()
    await store().append(stream, many(30))
    assert.equal(numbers(await firstValueFrom(store().events(stream).pipe(take(7), toArray()))), upTo(7))
    const before = collect(store().events(stream, { signal: AbortSignal.abort() }))
    assert.ok(before.completed)
    const abort = new AbortController()
    const during = collect(store().events(stream, { signal: abort.signal }), () => abort.abort())
    await during.ended()
    assert.is(during.all.length, 1)
    const late = new AbortController()
    const live = collect(store().events(stream, { signal: late.signal }))
    await live.has(30)
    late.abort()
    assert.ok(live.completed)
  })

  test('iterate: pulls the same, finite and live, and ends by return and by a signal', async () => {
    const stream = newStream()
    await store().append(stream, many(1_500))
    const pulled: RecordedEvent[] = []
    for await (const one of store().iterate(stream, { live: false })) pulled.push(one)
    assert.equal(pulled, await store().load(stream))
    const abort = new AbortController()
    const live: number[] = []
    for await (const { data } of store().iterate(stream, { signal: abort.signal })) {
      live.push(data.n)
      if (live.length === 1_500) await store().append(stream, event(1_500))
      if (live.length === 1_501) abort.abort()
    }
    assert.equal(live, upTo(1_501))
    const waiting = store().iterate(stream, { from: 'end' })[Symbol.asyncIterator]()
    const next = waiting.next()
    await waiting.return!()
    assert.is((await next).done, true)
  })

  test('events, iterate: bad input is refused at the call', () => {
    assert.throws(() => store().events({ streamId: '1' }), /selector\.streamId needs exactly one category/)
    assert.throws(() => store().events({}, { from: { after: -1 } }), /options\.from/)
    assert.throws(() => store().iterate({}, { from: 'now' as 'end' }), /options\.from must be 'start'/)
    assert.throws(() => store().events({}, { form: 'end' } as object), /options\.form is not an option/)
  })

  test('close: Observables complete, and later calls are refused; it may be called twice', async () => {
    const closing = await open()
    const stream = newStream()
    await closing.append(stream, event(0))
    const seen = collect(closing.events(stream))
    const pulled = closing.iterate(stream, { from: 'end' })[Symbol.asyncIterator]().next()
    await seen.has(1)
    const last = closing.append(stream, event(1))
    const decider = { category: 'c', initial: 0, evolve: () => 0, decide: () => ({ type: 'T', data: 0 }) }
    const late = rejects(closing.decide(decider, 'a', 1), ClosedError) // which has to load before it appends
    await Promise.all([closing.close(), closing.close()])
    assert.is((await last).version, 1)
    await late
    await seen.ended()
    assert.is((await pulled).done, true)
    for (const call of [
      () => closing.append(stream, event(2)),
      () => closing.appendAll([]),
      () => closing.load(stream),
      () => closing.read({}),
      () => closing.categories(),
      () => closing.decide(decider, 'a', 1),
      () => closing.state(decider, 'a'),
      () => firstValueFrom(closing.events({})),
      () => firstValueFrom(closing.watch(decider, 'a')),
      async () => closing.iterate({})[Symbol.asyncIterator](),
    ])
      await rejects(call(), ClosedError)
    await closing[Symbol.asyncDispose]()
  })
}
