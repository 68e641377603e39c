// A feed reveals nothing that a caller may not read, refuses malformed requests, and lets no caller harm the others.
import { request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { select } from '../src/events/selector.ts'
import { eventFeed, stateFeed } from '../src/http/index.ts'
import { Pages } from '../src/http/pages.ts'
import { ValidationError } from '../src/index.ts'
import { listenTo, serve } from './support/http.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({
  logger: { debug() {}, info() {}, warn() {}, error: (_, text) => logged.push(text) },
})
const logged: unknown[] = []
const open = uniqueName('open')
const secret = uniqueName('secret')
for (const category of [open, secret])
  await meow.append({ category, streamId: '1' }, { type: 'Said', data: { category } })

test.after(closeAll)

const allow = (_: Request, { category }: { category?: unknown }) => category === open
const problem = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init)
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, detail: text && JSON.parse(text).detail }
}

test('for a client that has gone nothing is read', async () => {
  const stop = new AbortController()
  const asked = () => new Request(`http://feed/events/category/${open}?offset=-1`, { signal: stop.signal })
  const pages = new Pages(meow)
  assert.is((await pages.read(select({ category: open }), 'start', stop.signal)).events.length, 1)
  const feed = eventFeed(meow, { authorize: allow })
  assert.is((await feed(asked())).status, 200)
  stop.abort()
  const gone = await pages.read(select({ category: open }), 'start', stop.signal).catch((error) => error)
  assert.is(gone.name, 'AbortError')
  const errors = logged.length
  assert.is((await feed(asked())).status, 503)
  assert.is(logged.length, errors)
})

test('what is malformed gets status 400, and says what', async () => {
  const server = await serve(eventFeed(meow, { authorize: allow }))
  const base = `${server.url}/events/category/${open}`
  const refused: [string, RegExp][] = [
    ['?offset=', /offset/],
    ['?offset=1,2', /offset/],
    ['?offset=%201', /offset/],
    ['?offset=1e3', /offset/],
    ['?offset=-2', /offset/],
    ['?offset=99999999999999999', /offset/],
    ['?offset=9999999999999999', /offset/],
    ['?offset=1&offset=2', /offset was given 2 times/],
    ['?offset=1&since=2020-01-01', /only one/],
    ['?since=yesterday', /since/],
    ['?until=x', /until/],
    ['?live=sse', /needs an offset/],
    ['?live=long-poll', /needs an offset/],
    ['?live=true&offset=-1', /live/],
    ['?types=', /selector\.types.*must not be empty/],
    ['?types=%25E0', /UTF-8/],
    ['?types=%2500', /u0000/],
    [`?types=${'x'.repeat(300)}`, /255/],
    ['?tags=', /selector\.tags/],
  ]
  for (const [query, expected] of refused) {
    const { status, detail, headers } = await problem(base + query)
    assert.is(status, 400, query)
    assert.match(detail, expected, query)
    assert.is(headers.get('content-type'), 'application/problem+json')
    assert.is(headers.get('x-content-type-options'), 'nosniff')
  }
  for (const path of ['/category/%E0', `/category/${'x'.repeat(256)}`, `/stream/${open}/%00`])
    assert.is((await problem(`${server.url}/events${path}`)).status, 400, path)
  for (const path of [
    '',
    '/',
    '/all/x',
    '/category',
    '/category/',
    `/category/${open}/1`,
    `/stream/${open}`,
    '/x/y',
  ])
    assert.is((await problem(`${server.url}/events${path}`)).status, 404, path)
  assert.is((await problem(`${server.url}/other/category/${open}`)).status, 404)
  const huge = await problem(base, { headers: { 'X-Huge': 'x'.repeat(100_000) } }).catch(({ cause }) => cause)
  assert.ok(huge.status === 431 || huge.code, String(huge))
  assert.is((await problem(`${base}?offset=8999999999999999`)).status, 410)
  assert.is((await problem(`${base}?offset=8999999999999999&live=sse`)).status, 410)
  await server.close()
})

test('it is read only', async () => {
  const server = await serve(eventFeed(meow, { authorize: allow }))
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const { status, headers } = await problem(`${server.url}/events/category/${open}`, { method })
    assert.equal([status, headers.get('allow')], [405, 'GET, HEAD'], method)
  }
  await server.close()
})

