// A remote keeps the contract of meow.events: position order, each event once, over broken connections, restarts and refusals.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RemoteSelector } from '../src/client/index.ts'
import { RemoteError, remote } from '../src/client/index.ts'
import { eventFeed, stateFeed } from '../src/http/index.ts'
import type { Decider, RecordedEvent } from '../src/index.ts'
import { collect } from './support/collect.ts'
import type { Serving } from './support/http.ts'
import { serve } from './support/http.ts'
import { seeded } from './support/random.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const order = uniqueName('order')
const count: Decider<unknown, RecordedEvent, { count: number }> = {
  category: order,
  initial: { count: 0 },
  evolve: (state) => ({ count: state.count + 1 }),
  decide: () => [],
}
const feed = eventFeed(meow, { authorize: () => true, all: true, heartbeatMs: 100 })
const states = stateFeed(meow, { order: count }, { authorize: () => true, heartbeatMs: 100 })
const both = (request: Request) =>
  new URL(request.url).pathname.startsWith('/events/state/') ? states(request) : feed(request)
const server = await serve(both)
const shop = remote(`${server.url}/events/`)

test.after(async () => {
  await server.close()
  await closeAll()
})

const said = (n: number) => ({ type: n % 2 ? 'Odd' : 'Even', data: { n } })
const numbers = (events: readonly RecordedEvent[]) => events.map(({ data }) => data.n)
const upTo = (end: number) => Array.from({ length: end }, (_, n) => n)

test('events are those of the store, with their times; then live', async () => {
  const category = uniqueName('live')
  const stream = { category, streamId: 'a/b' }
  await meow.append(stream, upTo(2_500).map(said))
  const [here, there] = [collect(meow.events({ category })), collect(shop.events({ category }))]
  await there.has(2_500)
  await meow.append(stream, [said(2_500)])
  await Promise.all([here.has(2_501), there.has(2_501)])
  assert.equal(there.all, here.all)
  here.subscription.unsubscribe()
  there.subscription.unsubscribe()
})

test('selectors: stream, types, several categories, everything; odd names', async () => {
  const [a, b] = [uniqueName('a,b%/ä'), uniqueName('b')]
  await meow.append({ category: a, streamId: 'x/y?#&' }, [
    said(0),
    said(1),
    { type: 'odd, %25&+', data: { n: 2 } },
  ])
  await meow.append({ category: b, streamId: 'x' }, [said(3)])
  const read = async (selector: RemoteSelector) =>
    numbers(await collect(shop.events(selector, { live: false })).ended())
  assert.equal(await read({ category: a }), [0, 1, 2])
  assert.equal(await read({ category: a, streamId: 'x/y?#&' }), [0, 1, 2])
  assert.equal(await read({ category: a, types: ['odd, %25&+', 'Even'] }), [0, 2])
  assert.equal(await read({ category: [a, b], types: ['Odd'] }), [1, 3])
  assert.equal(await read({ types: ['odd, %25&+'] }), [2])
  assert.equal(await read({ category: uniqueName('none') }), [])
})

test('tags: only events that carry all of them; from the past, and live', async () => {
  const category = uniqueName('tags')
  const stream = { category, streamId: '1' }
  const tagged = (n: number, ...tags: string[]) => ({ ...said(n), tags })
  await meow.append(stream, [tagged(0, 'a, b'), tagged(1, 'a, b', 'c'), said(2)])
  const both = collect(shop.events({ category, tags: ['a, b', 'c'] }))
  await both.has(1)
  await meow.append(stream, [tagged(3, 'c'), tagged(4, 'c', 'a, b', 'd')])
  await both.has(2)
  assert.equal(numbers(both.all), [1, 4])
  assert.equal(both.all[1]!.tags, ['a, b', 'c', 'd'])
  both.subscription.unsubscribe()
  const one = await collect(shop.events({ category, tags: ['c'] }, { live: false })).ended()
  assert.equal(numbers(one), [1, 3, 4])
})

