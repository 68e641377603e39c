// A feed answers as the Durable Streams protocol says: pages, long polls, server-sent events, HEAD; each selection by its address.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventFeed } from '../src/http/index.ts'
import { listenTo, serve } from './support/http.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const order = uniqueName('order')
const invoice = uniqueName('invoice')
const feed = eventFeed(meow, { authorize: () => true, all: true, longPollMs: 300, heartbeatMs: 50 })
const server = await serve(feed)
const events = `${server.url}/events`
const placed = (n: number) => ({ type: n % 2 ? 'Odd' : 'Even', data: { n } })
const { position: last } = await meow.append(
  { category: order, streamId: 'a/b c' },
  Array.from({ length: 1_500 }, (_, n) => placed(n)),
)
await meow.append({ category: order, streamId: '42' }, placed(0))
await meow.append({ category: invoice, streamId: '1' }, { type: 'a,b', data: {} })

test.after(async () => {
  await server.close()
  await closeAll()
})

const pad = (position: number) => String(position).padStart(16, '0')
const get = async (path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(`${events}${path}`, { headers })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: text ? JSON.parse(text) : null }
}

test('pages from the start to the end, each event once, in order, as it is stored', async () => {
  const all: any[] = []
  let offset = '-1'
  for (let page = await get(`/category/${order}?offset=${offset}`); ; ) {
    assert.is(page.status, 200)
    assert.is(page.headers.get('content-type'), 'application/json')
    all.push(...page.json)
    const next = page.headers.get('stream-next-offset')!
    assert.match(next, /^\d{16}$/)
    assert.ok(next > offset || offset === '-1')
    offset = next
    if (page.headers.get('stream-up-to-date') === 'true') break
    assert.is(page.headers.get('cache-control'), 'private, no-cache')
    page = await get(`/category/${order}?offset=${offset}`)
  }
  const stored: unknown[] = []
  for await (const event of meow.iterate({ category: order }, { live: false })) stored.push(event)
  assert.is(all.length, 1_501)
  assert.equal(all, JSON.parse(JSON.stringify(stored)))
  assert.equal((await get(`/category/${order}?offset=${offset}`)).json, [])
})

test('a stream by its encoded id; types; several categories; names with commas; everything', async () => {
  const id = encodeURIComponent('a/b c')
  assert.is((await get(`/stream/${order}/${id}?offset=${pad(last - 1)}`)).json.length, 1)
  assert.is((await get(`/stream/${order}/a/b%20c?offset=${pad(last - 1)}`)).json.length, 1) // a proxy decoded it
  assert.is((await get(`/stream/${order}/42`)).json.length, 1)
  const odd = await get(`/category/${order}?types=Odd&offset=${pad(last - 4)}`)
  assert.equal(
    odd.json.map(({ type }: any) => type),
    ['Odd', 'Odd'],
  )
  const both = await get(`/category/${order},${invoice}?offset=${pad(last)}`)
  assert.equal(
    both.json.map(({ category }: any) => category),
    [order, invoice],
  )
  assert.is((await get(`/category/${order},${invoice}?types=a%252Cb,Nothing`)).json.length, 1)
  assert.is((await get(`/all?types=a%252Cb`)).json.length, 1)
  assert.equal((await get(`/category/${uniqueName('none')}`)).json, [])
})

test('now, until, since, HEAD', async () => {
  const now = await get(`/category/${order}?offset=now`)
  assert.equal([now.json, now.headers.get('stream-up-to-date')], [[], 'true'])
  assert.is(now.headers.get('cache-control'), 'no-store')
  assert.is(now.headers.get('etag'), null)
  const head = await fetch(`${events}/category/${order}`, { method: 'HEAD' })
  assert.equal([head.status, await head.text()], [200, ''])
  assert.is(head.headers.get('stream-next-offset'), now.headers.get('stream-next-offset'))
  assert.is(head.headers.get('cache-control'), 'no-store')
  const cut = await get(`/category/${order}?offset=-1&until=${pad(last - 1_490)}`)
  assert.is(cut.json.length, 10)
  assert.is(cut.headers.get('stream-next-offset'), pad(last - 1_490))
  assert.is(cut.headers.get('stream-up-to-date'), null)
  assert.is((await get(`/stream/${order}/42?since=2020-01-01T00:00:00Z`)).json.length, 1)
  assert.is((await get(`/stream/${order}/42?since=2999-01-01T00:00:00Z`)).json.length, 0)
})

