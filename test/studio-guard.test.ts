// @direct
// Which requests the studio answers: none without its token, none of a page of another site; and without `write` nothing
// changes.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConnectionError, ValidationError } from '../src/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { rejects } from './support/rejects.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import type { Ask } from './support/studio.ts'
import { ask, originOf, tokenOf } from './support/studio.ts'

const meow = await openStore({ listen: false })
const studio = await startStudio(meow)
const writing = await startStudio(meow, { write: true })
test.after(async () => {
  await Promise.all([studio.close(), writing.close()])
  await closeAll()
})

const PATHS = ['/', '/style.css', '/main.js', '/uplot.js', '/api/hello', '/api/live', '/metrics', '/nothing']
const { port } = new URL(studio.url)
const status = async (path: string, options: Ask = {}) => (await ask(studio, path, options)).status

test('it listens on this machine alone, and its address holds 128 bits of chance', () => {
  assert.match(studio.url, /^http:\/\/127\.0\.0\.1:\d+\/\?token=[A-Za-z0-9_-]{22}$/)
  assert.is(Buffer.from(tokenOf(studio), 'base64url').length, 16)
  assert.is.not(tokenOf(studio), tokenOf(writing))
})

test('without the token: the page as it is shipped, and nothing of the store', async () => {
  for (const path of [
    '/api/hello',
    '/api/stream?category=a&streamId=b',
    '/api/live',
    '/metrics',
    '/nothing',
  ]) {
    const wrong = `${tokenOf(studio).slice(0, -1)}${tokenOf(studio).endsWith('A') ? 'B' : 'A'}`
    for (const token of [null, '', wrong, tokenOf(writing), `${tokenOf(studio)}A`]) {
      const { status, headers, json } = await ask(studio, path, { token })
      assert.is(status, 401, `${path} ${token}`)
      assert.match(headers['www-authenticate']!, /^Bearer/)
      assert.match(json.error, 'the address that the studio printed')
    }
  }
  const bare = await ask(studio, '/', { token: null })
  assert.is(bare.status, 401)
  assert.is(bare.body, (await ask(studio, '/', {})).body)
})

test('the token is taken from the header, or from the address', async () => {
  const token = tokenOf(studio)
  for (const path of ['/', '/api/hello', '/metrics']) {
    assert.is(await status(path), 200)
    assert.is(await status(`${path}?token=${token}`, { token: null }), 200)
    assert.is(await status(`${path}?token=${token}`, { token: 'wrong' }), 401)
  }
  assert.is(await status('/api/hello', { token: null, headers: { authorization: `Basic ${token}` } }), 401)
  assert.is(await status('/api/hello', { token: null, headers: { cookie: `token=${token}` } }), 401)
})

test('a given token is used at each start', async () => {
  for (const token of ['16.characters_~-', 'a'.repeat(200)])
    for (let start = 0; start < 2; start++) {
      const own = await startStudio(meow, { token })
      assert.is(tokenOf(own), token)
      for (const path of ['/api/hello', '/metrics', `/metrics?token=${token}`])
        assert.is((await ask(own, path, { token: path.includes('?') ? null : token })).status, 200, path)
      for (const wrong of [null, token.slice(0, -1), `${token}a`, tokenOf(studio)])
        assert.is((await ask(own, '/metrics', { token: wrong })).status, 401)
      await own.close()
    }
})

test('a foreign host name that points here is refused, on every path', async () => {
  const foreign = [
    'evil.example',
    `evil.example:${port}`,
    `127.0.0.1.evil.example:${port}`,
    `localhost.evil.example:${port}`,
    `evil@127.0.0.1:${port}`,
    '127.0.0.1',
    'localhost:1',
    `[::1]:${Number(port) + 1}`,
    `0.0.0.0:${port}`,
    `10.0.0.1:${port}`,
    '',
  ]
  for (const host of foreign)
    for (const path of PATHS) assert.is(await status(path, { headers: { host } }), 403, `${host}${path}`)
  for (const name of ['localhost', '127.0.0.1', '[::1]', 'LOCALHOST'])
    assert.is(await status('/api/hello', { headers: { host: `${name}:${port}` } }), 200, name)
})

