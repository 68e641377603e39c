// @direct
// What the studio's page is told: live, bounded, and only while somebody looks.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect as dial } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EventStream } from '../src/studio/event-stream.ts'
import { CommitCount } from '../src/studio/held.ts'
import { startStudio } from '../src/studio/index.ts'
import { Rates } from '../src/studio/rates.ts'
import { show } from '../src/studio/show.ts'
import { countingPool } from './support/counting-pool.ts'
import { createSubscription, sqlExecutor } from './support/sql-executor.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { ask, look } from './support/studio.ts'
import { until } from './support/until.ts'

const meow = await openStore({ pollIntervalMs: 100 })
const studio = await startStudio(meow, { title: 'shop <b>' })
test.after(async () => {
  await studio.close()
  await closeAll()
})

const patient = (what: string) => ({ what, timeoutMs: 30_000 })
const several = (count: number, data: unknown = {}) =>
  Array.from({ length: count }, (_, n) => ({ type: `T${n}`, data }))

test('categories with their rates, the tail, subscriptions and push, live', async () => {
  const [category, name] = [uniqueName('live'), uniqueName('live')]
  await meow.append({ category, streamId: 'a' }, several(3))
  await createSubscription(name, { categories: [category], partitions: 2 })
  const page = await look(studio)
  const info = () => page.latest.categories?.categories.find((one: any) => one.category === category)
  await until(() => info()?.events === 3, patient('the category'))
  await until(
    () => page.events.filter((event) => event.category === category).length === 3,
    patient('the last events'),
  )
  const subscription = () => page.latest.subscriptions?.subscriptions.find((one: any) => one.name === name)
  await until(() => subscription()?.lag === 3, patient('the lag'))

  const { position } = await meow.append({ category, streamId: 'b' }, several(2, { n: 1 }))
  // At once, without the store counting anew.
  await until(
    () => info().events === 5 && info().streams === 2 && info().rate > 0,
    patient('the count and the rate'),
  )
  await until(() => page.events.at(-1)?.position === position, patient('the tail'))
  const { recordedAt, ...event } = page.events.at(-1)
  assert.equal(event, { category, streamId: 'b', version: 1, position, type: 'T1', data: '{"n": 1}' })
  assert.is(typeof recordedAt, 'number')
  await until(
    () => subscription().lag === 5 && page.latest.store.horizon >= position,
    patient('the lag and the horizon'),
  )
  assert.equal(subscription(), {
    name,
    status: 'stopped',
    pausedAt: null,
    selector: { category },
    position: 0,
    lag: 5,
    lagIsEstimate: false,
    parked: 0,
    parkedIsEstimate: false,
    parkedStreams: 0,
    partitions: 2,
    owned: 0,
    owners: 0,
    ahead: 0,
    heldBack: { events: 0, seconds: 0 },
  })
  assert.equal(page.latest.store.problems, {})
  assert.ok(['listening', 'polling'].includes(page.latest.store.state))

  const series = async (path: string) => (await ask(studio, path)).json
  const sampled = async () => (await series(`/api/lag?name=${name}`)).values.includes(5)
  await until(sampled, patient('a sample of the lag'))
  const { at, values } = await series(`/api/lag?name=${name}`)
  assert.is(at.length, values.length)
  assert.ok((await series('/api/rate')).values.some((rate: number) => rate > 0))
  assert.equal((await ask(studio, '/api/hello')).json, { title: 'shop <b>', write: false })
  const detail = (await ask(studio, `/api/subscription?name=${name}`)).json
  assert.equal(detail.partitions[1], { partition: 1, position: 0, owner: null, leaseUntil: null })
  page.leave()
})

