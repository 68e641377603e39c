// @push
// The server itself is gone for a while, and comes back at the same address: everything goes on within 2 s. The poll is a
// minute apart, so it is not what brings the events. OUTAGE_S (default 5) sets its length.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EmbeddedPostgres } from '../src/embedded/index.ts'
import { startPostgres } from '../src/embedded/index.ts'
import { collect } from './support/collect.ts'
import { current } from './support/status.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'

const OUTAGE_S = Number(process.env.OUTAGE_S ?? 5)
const event = { type: 'Happened', data: {} }
const stream = { category: 'outage', streamId: '1' }

let directory: string
let server: EmbeddedPostgres
const start = async (settings = {}) => {
  server = await startPostgres({ dataDir: join(directory, 'data'), settings: { fsync: false, ...settings } })
}
test.before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'meowmx-outage-'))
  await start()
  process.env.DATABASE_URL = server.connectionString
})
test.after(async () => {
  await closeAll()
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

test(`${OUTAGE_S} s without a server: events, push and subscriptions are back within 2 s`, async () => {
  const { connectionString } = server
  const open = (more = {}) =>
    openStore({ connectionString, schema: 'outage', pollIntervalMs: 60_000, ...more })
  const [meow, writer] = await Promise.all([open(), open({ listen: false })])
  const seen = collect(meow.events({ category: 'outage' }))
  const handled: number[] = []
  const worker = meow
    .subscription('outage', { category: 'outage' })
    .process(({ version }) => handled.push(version))
  await writer.append(stream, event)
  await until(() => handled.length === 1 && seen.all.length === 1, { what: 'the first event' })

  await server.stop()
  await until(() => current(meow.status$).state === 'reconnecting', { what: 'the outage' })
  // Not for something to happen: the outage itself is what takes time.
  await delay(OUTAGE_S * 1000)
  await start({ port: new URL(connectionString).port })
  const back = performance.now()
  const since = () => Math.round(performance.now() - back)
  const [appended, pushed, arrived, done] = await Promise.all([
    writer.append(stream, event).then(since),
    until(() => current(meow.status$).state === 'listening', { what: 'push' }).then(since),
    seen.has(2).then(since),
    until(() => handled.length === 2, { what: 'the handler' }).then(since),
  ])
  console.log(
    `after ${OUTAGE_S} s without a server: appended ${appended} ms, arrived ${arrived} ms, handled ${done} ms, push ${pushed} ms after it was back`,
  )
  for (const ms of [pushed, arrived, done]) assert.ok(ms < 2_000, `${ms} ms after the server was back`)
  await writer.append(stream, event)
  await seen.has(3)
  await until(() => handled.length === 3, { what: 'the last event' })
  assert.equal(
    seen.all.map(({ version }) => version),
    [0, 1, 2],
  )
  assert.equal(handled, [0, 1, 2])
  await worker.stop()
})

test.run()