test('forbidden streams look like missing ones; reading all events needs a permission of its own', async () => {
  const server = await serve(eventFeed(meow, { authorize: allow }))
  const paths = [
    `/category/${secret}`,
    `/category/${uniqueName('none')}`,
    `/stream/${secret}/1`,
    `/stream/${secret}/2`,
    `/category/${open},${secret}`,
    '/all',
  ]
  const answers = new Set<string>()
  for (const path of paths)
    for (const query of ['', '?offset=now', '?offset=-1&live=sse', '?offset=8999999999999999']) {
      const { status, headers, text } = await problem(`${server.url}/events${path}${query}`)
      const shown = [...headers].filter(([name]) => name !== 'date')
      answers.add(JSON.stringify([status, shown, text]))
      assert.is(status, 403)
    }
  const twice = await problem(`${server.url}/events/category/${open},${open}`)
  assert.is(twice.status, 200, 'one name, given twice, is one name')
  assert.is(answers.size, 1, [...answers].join('\n'))
  await server.close()

  const everything = await serve(eventFeed(meow, { authorize: () => true }))
  assert.is((await problem(`${everything.url}/events/all`)).status, 403)
  await everything.close()
})

test('only true is a permission; an error of authorize is logged and not shown', async () => {
  for (const answer of [1, 'yes', {}, undefined, null, Promise.resolve('true')]) {
    const server = await serve(eventFeed(meow, { authorize: () => answer as boolean }))
    assert.is((await problem(`${server.url}/events/category/${open}`)).status, 403, String(answer))
    await server.close()
  }
  const failing = () => Promise.reject(new Error('the password is hunter2'))
  const server = await serve(eventFeed(meow, { authorize: failing }))
  const { status, text } = await problem(`${server.url}/events/category/${open}`)
  assert.is(status, 500)
  assert.not.match(text, 'hunter2')
  await until(() => logged.length > 0, { what: 'the log' })
  await server.close()
  // A ValidationError that is not about the request is no different.
  const invalid = () => {
    throw new ValidationError('user.password', 'is too short', 'hunter2')
  }
  for (const options of [
    { authorize: invalid },
    { authorize: allow, map: invalid },
    { authorize: allow, map: () => () => 1 },
  ]) {
    logged.length = 0
    const server = await serve(eventFeed(meow, options))
    const { status, text } = await problem(`${server.url}/events/category/${open}`)
    assert.is(status, 500)
    assert.not.match(text, 'password')
    await until(() => logged.length > 0, { what: 'the log' })
    await server.close()
  }
})

test('what fails when a response is open already is logged, and its client comes back', async () => {
  const broken = () => {
    throw new Error('no map')
  }
  const decider = { category: open, initial: {}, evolve: broken, decide: () => [] }
  for (const [path, feed] of [
    [`/category/${open}?offset=-1&live=sse`, eventFeed(meow, { authorize: allow, map: broken })],
    ['/state/broken/1?live=sse', stateFeed(meow, { broken: decider }, { authorize: () => true })],
  ] as const) {
    logged.length = 0
    const server = await serve(feed)
    const sent = await listenTo(`${server.url}/events${path}`)
    assert.is(await sent.ended, undefined)
    await until(() => logged.length === 1, { what: 'the log' })
    await server.close()
  }
})

test('options are checked', () => {
  const refused: [unknown, RegExp][] = [
    [{}, /options\.authorize/],
    [{ authorize: allow, path: 'events' }, /options\.path/],
    [{ authorize: allow, path: '/events/' }, /options\.path/],
    [{ authorize: allow, heartbeatMs: 1 }, /options\.heartbeatMs/],
    [{ authorize: allow, cors: { origin: '*', credentials: true } }, /options\.cors\.credentials/],
    [{ authorize: allow, tokens: [] }, /options\.tokens/],
  ]
  for (const [options, expected] of refused) assert.throws(() => eventFeed(meow, options as any), expected)
  assert.throws(() => stateFeed(meow, { a: {} } as any, { authorize: () => true }), /decider\.category/)
})

test('the number of connections is limited for each caller, and for all together', async () => {
  const server = await serve(
    eventFeed(meow, { authorize: allow, maxConnectionsPerCaller: 2, maxConnections: 4 }),
  )
  const url = `${server.url}/events/category/${open}`
  const as = (token: string) => ({ Authorization: `Bearer ${token}` })
  const connections = []
  for (let n = 0; n < 2; n++) connections.push(await listenTo(`${url}?offset=-1&live=sse`, as('a')))
  const refused = await problem(url, { headers: as('a') })
  assert.equal([refused.status, refused.headers.get('retry-after')], [429, '5'])
  assert.is((await problem(url, { headers: as('b') })).status, 200)
  for (let n = 0; n < 2; n++) connections.push(await listenTo(`${url}?offset=-1&live=sse`, as(`c${n}`)))
  assert.is((await problem(url, { headers: as('d') })).status, 503)
  for (const one of connections) one.abort()
  await until(async () => (await problem(url, { headers: as('a') })).status === 200, { what: 'room again' })
  await server.close()
})