test('where it listens on every address, any address is right, and still no name', async () => {
  const open = await startStudio(meow, { host: '0.0.0.0' })
  const { port } = new URL(open.url)
  assert.match(open.url, /^http:\/\/127\.0\.0\.1:/, 'an address that can be opened')
  const to = async (host: string) => (await ask(open, '/api/hello', { headers: { host } })).status
  for (const host of [`10.1.2.3:${port}`, `[fe80::1]:${port}`, `localhost:${port}`])
    assert.is(await to(host), 200)
  for (const host of [`evil.example:${port}`, `10.1.2.3.evil.example:${port}`, '10.1.2.3:1'])
    assert.is(await to(host), 403)
  await open.close()
})

test('no page of another site is answered, nor of another port of this machine', async () => {
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `https://127.0.0.1:${port}` },
    { origin: 'http://127.0.0.1:1' },
    { origin: `http://localhost:${port}` }, // another origin than the Host that it asks
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
  ]
  for (const headers of foreign)
    for (const path of PATHS)
      assert.is(await status(path, { headers }), 403, `${JSON.stringify(headers)} ${path}`)
  for (const site of ['none', 'same-origin'])
    assert.is(
      await status('/api/hello', { headers: { 'sec-fetch-site': site, origin: originOf(studio) } }),
      200,
    )
})

test('only GET and HEAD, and no other site may read the answers', async () => {
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])
    assert.is(await status('/api/hello', { method }), 405, method)
  const preflight = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  }
  const answers = [
    await ask(studio, '/api/hello', { method: 'OPTIONS', headers: preflight }),
    await ask(studio, '/api/hello', {
      method: 'OPTIONS',
      headers: { ...preflight, origin: 'https://evil.example' },
    }),
    await ask(studio, '/', { method: 'HEAD' }),
    await ask(studio, '/api/live', { method: 'HEAD' }),
    ...(await Promise.all(PATHS.filter((path) => path !== '/api/live').map((path) => ask(studio, path)))),
    ...(await Promise.all(PATHS.map((path) => ask(studio, path, { headers: { host: 'evil.example' } })))),
    await ask(studio, '/metrics', { token: null }),
  ]
  for (const { headers } of answers) {
    const policy = headers['content-security-policy'] as string
    assert.match(policy, "default-src 'none'")
    assert.match(policy, "script-src 'self';")
    assert.match(policy, "frame-ancestors 'none'")
    assert.match(policy, "require-trusted-types-for 'script'")
    assert.not.match(policy, /unsafe|\*|data:/)
    assert.is(headers['x-content-type-options'], 'nosniff')
    assert.is(headers['referrer-policy'], 'no-referrer')
    assert.is(headers['cross-origin-resource-policy'], 'same-origin')
    assert.is(headers['cache-control'], 'no-store')
    assert.is(Object.keys(headers).filter((name) => name.startsWith('access-control')).length, 0)
    assert.is(headers['set-cookie'], undefined)
  }
  for (const { body } of answers.slice(2, 4)) assert.is(body, '')
})

test('odd addresses get an answer, not a crash', async () => {
  for (const path of [
    '//evil.example/',
    '/../package.json',
    '/%2e%2e/package.json',
    '/page/index.html',
    '/API/hello',
    '/%',
    '/api',
  ])
    assert.is(await status(path, {}), path === '//evil.example/' ? 200 : 404, path)
  assert.is(await status('http://[/', {}), 400)
})

async function parked(): Promise<{ subscription: string; streamId: string }> {
  const subscription = uniqueName('replay')
  const stream = { category: subscription, streamId: 'a' }
  const { events, position } = await meow.append(stream, [
    { type: 'T', data: 1 },
    { type: 'T', data: 2 },
  ])
  await createSubscription(subscription, { categories: [subscription] })
  const executor = await sqlExecutor(subscription)
  await executor.park(events[0]!, { attempts: 3, error: 'Error: no' })
  await executor.advance(position)
  return { subscription, streamId: stream.streamId }
}

const replaying = async (name: string) =>
  (await meow.subscriptions()).find((one) => one.name === name)!.lag > 0

function post(to: typeof studio, body: unknown, { headers = {}, ...rest }: Ask = {}) {
  const json = typeof body === 'string' ? body : JSON.stringify(body)
  const all = {
    origin: originOf(to),
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(json),
    ...headers,
  }
  return ask(to, '/api/replay', { method: 'POST', body: json, headers: all, ...rest })
}