test('a rate is the average of five seconds, and falls to nothing', () => {
  const rates = new Rates()
  for (let n = 0; n < 10; n++) rates.count('a')
  assert.equal(rates.tick(), new Map([['a', 10]]))
  rates.count('b')
  assert.equal([...rates.tick()].sort(), [
    ['a', 5],
    ['b', 0.5],
  ])
  const falling = Array.from({ length: 4 }, () => rates.tick().get('a') ?? 0)
  assert.equal(falling, [3.3, 2.5, 2, 0])
})

test('an append that stays open is told of', async () => {
  const category = uniqueName('open')
  const page = await look(studio)
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'a' }, several(1), { client })
  const held = () => page.latest.stallers?.length > 0
  await until(held, patient('the staller'))
  await client.query('rollback')
  await until(() => !held(), patient('its end'))
  page.leave()
})

test('what is rare passes the filter, however much comes', async () => {
  const [busy, rare] = [uniqueName('busy'), uniqueName('rare')]
  const page = await look(studio, `${rare.toUpperCase()} -t1`)
  const flood = await look(studio, busy)
  await until(() => page.latest.store && flood.latest.store, patient('both'))
  await meow.append({ category: busy, streamId: 'a' }, several(1_500))
  await meow.append({ category: rare, streamId: 'needle' }, several(3))
  await meow.append({ category: busy, streamId: 'a' }, several(1_500))
  await until(() => page.events.length === 2, patient('the rare ones'))
  assert.equal(
    page.events.map(({ category, type }) => [category, type]),
    [
      [rare, 'T0'],
      [rare, 'T2'],
    ],
  )
  assert.is(page.missed(), 0)
  await until(() => flood.events.length + flood.missed() === 3_000, patient('all to be shown or counted'))
  assert.ok(flood.events.length < 500, 'no page can follow so many')
  for (const one of [page, flood]) one.leave()
})

test('a page that does not read holds but the latest, and the others go on', async () => {
  const streams: EventStream[] = []
  const server = createServer((_, response) => {
    streams.push(new EventStream(response))
  }).listen(0, '127.0.0.1')
  await until(() => server.listening, { what: 'the server' })
  const socket = dial((server.address() as AddressInfo).port, '127.0.0.1')
  let text = ''
  socket.setEncoding('utf8')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => streams.length === 1, { what: 'the request' })
  const [stream] = streams
  const long = JSON.stringify('x'.repeat(1_000_000))
  const sent = 200
  for (let n = 0; n < sent; n++) {
    stream!.send('big', long)
    stream!.send('small', String(n))
  }
  assert.ok(stream!.busy)
  socket.on('data', (chunk) => {
    text += chunk
  })
  const small = () => [...text.matchAll(/^event: small\r?\ndata: (\d+)/gm)].map(([, n]) => Number(n))
  await until(() => small().at(-1) === sent - 1, patient('the latest'))
  await until(() => !stream!.busy, patient('room'))
  assert.ok(text.split('event: big').length - 1 < 20, 'not one after the other')
  socket.destroy()
  server.closeAllConnections()
  server.close()
})

test('so many pages and no more', async () => {
  const own = await startStudio(meow)
  const pages = await Promise.all(Array.from({ length: 32 }, () => look(own)))
  const refused = await look(own)
  assert.is(refused.status, 503)
  pages[0]!.leave()
  const again = async () => {
    const page = await look(own)
    return page.status === 200
  }
  await until(again, patient('room for one'))
  await own.close()
  await Promise.all(pages.map(({ ended }) => ended))
})

test('the store is asked nothing while nobody looks', async () => {
  const { pool, queries } = countingPool()
  const store = await openStore({ pool, listen: false, pollIntervalMs: 60_000 })
  const quiet = await startStudio(store)
  const before = queries.length
  await ask(quiet, '/', {})
  await ask(quiet, '/api/hello', {})
  assert.is(queries.length, before)
  const [one, two] = [await look(quiet), await look(quiet)]
  await until(() => one.latest.subscriptions && two.latest.subscriptions, patient('both pages'))
  one.leave()
  const count = two.count()
  await until(() => two.count() > count + 3, patient('the other page to go on'))
  two.leave()
  let [asked, since] = [-1, 0]
  const still = () => {
    if (queries.length !== asked) [asked, since] = [queries.length, Date.now()]
    return Date.now() - since > 2_500 // two beats and more
  }
  await until(still, patient('it to be still'))
  await quiet.close()
  await store.close()
  await pool.end()
})

