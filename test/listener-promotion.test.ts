// @push
// A standby takes over. LISTEN is refused in recovery, so a client that only keeps its connection gets no notification after
// the promotion. Stores that were connected before have push afterwards, not only the poll, which is a minute apart here.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EmbeddedPostgres } from '../src/embedded/index.ts'
import { startPostgres } from '../src/embedded/index.ts'
import { collect } from './support/collect.ts'
import { current, listening } from './support/status.ts'
import { closeAll, openStore, pgClient } from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
const stream = { category: 'promoted', streamId: '1' }
const schema = 'promoted'

let directory: string
let primary: EmbeddedPostgres
let standby: EmbeddedPostgres
test.before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'meowmx-standby-'))
  const [first, second] = [join(directory, 'primary'), join(directory, 'standby')] as const
  await (await startPostgres({ dataDir: first })).stop()
  await cp(first, second, { recursive: true })
  await writeFile(join(second, 'standby.signal'), '')
  primary = await startPostgres({ dataDir: first, settings: { fsync: false } })
  process.env.DATABASE_URL = primary.connectionString
  const { port } = new URL(primary.connectionString)
  const settings = { fsync: false, primary_conninfo: `host=127.0.0.1 port=${port} user=postgres` }
  standby = await startPostgres({ dataDir: second, settings })
})
test.after(async () => {
  process.env.DATABASE_URL = standby.connectionString
  await closeAll()
  await Promise.all([primary.stop(), standby.stop()])
  await rm(directory, { recursive: true, force: true })
})

test('a standby is promoted: stores that were connected before have push, and get every event once', async () => {
  const writer = await openStore({ schema, listen: false })
  await writer.append(stream, [event, event])
  const sql = await pgClient({ connectionString: standby.connectionString })
  await until(
    async () => (await sql.query('select to_regclass($1) as it', [`${schema}.events`])).rows[0].it,
    {
      what: 'the store to be on the standby',
    },
  )
  const meow = await openStore({ schema, connectionString: standby.connectionString, pollIntervalMs: 60_000 })
  await until(async () => (await meow.load(stream)).length === 2, { what: 'the events to be on the standby' })
  const seen = [{ category: stream.category }, {}].map((selector) => collect(meow.events(selector)))
  const handled: number[] = []
  const worker = meow
    .subscription('promoted', { category: stream.category })
    .process(({ version }) => handled.push(version))
  await until(() => current(meow.status$).cause !== undefined, { what: 'LISTEN to be refused' })
  assert.is(current(meow.status$).state, 'reconnecting')
  assert.equal((await sql.query('select pg_is_in_recovery() as so')).rows[0], { so: true })
  assert.equal([...handled, ...seen.flatMap(({ all }) => all)], [], 'without a horizon nothing is delivered')

  await primary.stop()
  await sql.query('select pg_promote()')
  const promoted = performance.now()
  const since = () => Math.round(performance.now() - promoted)
  await Promise.all([
    ...seen.map(({ has }) => has(2)),
    until(() => handled.length === 2, { what: 'the handler' }),
  ])
  const arrived = since()
  await listening(meow)
  console.log(`promoted: first events after ${arrived} ms, push after ${since()} ms`)
  assert.ok(since() < 2_000 + 2_000, `push ${since()} ms after the promotion`) // and what a busy machine adds

  // Ten by push: the poll would take a minute for the first.
  const other = await openStore({ schema, connectionString: standby.connectionString, listen: false })
  const pushes: number[] = []
  for (let version = 2; version < 12; version++) {
    const begin = performance.now()
    await other.append(stream, event)
    for (const { has } of seen) await has(version + 1)
    pushes.push(performance.now() - begin)
    await until(() => handled.length === version + 1, { what: 'the handler' })
  }
  console.log(
    `promoted: events by push after ${Math.round(pushes.toSorted((a, b) => a - b)[5]!)} ms (the middle of ten)`,
  )
  const versions = Array.from({ length: 12 }, (_, n) => n)
  for (const { all } of seen)
    assert.equal(
      all.map(({ version }) => version),
      versions,
    )
  assert.equal(handled, versions)
  await worker.stop()
})

test.run()
