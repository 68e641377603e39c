// @push @direct
// A feed leaves nothing behind: not when a client leaves, and not when the store is closed. Idle connections ask the database nothing.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { select } from '../src/events/selector.ts'
import { eventFeed, stateFeed } from '../src/http/index.ts'
import { Pages } from '../src/http/pages.ts'
import type { Decider, RecordedEvent } from '../src/index.ts'
import { countingPool } from './support/counting-pool.ts'
import { listenTo, serve } from './support/http.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

const said = (n: number) => ({ type: 'Said', data: { n } })
const count: Decider<unknown, RecordedEvent, { count: number }> = {
  category: uniqueName('count'),
  initial: { count: 0 },
  evolve: (state) => ({ count: state.count + 1 }),
  decide: () => [],
}

test('many idle connections of one category ask nothing, and all get the next event of one read', async () => {
  const { pool, queries } = countingPool()
  const meow = await openStore({ pool, pollIntervalMs: 60_000 })
  const category = uniqueName('idle')
  const { position } = await meow.append({ category, streamId: '1' }, said(0))
  const server = await serve(eventFeed(meow, { authorize: () => true, heartbeatMs: 50 }))
  const url = `${server.url}/events/category/${category}?offset=${position}&live=sse`
  const first = await listenTo(url)
  await until(() => first.controls.length > 0, { what: 'the first connection' })
  await until(() => first.text().endsWith(':\n\n'), { what: 'a heartbeat' })
  const before = queries.length
  const others = await Promise.all(Array.from({ length: 200 }, () => listenTo(url)))
  const all = [first, ...others]
  const beats = (text: string) => text.split(':\n\n').length - 1
  await until(() => all.every((one) => beats(one.text()) >= 3), { what: 'three heartbeats each' })
  assert.equal(queries.slice(before), [])
  await meow.append({ category, streamId: '1' }, said(1))
  await until(() => all.every(({ events }) => events.length === 1), { what: 'the event' })
  const asked = queries.slice(before).length
  assert.ok(asked < 10, `${asked} queries: ${queries.slice(before).join('\n')}`)
  for (const one of all) one.abort()
  await server.close()
  await meow.close()
  await pool.end()
})

test('a client that leaves frees its connection and, after a while, the tail', async () => {
  const { pool, queries } = countingPool()
  const meow = await openStore({ pool, pollIntervalMs: 20 })
  const pages = new Pages(meow, 200)
  const selection = select({ category: uniqueName('left') })
  const stop = new AbortController()
  const feeds = [
    await pages.follow(selection, 'start', stop.signal),
    await pages.follow(selection, 'end', stop.signal),
  ]
  await feeds[0]!.horizonKnown()
  const polled = queries.length + 3
  await until(() => queries.length > polled, { what: 'polls' })
  for (const feed of feeds) feed.close()
  const again = await pages.follow(selection, 'start', stop.signal) // it uses the tail that lingers
  again.close()
  let [seen, unchanged] = [-1, 0]
  const isQuiet = () => {
    unchanged = seen === queries.length ? unchanged + 1 : 0
    seen = queries.length
    return unchanged === 20 // ten polls
  }
  await until(isQuiet, { what: 'the polling to end' })
  await meow.close()
  await pool.end()
})

test('clients that leave make room for others', async () => {
  const meow = await openStore()
  const options = { authorize: () => true, maxConnections: 3 }
  const [server, states] = [
    await serve(eventFeed(meow, { ...options, longPollMs: 60_000 })),
    await serve(stateFeed(meow, { count }, options)),
  ]
  const category = `${server.url}/events/category/${uniqueName('room')}`
  const addresses = [
    `${category}?offset=-1&live=sse`,
    `${category}?offset=now&live=long-poll`,
    `${states.url}/events/state/count/1?live=sse`,
  ]
  for (const address of addresses)
    for (let n = 0; n < 12; n += 3) {
      const stops = [1, 2, 3].map(() => new AbortController())
      const asked = stops.map(({ signal }) => fetch(address, { signal }).catch((error) => error))
      if (!address.includes('long-poll'))
        for (const response of await Promise.all(asked)) assert.is(response.status, 200, address)
      for (const stop of stops) stop.abort()
      const plain = address.replace(/[?].*/, '')
      await until(async () => (await fetch(plain)).status === 200, { what: 'room' })
    }
  await Promise.all([server.close(), states.close()])
})

test('when the store is closed, connections end, and further requests get status 503', async () => {
  const meow = await openStore()
  const server = await serve(eventFeed(meow, { authorize: () => true }))
  const states = await serve(stateFeed(meow, { count }, { authorize: () => true }))
  const url = `${server.url}/events/category/${uniqueName('closed')}`
  const sent = await listenTo(`${url}?offset=-1&live=sse`)
  const state = await listenTo(`${states.url}/events/state/count/1?live=sse`)
  const poll = fetch(`${url}?offset=-1&live=long-poll`)
  await until(() => sent.controls.length > 0 && state.states.length > 0, { what: 'the connections' })
  await meow.close()
  assert.equal([await sent.ended, await state.ended], [undefined, undefined])
  assert.is((await poll).status, 503)
  for (const query of ['', '?offset=-1&live=sse', '?offset=now&live=long-poll'])
    assert.is((await fetch(url + query)).status, 503, query)
  await Promise.all([server.close(), states.close()])
})

test('a state, and each newer one', async () => {
  const meow = await openStore()
  const feed = stateFeed(
    meow,
    { count },
    { authorize: (_, { name, streamId }) => name !== 'x' && streamId !== 'no' },
  )
  const server = await serve(feed)
  const url = `${server.url}/events/state/count`
  const stream = { category: count.category as string, streamId: 'a/b' }
  await meow.append(stream, said(0))
  const response = await fetch(`${url}/a%2Fb`)
  assert.equal(await response.json(), { version: 0, state: { count: 1 } })
  const headers = { 'If-None-Match': response.headers.get('etag')! }
  assert.is((await fetch(`${url}/a%2Fb`, { headers })).status, 304)
  const sent = await listenTo(`${url}/a%2Fb?live=sse`)
  await meow.append(stream, [said(1), said(2)])
  await until(() => sent.states.at(-1)?.version === 2, { what: 'the newest state' })
  assert.equal(sent.states.at(-1), { version: 2, state: { count: 3 } })
  sent.abort()
  assert.equal(await (await fetch(`${url}/new`)).json(), { version: -1, state: { count: 0 } })
  assert.is((await fetch(`${url}/no`)).status, 403)
  assert.is((await fetch(`${server.url}/events/state/x/1`)).status, 403)
  assert.is((await fetch(`${server.url}/events/state/y/1`)).status, 404)
  assert.is((await fetch(`${url}/a?live=long-poll`)).status, 400)
  assert.is((await fetch(`${url}/a`, { method: 'POST' })).status, 405)
  await server.close()
})

test.run()