test('a connection ends when authorize no longer permits it', async () => {
  let allowed = true
  const server = await serve(eventFeed(meow, { authorize: () => allowed, reauthorizeMs: 50 }))
  const url = `${server.url}/events/category/${open}?offset=-1`
  const sent = await listenTo(`${url}&live=sse`)
  const poll = fetch(`${url.replace('-1', 'now')}&live=long-poll`)
  await until(() => sent.events.length === 1, { what: 'the event' })
  allowed = false
  assert.is(await sent.ended, undefined)
  assert.is((await poll).status, 204)
  assert.is((await problem(url)).status, 403)
  await server.close()
})

test('a connection ends after its time, so that clients come back by themselves', async () => {
  const server = await serve(eventFeed(meow, { authorize: allow, connectionMs: 100 }))
  const sent = await listenTo(`${server.url}/events/category/${open}?offset=-1&live=sse`)
  assert.is(await sent.ended, undefined)
  assert.is(sent.events.length, 1)
  await server.close()
})

test('a client that reads nothing is dropped at a limit, and can continue where it was', async () => {
  const category = uniqueName('slow')
  const text = 'x'.repeat(50_000)
  const types = Array.from({ length: 400 }, () => ({ type: 'Long', data: { text } }))
  await meow.append({ category, streamId: '1' }, types)
  const feed = eventFeed(meow, { authorize: () => true, stallMs: 300 })
  const server = await serve(feed)
  const socket = connect(server.port, '127.0.0.1')
  let received = ''
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {})
  socket.write(`GET /events/category/${category}?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n`)
  socket.once('data', (data) => {
    received += data
    socket.pause() // nothing is taken any more
  })
  const count = () => new Promise<number>((resolve) => server.server.getConnections((_, n) => resolve(n)))
  await until(() => received !== '', { what: 'the first part' })
  await until(async () => (await count()) === 0, { what: 'the server to drop it' })
  socket.on('data', (data) => {
    received += data
  })
  socket.resume()
  await closed
  const whole = received.slice(0, received.lastIndexOf('\n\n'))
  const offset = /.*"streamNextOffset":"(\d+)"/s.exec(whole)![1]
  const seen = whole.slice(0, whole.lastIndexOf('event: control')).match(/"type":"Long"/g)!.length
  assert.ok(seen < 400, 'it fits into the buffers of the system')
  const rest = await listenTo(`${server.url}/events/category/${category}?offset=${offset}&live=sse`)
  await until(() => rest.controls.at(-1)?.upToDate, { what: 'the rest' })
  assert.is(rest.events.length + seen, 400)
  rest.abort()
  await server.close()
})

test('other sites may read only if cors says so', async () => {
  const url = (server: { url: string }) => `${server.url}/events/category/${open}`
  const from = (origin: string, method = 'GET') => ({ method, headers: { Origin: origin } })
  const closed = await serve(eventFeed(meow, { authorize: allow }))
  const { headers } = await problem(url(closed), from('https://shop.example'))
  assert.is(headers.get('access-control-allow-origin'), null)
  assert.is(headers.get('cross-origin-resource-policy'), 'same-origin')
  await closed.close()
  const cors = { origin: ['https://shop.example'], credentials: true }
  const opened = await serve(eventFeed(meow, { authorize: allow, cors }))
  const yes = await problem(url(opened), from('https://shop.example'))
  assert.is(yes.headers.get('access-control-allow-origin'), 'https://shop.example')
  assert.match(yes.headers.get('access-control-expose-headers')!, 'Stream-Next-Offset')
  assert.match(yes.headers.get('vary')!, 'Origin')
  const no = await problem(url(opened), from('https://evil.example'))
  assert.is(no.headers.get('access-control-allow-origin'), null)
  const { headers: origin } = from('https://shop.example')
  const wanted = { ...origin, 'Access-Control-Request-Headers': 'x-api-key' }
  const asked = await fetch(url(opened), { method: 'OPTIONS', headers: wanted })
  assert.match(asked.headers.get('access-control-allow-headers')!, 'x-api-key')
  assert.is(asked.status, 204)
  assert.match(asked.headers.get('access-control-allow-headers')!, 'If-None-Match')
  await opened.close()
})

test('an odd request line or host does no harm', async () => {
  const server = await serve(eventFeed(meow, { authorize: allow }))
  const ask = (path: string, host = 'x') =>
    new Promise<number | undefined>((resolve, reject) => {
      const asked = request({ port: server.port, path, headers: { host }, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      asked.on('error', reject).end()
    })
  assert.is(await ask(`//evil.example/events/category/${open}`), 404)
  for (const host of ['a b<', `x/events/category/${open}?y=`, 'x?', 'x#', 'x\\y', 'user@x'])
    assert.is(await ask(`/events/category/${secret}`, host), 400, host)
  assert.is(await ask(`/events/category/${open}`), 200)
  assert.is(await ask(`http://x/events/category/${open}`), 200)
  await server.close()
})

test.run()
