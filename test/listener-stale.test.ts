// @push
// A connection that answers every query but loses every notification: only the liveness probe finds it. It comes every 15 s,
// and has 4 s.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collect } from './support/collect.ts'
import { startSilencingProxy } from './support/silencing-proxy.ts'
import { current, listening } from './support/status.ts'
import { closeAll, databaseUrl, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
test.after(closeAll)

test('a stale connection is found, the status says so until it is replaced, and the poll goes on', async () => {
  const proxy = await startSilencingProxy(databaseUrl())
  const writer = await openStore({ listen: false })
  const meow = await openStore({ listenConnectionString: proxy.url })
  const stream = { category: uniqueName('stale'), streamId: '1' }
  const seen = collect(meow.events({ category: stream.category }))
  await listening(meow)
  const states = collect(meow.status$)
  await writer.append(stream, event)
  await seen.has(1)

  proxy.silent = true
  const begin = performance.now()
  await writer.append(stream, event)
  await seen.has(2)
  const polled = performance.now() - begin
  await until(() => current(meow.status$).state === 'reconnecting', {
    what: 'deafness to be noticed',
    timeoutMs: 40_000,
  })
  const noticed = performance.now() - begin
  const status = current(meow.status$)
  assert.match(String((status.cause as Error).message), /stale|probe/)
  // The next connections are as stale, and none counts as listening.
  await until(() => current(meow.status$).cause !== status.cause, { what: 'the next try', timeoutMs: 20_000 })
  await writer.append(stream, event)
  await seen.has(3)
  assert.equal(
    states.all.map(({ state }) => state).filter((state) => state !== 'reconnecting'),
    ['listening'],
  )

  proxy.silent = false
  const mended = performance.now()
  await until(() => current(meow.status$).state === 'listening', { what: 'push', timeoutMs: 20_000 })
  const healing = performance.now() - mended
  console.log(
    `stale: event after ${Math.round(polled)} ms, noticed after ${Math.round(noticed)} ms, push again after ${Math.round(healing)} ms`,
  )
  assert.ok(polled < 1_000 + 2_000)
  assert.ok(noticed < 19_000 + 3_000)
  assert.ok(healing < 5_000 + 2_000)
  await meow.close()
  proxy.close()
})

test.run()