test('what is parked: a stream by its first event, its error, and how much waits behind it', async () => {
  const name = uniqueName('parked')
  const stream = (streamId: string) => ({ category: name, streamId })
  const short = await meow.append(stream('short'), several(3, { a: 1 }))
  const long = await meow.append(stream('long'), several(1_200))
  await createSubscription(name, { categories: [name] })
  const parked = async () => (await ask(studio, `/api/parked?name=${name}`)).json
  assert.equal(await parked(), { streams: [], events: 0 })
  const executor = await sqlExecutor(name)
  await executor.park(short.events[1]!, { attempts: 5, error: `Error: ${'x'.repeat(20_000)}` })
  await executor.park(long.events[0]!, { error: 'Error: no' })
  const { streams, events } = await parked()
  const told = ({ event, attempts, error, behind, more }: any) => [
    event.streamId,
    event.version,
    attempts,
    error.length,
    behind,
    more,
  ]
  assert.equal(streams.map(told), [
    ['short', 1, 5, 16_384, 1, false],
    ['long', 0, 1, 9, 997, true],
  ])
  assert.is(streams[0].event.data, '{\n  "a": 1\n}')
  assert.is(events, 1_000)
  assert.is((await ask(studio, '/api/parked?name=nobody')).status, 404)
})

test('however much is parked: the list, the details and the metrics tell the same numbers of streams and events', async () => {
  for (const [streams, each] of [
    [3, 40],
    [1, 1_200],
    [130, 2],
  ] as const) {
    const name = uniqueName('counts')
    const types = { types: ['T0', 'T1', 'T2'] }
    const [plain, typed] = [`${name}_plain`, `${name}_typed`]
    const stored = await Promise.all(
      Array.from({ length: streams }, (_, n) =>
        meow.append({ category: name, streamId: `s${n}` }, several(each)),
      ),
    )
    for (const [subscription, selector] of [
      [plain, {}],
      [typed, types],
    ] as const) {
      await createSubscription(subscription, { categories: [name], ...selector })
      const executor = await sqlExecutor(subscription)
      for (const { events } of stored) await executor.park(events[0]!, { error: 'Error: no' })
    }
    const page = await look(studio)
    for (const [subscription, count] of [
      [plain, streams * each],
      [typed, streams * Math.min(each, 3)],
    ] as const) {
      const row = () => page.latest.subscriptions?.subscriptions.find((one: any) => one.name === subscription)
      await until(() => row()?.parkedStreams === streams, patient('the list'))
      const { streams: listed, events, all } = (await ask(studio, `/api/parked?name=${subscription}`)).json
      assert.equal(all, { streams, events: count, isEstimate: false })
      assert.ok(row().parkedIsEstimate || row().parked === count, 'the list is exact, or says that it is not')
      const behind = listed
        .map(({ behind }: any) => behind + 1)
        .reduce((sum: number, one: number) => sum + one)
      assert.is(behind, events, 'what is listed')
      assert.is(listed.at(-1).more, listed.length === streams && events < count)
      const { body } = await ask(studio, '/metrics')
      const value = (metric: string) =>
        Number(
          body.match(
            new RegExp(`^meowmx_subscription_${metric}{subscription="${subscription}"} (.*)$`, 'm'),
          )?.[1],
        )
      assert.is(value('parked_streams'), streams)
      assert.is(value('parked_is_estimate'), Number(row().parkedIsEstimate))
      assert.is(value('parked_events'), row().parked)
      assert.is((await meow.parked(subscription, { limit: 10_000 })).length, count)
    }
    page.leave()
  }
})