test('from: the end, a position, a moment; live: false ends where the store ended', async () => {
  const category = uniqueName('from')
  const stream = { category, streamId: '1' }
  const { position } = await meow.append(stream, [said(0)])
  const second = await meow.append(stream, [said(1)])
  const read = async (options: object) =>
    numbers(await collect(shop.events({ category }, { live: false, ...options })).ended())
  assert.equal(await read({}), [0, 1])
  assert.equal(await read({ from: { after: position } }), [1])
  assert.equal(await read({ from: { after: second.position } }), [])
  assert.equal(await read({ from: 'end' }), [])
  assert.equal(await read({ from: { since: new Date(0) } }), [0, 1])
  assert.equal(await read({ from: { since: '2999-01-01' } }), [])
  const later = collect(shop.events({ category }, { from: 'end' }))
  const since = collect(shop.events({ category }, { from: { since: second.events[0]!.recordedAt } }))
  await since.has(1)
  await until(
    async () => {
      await meow.append(stream, [said(2)])
      return later.all.length > 0
    },
    { what: 'an event after the end' },
  )
  assert.is(later.all[0]!.data.n, 2)
  for (const one of [later, since]) one.subscription.unsubscribe()
})

test('iterate reads what its consumer asks for, and lets go when it leaves', async () => {
  const category = uniqueName('pull')
  await meow.append({ category, streamId: '1' }, upTo(1_200).map(said))
  const seen: number[] = []
  for await (const { data } of shop.iterate({ category })) {
    seen.push(data.n)
    if (seen.length === 1_200) await meow.append({ category, streamId: '1' }, said(1_200))
    if (seen.length === 1_201) break
  }
  assert.equal(seen, upTo(1_201))
  const all: number[] = []
  for await (const { data } of shop.iterate({ category }, { live: false })) all.push(data.n)
  assert.equal(all, upTo(1_201))
  const iterator = shop.iterate({ category }, { from: 'end' })[Symbol.asyncIterator]()
  const waiting = iterator.next()
  await iterator.return!()
  assert.is((await waiting).done, true)
  let status = ''
  shop.status$.subscribe(({ state }) => (status = state)).unsubscribe()
  assert.is(status, 'idle')
})

test('watch: the state, and what it becomes', async () => {
  const stream = { category: order, streamId: 'w/1' }
  await meow.append(stream, said(0))
  const watched = collect(shop.watch<{ count: number }>('order', 'w/1'))
  await watched.has(1)
  assert.equal(watched.all[0], { state: { count: 1 }, version: 0 })
  await meow.append(stream, [said(1), said(2)])
  await until(() => watched.all.at(-1)!.version === 2, { what: 'the newest state' })
  assert.equal(watched.all.at(-1)!.state, { count: 3 })
  watched.subscription.unsubscribe()
})

test('connections that break anywhere, answers of every kind: nothing lost, repeated or out of order', async () => {
  const category = uniqueName('chaos')
  const stream = { category, streamId: '1' }
  const { next: random } = seeded('client')
  let [faults, n] = [0, 0]
  // Fails before the request, after it, with a status, or in the middle of a body, at any byte.
  const chaotic: typeof fetch = async (url, init) => {
    const way = random()
    if (way < 0.1) throw new TypeError(`fetch failed ${faults++}`)
    if (way < 0.2)
      return new Response('{}', {
        status: [500, 502, 503, 429][faults++ % 4]!,
        headers: { 'Retry-After': '0' },
      })
    const response = await fetch(url, init)
    const isLive = String(url).includes('sse')
    if ((way < 0.3 && !isLive) || !response.body) return response
    faults++
    let left = Math.floor(random() * (n++ % 3 === 0 || !isLive ? 200_000 : 8_000))
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        if (chunk.length <= left) controller.enqueue(chunk)
        else {
          if (left > 0) controller.enqueue(chunk.slice(0, left))
          if (way < 0.6) controller.error(new Error('cut'))
          else controller.terminate()
        }
        left = Math.max(0, left - chunk.length)
      },
    })
    return new Response(response.body.pipeThrough(cut), {
      status: response.status,
      headers: response.headers,
    })
  }
  const shaky = remote(`${server.url}/events`, { fetch: chaotic })
  await meow.append(stream, upTo(300).map(said))
  const there = collect(shaky.events({ category }))
  for (let n = 300; n < 600; n += 10) {
    await meow.append(
      stream,
      upTo(10).map((i) => said(n + i)),
    )
    if (n % 100 === 0) await there.has(Math.min(n, 300), 60_000)
  }
  await there.has(600, 60_000)
  assert.equal(numbers(there.all), upTo(600))
  assert.ok(faults > 1, `${faults} faults`)
  there.subscription.unsubscribe()
})