test('an unchanged page is not sent again', async () => {
  for (const path of [`/category/${order}?offset=-1`, `/stream/${order}/42?offset=-1`]) {
    const page = await get(path)
    const etag = page.headers.get('etag')!
    const again = await get(path, { 'If-None-Match': `"x", W/${etag}` })
    assert.equal([again.status, again.text], [304, ''])
    assert.is(again.headers.get('stream-next-offset'), page.headers.get('stream-next-offset'))
    assert.is((await get(path, { 'If-None-Match': '"x"' })).status, 200)
  }
})

test('a long poll waits for an event, or says that there is none', async () => {
  const category = uniqueName('poll')
  const path = `/category/${category}?live=long-poll`
  const none = await get(`${path}&offset=now`)
  assert.equal([none.status, none.text, none.headers.get('stream-up-to-date')], [204, '', 'true'])
  const offset = none.headers.get('stream-next-offset')!
  const cursor = none.headers.get('stream-cursor')!
  const waiting = get(`${path}&offset=${offset}&cursor=${cursor}`)
  const { position } = await meow.append({ category, streamId: '1' }, placed(1))
  const some = await waiting
  assert.equal([some.status, some.json[0].data], [200, { n: 1 }])
  assert.is(some.headers.get('stream-next-offset'), pad(position))
  assert.ok(Number(some.headers.get('stream-cursor')) > Number(cursor))
  assert.is((await get(`${path}&offset=-1`)).json.length, 1)
})

test('server-sent events: what is there, then what comes, each with its offset', async () => {
  const category = uniqueName('sse')
  const stream = { category, streamId: '1' }
  await meow.append(stream, [placed(0), placed(1)])
  const sent = await listenTo(`${events}/category/${category}?offset=-1&live=sse`)
  assert.is(sent.response.headers.get('content-type'), 'text/event-stream')
  await until(() => sent.events.length === 2 && sent.controls.at(-1)?.upToDate, { what: 'two events' })
  const { position } = await meow.append(stream, [placed(2)])
  await until(() => sent.events.length === 3, { what: 'the third event' })
  await until(() => sent.controls.at(-1).streamNextOffset === pad(position), { what: 'its offset' })
  const rest = await listenTo(
    `${events}/category/${category}?offset=${sent.controls[0].streamNextOffset}&live=sse`,
  )
  await until(() => rest.events.length === 1, { what: 'what follows the first offset' })
  assert.is(rest.events[0].data.n, 2)
  await until(() => /(^|\n\n):\n\n/.test(sent.text()), { what: 'a heartbeat' })
  for (const one of [sent, rest]) one.abort()
})

test('an empty selection says at once that it is up to date, and where it is', async () => {
  for (const offset of ['-1', 'now']) {
    const sent = await listenTo(`${events}/category/${uniqueName('empty')}?offset=${offset}&live=sse`)
    await until(() => sent.controls.length > 0, { what: 'the offset' })
    assert.is(sent.controls[0].upToDate, true)
    assert.match(sent.controls[0].streamNextOffset, /^\d{16}$/)
    sent.abort()
  }
})

test('a large page is sent in parts, each with its own offset', async () => {
  const sent = await listenTo(`${events}/category/${order}?offset=-1&live=sse`)
  await until(() => sent.events.length === 1_501, { what: 'all events' })
  const offsets = sent.controls.map(({ streamNextOffset }) => streamNextOffset)
  assert.ok(offsets.length >= 4, `${offsets.length} parts`)
  assert.equal(offsets, [...new Set(offsets)].sort())
  assert.is(new Set(sent.events.map(({ id }) => id)).size, 1_501)
  sent.abort()
})

test('map says what is sent of an event, or leaves it out', async () => {
  const mapped = await serve(
    eventFeed(meow, {
      authorize: () => true,
      path: '/',
      map: ({ type, data }) => (type === 'Odd' ? data.n : undefined),
    }),
  )
  const url = `${mapped.url}/stream/${order}/${encodeURIComponent('a/b c')}`
  assert.equal(await (await fetch(`${url}?until=${pad(last - 1_494)}`)).json(), [1, 3, 5])
  await mapped.close()
})

test.run()