test('behind an open append, what is committed counts in the rate at once, and is said to be held back', async () => {
  const category = uniqueName('held')
  await meow.append({ category, streamId: 'a' }, several(1))
  const page = await look(studio)
  const rate = () => page.latest.store?.rate
  const client = await pgClient()
  await client.query('begin')
  await meow.append({ category, streamId: 'open' }, several(1), { client })
  await until(() => page.latest.store?.heldBack && rate() === 0, patient('what came before to be over'))
  await meow.append({ category, streamId: 'b' }, several(500))
  await until(() => page.latest.store.heldBack.events === 500, patient('what is held back'))
  await until(() => rate() > 0, patient('the rate'))
  const busiest = () => page.latest.categories.categories.find((one: any) => one.category === category)
  await until(() => busiest()?.rate > 0, patient('the rate of the category'))
  await until(() => rate() === 0, patient('the rate to fall'))

  const before = (await ask(studio, '/api/rate')).json.values.length
  await client.query('commit')
  await until(() => busiest()?.events === 502, patient('what was held back'))
  await until(() => page.latest.store.heldBack.events === 0, patient('nothing to be held back'))
  const { values } = (await ask(studio, '/api/rate')).json
  assert.ok(Math.max(...values.slice(before)) <= 1, `no spike: ${values.slice(before)}`)
  page.leave()
})

test('each event is counted once: when it is held back, or when the tail hears of it', () => {
  const counts: Record<string, number> = {}
  const commits = new CommitCount((category, events) => {
    counts[category] = (counts[category] ?? 0) + events
  })
  const held = (horizon: number, events: number) => ({
    horizon,
    categories: [{ category: 'a', events, streams: 0, lastPosition: 0 }],
  })
  commits.held(held(0, 3), 0)
  assert.equal(counts, {}, 'those of before somebody looked')
  commits.held(held(0, 5), 0)
  assert.equal(counts, { a: 2 })
  commits.held(held(0, 5), 0)
  for (let n = 0; n < 6; n++) commits.heard('a')
  commits.heard('b')
  assert.equal(counts, { a: 3, b: 1 }, 'the sixth was of the open append')
  commits.held(held(4, 9), 8)
  assert.equal(counts, { a: 3, b: 1 }, 'an answer of before the tail went on')
})

test('a stream as of each of its versions', async () => {
  const stream = { category: uniqueName('stream'), streamId: 'a/b ?&#é' }
  const { events } = await meow.append(stream, [
    { type: 'Made', data: { name: 'x', tags: ['a'], deep: { b: 1, c: 2 } }, metadata: { by: 'me' } },
    { type: 'Named', data: { name: 'y', tags: ['a'] } },
    { type: 'Odd', data: [1, 2] },
    { type: 'Marked', data: JSON.parse('{"__proto__": {"polluted": 1}, "constructor": null}') },
  ])
  const at = async (version?: number) => {
    const query = new URLSearchParams({
      ...stream,
      ...(version === undefined ? {} : { version: String(version) }),
    })
    const { status, json } = await ask(studio, `/api/stream?${query}`)
    assert.is(status, 200)
    return json
  }
  const first = await at(0)
  assert.equal([first.version, first.lastVersion, first.foldedFrom, first.leftOut], [0, 3, 0, 0])
  assert.equal(JSON.parse(first.state.text), events[0]!.data)
  assert.equal(JSON.parse(first.event.metadata.text), { by: 'me' })
  assert.is(first.event.recordedAt, events[0]!.recordedAt.getTime())
  assert.is(first.event.position, events[0]!.position)
  assert.equal(
    first.changes.map(({ key, kind }: any) => [key, kind]),
    [
      ['name', 'added'],
      ['tags', 'added'],
      ['deep', 'added'],
    ],
  )
  const second = await at(1)
  assert.equal(JSON.parse(second.state.text), { name: 'y', tags: ['a'], deep: { b: 1, c: 2 } })
  assert.equal(second.changes, [
    { key: 'name', kind: 'changed', before: '"x"', after: '"y"' },
    { key: 'tags', kind: 'same', before: '["a"]', after: '["a"]' },
  ])
  assert.is((await at(2)).leftOut, 1, 'no object')
  const last = await at()
  assert.is(last.version, 3)
  assert.is(last.leftOut, 1)
  assert.match(last.state.text, '"__proto__": {\n    "polluted": 1')
  assert.is(({} as any).polluted, undefined)
  assert.equal(
    last.around.map(({ version }: any) => version),
    [0, 1, 2, 3],
  )
  assert.is((await at(99)).version, 3, 'as far as it goes')
  const nothing = (await ask(studio, `/api/stream?category=${stream.category}&streamId=none`)).json
  assert.equal([nothing.lastVersion, nothing.event], [-1, null])
  for (const query of [
    'category=a',
    'streamId=a',
    'category=&streamId=a',
    'category=a&streamId=a&version=x',
    'category=a&streamId=a&version=-1',
    'category=a&streamId=a&version=',
  ])
    assert.is((await ask(studio, `/api/stream?${query}`)).status, 400, query)
})