test('read only: no request can replay anything', async () => {
  const what = await parked()
  const { status, json } = await post(studio, what)
  assert.is(status, 403)
  assert.match(json.error, '--write')
  assert.equal((await ask(studio, '/api/hello')).json, { title: 'store', write: false })
  assert.is(await replaying(what.subscription), false)
})

test('with write, only what the page itself sends is done', async () => {
  const what = await parked()
  const { subscription } = what
  const refused: [status: number, body: unknown, options?: Ask][] = [
    [401, what, { token: null }],
    [401, what, { token: tokenOf(studio) }],
    [403, what, { headers: { origin: 'https://evil.example' } }],
    [403, what, { headers: { origin: `http://127.0.0.1:${port}` } }], // the other studio
    [403, what, { headers: { origin: 'null' } }],
    [403, what, { headers: { 'sec-fetch-site': 'same-site' } }],
    [415, what, { headers: { 'content-type': 'text/plain' } }], // as a form may send
    [413, what, { headers: { 'content-length': 100_000 } }],
    [400, '{', {}],
    [400, { ...what, limit: 1 }],
    [400, { subscription: '' }],
    [400, { streamId: 'a' }],
    [400, 'null'],
    [404, { subscription: 'nobody' }],
  ]
  for (const [status, body, options] of refused) {
    if (status === 413) {
      assert.is((await post(writing, ' '.repeat(100_000), {})).status, 413)
      continue
    }
    assert.is((await post(writing, body, options)).status, status, JSON.stringify([status, body, options]))
  }
  const query = await ask(writing, `/api/replay?token=${tokenOf(writing)}`, {
    method: 'POST',
    token: null,
    headers: { origin: originOf(writing), 'content-type': 'application/json', 'content-length': 2 },
    body: '{}',
  })
  assert.is(query.status, 401, 'a change takes the header')
  const bare = await ask(writing, '/api/replay', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': 2 },
    body: '{}',
  })
  assert.is(bare.status, 403, 'a change says its Origin')
  assert.is((await ask(writing, '/api/replay')).status, 404, 'and is no GET')
  assert.is(await replaying(subscription), false)

  assert.equal((await post(writing, { ...what, streamId: 'nobody' })).json, { replayed: 0 })
  assert.equal((await post(writing, what)).json, { replayed: 2 })
  assert.is(await replaying(subscription), true)
  assert.equal((await post(writing, { subscription })).json, { replayed: 0 })
})

test('invalid options are refused', async () => {
  const refused: [options: any, path: string][] = [
    [{ port: 65_536 }, 'options.port'],
    [{ port: '80' }, 'options.port'],
    [{ host: '' }, 'options.host'],
    [{ host: 'a b' }, 'options.host'],
    [{ token: 'short' }, 'options.token'],
    [{ token: 'a'.repeat(15) }, 'options.token'],
    [{ token: 'a'.repeat(201) }, 'options.token'],
    [{ token: `${'a'.repeat(22)}/` }, 'options.token'],
    [{ token: `${'a'.repeat(22)}\n` }, 'options.token'],
    [{ token: '' }, 'options.token'],
    [{ token: 1234567890123456 }, 'options.token'],
    [{ token: null }, 'options.token'],
    [{ write: 1 }, 'options.write'],
    [{ title: '' }, 'options.title'],
    [{ readonly: true }, 'options.readonly'],
  ]
  for (const [options, path] of refused)
    assert.is((await rejects(startStudio(meow, options), ValidationError)).path, path)
  const secret = await rejects(startStudio(meow, { token: 'it-has-a-blank-in it' }), ValidationError)
  assert.match(secret.message, 'must be 16 to 200 of the characters A-Z a-z 0-9 - . _ ~, got "***, 20 long"')
  assert.not.match(secret.message, 'blank')
  const taken = await rejects(startStudio(meow, { port: Number(port) }), ConnectionError)
  assert.match(taken.message, `another program already listens at 127.0.0.1:${port}`)
  const nowhere = await rejects(startStudio(meow, { host: '192.0.2.1' }), ConnectionError)
  assert.match(nowhere.message, 'cannot listen at 192.0.2.1')
})

test.run()