test('a server that restarts, and a store that is closed and opened', async () => {
  const category = uniqueName('restart')
  const stream = { category, streamId: '1' }
  let place: Serving = await serve(both)
  const { port } = place
  const reader = remote(`${place.url}/events`)
  const said$ = collect(reader.status$)
  const there = collect(reader.events({ category }))
  const watched = collect(reader.watch<{ count: number }>('order', 'restart'))
  for (let n = 0; n < 4; n++) {
    await meow.append(stream, said(2 * n))
    await until(() => there.all.length >= 2 * n, { what: 'what was written before' })
    await place.close()
    await meow.append(stream, said(2 * n + 1))
    await until(() => said$.all.at(-1)!.state === 'reconnecting', { what: 'the loss to be noticed' })
    place = await serve(both, port)
    await until(() => said$.all.at(-1)!.state === 'live', { what: 'the connection' })
  }
  await there.has(8)
  assert.equal(numbers(there.all), upTo(8))
  assert.ok(said$.all.some(({ cause }) => cause instanceof Error))
  await meow.append({ category: order, streamId: 'restart' }, said(0))
  await until(() => watched.all.at(-1)?.version === 0, { what: 'the state' })
  assert.is(watched.all.length, 2, 'the same state is not said again')
  for (const one of [there, watched]) one.subscription.unsubscribe()
  assert.is(said$.all.at(-1)!.state, 'idle')
  await place.close()
})

test('it ends with a clear error if it is refused, after one more try with fresh headers', async () => {
  let token = 'old'
  const asked: (string | null)[] = []
  const authorize = (request: Request) => {
    asked.push(request.headers.get('authorization'))
    return request.headers.get('authorization') === 'new'
  }
  const guarded = await serve(eventFeed(meow, { authorize }))
  const headers = async () => ({ Authorization: token })
  const category = uniqueName('guarded')
  const refused = collect(remote(`${guarded.url}/events`, { headers }).events({ category }))
  await until(() => refused.error, { what: 'the error' })
  assert.ok(refused.error instanceof RemoteError)
  assert.equal([refused.error.code, refused.error.status], ['ERR_REMOTE_DENIED', 403])
  assert.equal(asked, ['old', 'old'])
  asked.length = 0
  const refreshing = () => {
    const given = { Authorization: token }
    token = 'new' // from now on
    return given
  }
  await meow.append({ category, streamId: '1' }, said(0))
  const there = collect(remote(`${guarded.url}/events`, { headers: refreshing }).events({ category }))
  await there.has(1)
  assert.equal(asked.slice(0, 2), ['old', 'new'])
  there.subscription.unsubscribe()
  const fixed = collect(
    remote(`${guarded.url}/events`, { headers: { Authorization: 'x' } }).events({ category }),
  )
  await until(() => fixed.error, { what: 'the error' })
  await guarded.close()

  const lost = collect(shop.events({ category }, { from: { after: 8_999_999_999_999_999 } }))
  await until(() => lost.error, { what: 'the error' })
  assert.is(lost.error.code, 'ERR_REMOTE_HISTORY_LOST')
  const nowhere = collect(remote(`${server.url}/nowhere`).watch('order', '1'))
  await until(() => nowhere.error, { what: 'the error' })
  assert.equal([nowhere.error.code, nowhere.error.status], ['ERR_REMOTE_REFUSED', 404])
})

