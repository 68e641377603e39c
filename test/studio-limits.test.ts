// @direct
// The studio needs little: bounded memory, pages and bytes, and no query while no page is open.
import { connect as dial } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { liveResponse } from '../src/http/live-response.ts'
import { startStudio } from '../src/studio/index.ts'
import { LivePage } from '../src/studio/live-page.ts'
import { show } from '../src/studio/show.ts'
import { countingPool } from './support/counting-pool.ts'
import { serve } from './support/http.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { ask, look, several, waitingFor } from './support/studio.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 100 })
const studio = await startStudio(meow)
test.after(async () => {
  await studio.close()
  await closeAll()
})

test('for a page that does not read, only the latest message of each kind is kept', async () => {
  const page = new LivePage()
  const server = await serve((request) => new Response(liveResponse(page, request.signal, () => {}).body))
  const socket = dial(server.port, '127.0.0.1')
  let text = ''
  socket.setEncoding('utf8').pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const long = JSON.stringify('x'.repeat(1_000_000))
  const sent = 200
  for (let n = 0; n < sent; n++) {
    page.send('big', long)
    page.send('small', String(n))
    await new Promise((resolve) => setImmediate(resolve)) // the server may pass it on
  }
  assert.ok(page.waits('small'))
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.resume()
  const small = () => [...text.matchAll(/^event: small\r?\ndata: (\d+)/gm)].map(([, n]) => Number(n))
  await until(() => small().at(-1) === sent - 1, waitingFor('the latest'))
  assert.is(page.waits('small'), false)
  assert.ok(text.split('event: big').length - 1 < 20, 'not one after the other')
  socket.destroy()
  await server.close()
})

test('no more than 32 pages can be open at the same time', async () => {
  const own = await startStudio(meow)
  const pages = await Promise.all(Array.from({ length: 32 }, () => look(own)))
  const refused = await look(own)
  assert.is(refused.status, 503)
  pages[0]!.leave()
  const again = async () => {
    const page = await look(own)
    return page.status === 200
  }
  await until(again, waitingFor('room for one'))
  await own.close()
  await Promise.all(pages.map(({ ended }) => ended))
})

test('no query is sent while no page is open', async () => {
  const { pool, queries } = countingPool()
  const store = await openStore({ pool, listen: false, pollIntervalMs: 60_000 })
  const quiet = await startStudio(store)
  const before = queries.length
  await ask(quiet, '/', {})
  await ask(quiet, '/api/hello', {})
  assert.is(queries.length, before)
  const [one, two] = [await look(quiet), await look(quiet)]
  await until(() => one.latest.subscriptions && two.latest.subscriptions, waitingFor('both pages'))
  one.leave()
  const count = two.count()
  await until(() => two.count() > count + 3, waitingFor('the other page to go on'))
  two.leave()
  let [asked, since] = [-1, 0]
  const still = () => {
    if (queries.length !== asked) [asked, since] = [queries.length, Date.now()]
    return Date.now() - since > 2_500 // more than two intervals
  }
  await until(still, waitingFor('it to be still'))
  await quiet.close()
  await store.close()
  await pool.end()
})

test('the text of a large value is cut, and the rest of the value is not read', () => {
  const values = [1, -1.5e300, 'a"\n\u2028', true, null, [], {}, [1, [2, {}]], { a: { b: [] }, 'q"': 'x' }]
  for (const value of values)
    for (const indent of [0, 2]) {
      const { text, cut } = show(value, 1_000, indent)
      assert.is(cut, false)
      assert.equal(JSON.parse(text), value)
      if (indent) assert.is(text.replace(/\s/g, ''), JSON.stringify(value).replace(/\s/g, ''))
    }
  const trap = Object.defineProperty({ a: 'x'.repeat(100) }, 'b', {
    enumerable: true,
    get: () => {
      throw new Error('looked at')
    },
  })
  for (const value of ['x'.repeat(1e6), Array(1e6).fill(1), trap]) {
    const { text, cut } = show(value, 50)
    assert.ok(cut)
    assert.ok(text.length < 60, text)
  }
  let deep: unknown = 1
  for (let n = 0; n < 100_000; n++) deep = [deep]
  assert.ok(show(deep, 1e6).cut)
})

test('everything that a browser loads is less than 200 kB', async () => {
  const loaded = new Map<string, number>()
  const load = async (path: string): Promise<void> => {
    if (loaded.has(path)) return
    const { status, body } = await ask(studio, path, {})
    assert.is(status, 200, path)
    loaded.set(path, Buffer.byteLength(body))
    const links =
      path === '/'
        ? body.matchAll(/(?:src|href)="(\/[^"]+)"/g)
        : body.matchAll(/(?:from |import )'(\.\/[\w./-]+)'/g)
    for (const [, link] of links) await load(new URL(link!, new URL(path, studio.url)).pathname)
  }
  await load('/')
  const total = [...loaded.values()].reduce((sum, bytes) => sum + bytes, 0)
  console.log(`${loaded.size} files, ${total} bytes`)
  for (const path of ['/main.js', '/uplot.js', '/uplot.css', '/style.css', '/dom.js', '/client/seats.js'])
    assert.ok(loaded.has(path), path)
  assert.ok(total < 200_000, String(total))
})

test('close() ends open pages and requests, can be called twice, and frees the port', async () => {
  const own = await startStudio(meow)
  const pages = [await look(own), await look(own)]
  await until(() => pages.every(({ latest }) => latest.store), waitingFor('both pages'))
  const slow = ask(own, '/api/subscription?name=nobody', {}).catch(() => {})
  await Promise.all([own.close(), own.close()])
  await Promise.all([slow, ...pages.map(({ ended }) => ended)])
  const port = Number(new URL(own.url).port)
  const again = await startStudio(meow, { port })
  await again.close()
  await own.close()
  const { position } = await meow.append({ category: uniqueName('open'), streamId: 'a' }, several(1))
  assert.ok(position > 0, 'the store is still open')
})

test.run()