test('a long stream is folded by pages, from not further back than 10,000', async () => {
  const stream = { category: uniqueName('long'), streamId: 'a' }
  const client = await pgClient()
  await client.query(
    `insert into ${storeSchema}.events (id, version, category, stream_id, type, data, metadata)
    select gen_random_uuid(), n, '${stream.category}', 'a', 'T', json_build_object('n', n, 'k' || n % 250, n), '{}'
    from generate_series(0, 10_249) n`.replace('10_249', '10249'),
  )
  const { json } = await ask(studio, `/api/stream?category=${stream.category}&streamId=a`)
  assert.equal([json.lastVersion, json.foldedFrom], [10_249, 250])
  const state = JSON.parse(json.state.text)
  assert.is(state.n, 10_249)
  for (const k of [0, 17, 249]) assert.is(state[`k${k}`], 10_000 + k)
  assert.equal(json.around[0].version, 10_224)
})

test('text of what is large is cut, and what is left out is not looked at', () => {
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

test('all that a browser loads is below 200 kB', async () => {
  const loaded = new Map<string, number>()
  const load = async (path: string): Promise<void> => {
    if (loaded.has(path)) return
    const { status, body } = await ask(studio, path, {})
    assert.is(status, 200, path)
    loaded.set(path, Buffer.byteLength(body))
    const links =
      path === '/'
        ? body.matchAll(/(?:src|href)="(\/[^"]+)"/g)
        : body.matchAll(/(?:from |import )'\.(\/[\w.-]+)'/g)
    for (const [, link] of links) await load(link!)
  }
  await load('/')
  const total = [...loaded.values()].reduce((sum, bytes) => sum + bytes, 0)
  console.log(`${loaded.size} files, ${total} bytes`)
  for (const path of ['/main.js', '/uplot.js', '/uplot.css', '/style.css', '/dom.js'])
    assert.ok(loaded.has(path), path)
  assert.ok(total < 200_000, String(total))
})

test('closing ends what is under way, twice is fine, and the port is free again', async () => {
  const own = await startStudio(meow)
  const pages = [await look(own), await look(own)]
  await until(() => pages.every(({ latest }) => latest.store), patient('both pages'))
  const slow = ask(own, '/api/subscription?name=nobody', {}).catch(() => {})
  await Promise.all([own.close(), own.close()])
  await Promise.all([slow, ...pages.map(({ ended }) => ended)])
  const port = Number(new URL(own.url).port)
  const again = await startStudio(meow, { port })
  await again.close()
  await own.close()
  assert.ok((await meow.categories()).length > 0, 'the store is still open')
})

test.run()