test('the connection to a silent server is closed', async () => {
  const category = uniqueName('silent')
  let silent = true
  const quiet = await serve(async (request) => {
    const response = await feed(request)
    if (!silent || !request.url.includes('sse')) return response
    silent = false
    return new Response(new ReadableStream(), { headers: response.headers })
  })
  const there = collect(remote(`${quiet.url}/events`).events({ category }))
  await until(() => !silent, { what: 'the first connection' })
  await meow.append({ category, streamId: '1' }, said(0))
  await there.has(1)
  there.subscription.unsubscribe()
  await quiet.close()
})

test('the end is where it was at first, also if the connection breaks before it has said anything', async () => {
  const category = uniqueName('end')
  const stream = { category, streamId: '1' }
  await meow.append(stream, said(0))
  let broken = 0
  const breaking: typeof fetch = async (url, init) => {
    if (!String(url).includes('sse') || broken++) return fetch(url, init)
    await meow.append(stream, said(1))
    throw new TypeError('the connection broke')
  }
  const there = collect(
    remote(`${server.url}/events`, { fetch: breaking }).events({ category }, { from: 'end' }),
  )
  await there.has(1)
  assert.equal(numbers(there.all), [1])
  there.subscription.unsubscribe()
})

test('pages that never come are asked for again when a browser is online again', async () => {
  const category = uniqueName('hung')
  await meow.append({ category, streamId: '1' }, said(0))
  const browser = new EventTarget()
  const place = globalThis as { addEventListener?: unknown; removeEventListener?: unknown }
  place.addEventListener = browser.addEventListener.bind(browser)
  place.removeEventListener = browser.removeEventListener.bind(browser)
  let hung = 0
  const hanging: typeof fetch = async (url, init) => {
    if (hung >= 2) return fetch(url, init)
    hung++
    if (hung === 1) await new Promise((_, reject) => init!.signal!.addEventListener('abort', reject))
    // The second one never goes on with its body.
    const { headers } = await fetch(url, init)
    const body = new ReadableStream({
      start: (controller) =>
        init!.signal!.addEventListener('abort', () => controller.error(new Error('aborted'))),
    })
    return new Response(body, { headers })
  }
  const there = collect(remote(`${server.url}/events`, { fetch: hanging }).events({ category }))
  try {
    for (const n of [1, 2]) {
      await until(() => hung === n, { what: `request ${n}` })
      browser.dispatchEvent(new Event('online'))
    }
    await until(
      () => {
        browser.dispatchEvent(new Event('online'))
        return there.all.length > 0
      },
      { what: 'the page' },
    )
  } finally {
    delete place.addEventListener
    delete place.removeEventListener
    there.subscription.unsubscribe()
  }
})

test('headers that can not be sent end it', async () => {
  const headers = { 'a b': 'x' }
  const there = collect(remote(`${server.url}/events`, { headers }).events({ category: order }))
  await until(() => there.error, { what: 'the error' })
  assert.is(there.error.code, 'ERR_REMOTE_INPUT')
})

test('arguments are checked', () => {
  const refused: [() => unknown, RegExp][] = [
    [() => remote('ftp://x'), /url/],
    [() => remote('https://x/?a=1'), /url/],
    [() => remote('/events', { header: {} } as any), /options\.header is not/],
    [() => shop.events({ category: undefined } as any), /category must have a value/],
    [() => shop.events({ streamId: '1' }), /exactly one category/],
    [() => shop.events({ category: ['a', 'b'], streamId: '1' }), /exactly one category/],
    [() => shop.events({ category: 'a', streamId: '..' }), /no address can hold/],
    [() => shop.events({ categories: 'a' } as any), /categories is not/],
    [() => shop.events({ types: [] }), /types/],
    [() => shop.events({}, { from: { after: -1 } }), /options\.from/],
    [() => shop.events({}, { from: 'begin' as any }), /options\.from/],
    [() => shop.watch('order', ''), /streamId/],
  ]
  for (const [call, expected] of refused) assert.throws(call, expected)
})

test.run()
