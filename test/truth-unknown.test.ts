// What an append answers while one of its attempts may still run: a backend is frozen between the query and its answer. It
// never says "refused" if the attempt may still succeed; and OutcomeUnknownError has everything that is needed to append again.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { OutcomeUnknownError, VersionConflictError } from '../src/index.ts'
import { startFaultProxy } from './faults/proxy.ts'
import type { OwnServer } from './support/own-server.ts'
import { ownServer } from './support/own-server.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const event = { type: 'Happened', data: {} }
const queryTimeoutMs = 1_000

// Of our own, for only its processes can be frozen.
let server: OwnServer
let direct: Meow
test.before(async () => {
  server = await ownServer({ fsync: false })
  process.env.DATABASE_URL = server.connectionString
  direct = await openStore({ listen: false })
})
test.after(async () => {
  await closeAll()
  await server.remove()
})

/** A store, and the process that will be given its next append. */
async function withBackend(): Promise<{ far: Meow; pid: number }> {
  const schema = uniqueName('far')
  const far = await openStore({ schema, listen: false, queryTimeoutMs, maxConnections: 5 })
  await far.append({ category: 'first', streamId: '1' }, event)
  const sql = await pgClient()
  const { rows } = await sql.query('select pid from pg_stat_activity where application_name = $1', [
    `meowmx ${schema}`,
  ])
  assert.is(rows.length, 1, 'one connection so far')
  return { far, pid: rows[0].pid }
}

for (const [what, expectedVersion, group] of [
  ['a stream that is not there yet', 'stream-exists', false],
  ['a version that is not there yet', 0, false],
  ['a version that is not there yet, in a group', 0, true],
] as const) {
  test(`refused for ${what}, while the first try is frozen: unknown, because it succeeds in the end`, async () => {
    const { far, pid } = await withBackend()
    const [stream, other] = [1, 2].map(() => ({ category: uniqueName('frozen'), streamId: '1' })) as [
      any,
      any,
    ]
    process.kill(pid, 'SIGSTOP')
    let error: OutcomeUnknownError
    try {
      const writes = [
        { stream, events: event, expectedVersion },
        { stream: other, events: event },
      ]
      const appended = group ? far.appendAll(writes) : far.append(stream, event, { expectedVersion })
      error = await rejects(appended as Promise<unknown>, OutcomeUnknownError)
      assert.instance(error.cause, VersionConflictError)
      assert.equal(await far.load(stream), [])
      await far.append(stream, { type: 'Before', data: {} })
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await until(async () => (await far.load(stream)).length === 2, { what: 'the first try' })
    const { id } = (await far.load(stream))[1]!
    assert.is(id, error.events[0]!.id)
    assert.is((await far.load(other)).length, group ? 1 : 0)
    await far.close()
  })
}

for (const expectedVersion of ['no-stream', 0] as const) {
  test(`refused for a version that is past (${expectedVersion}), while the first try is frozen: refused, for good`, async () => {
    const { far, pid } = await withBackend()
    const stream = { category: uniqueName('frozen'), streamId: '1' }
    await far.append(stream, [event, event])
    process.kill(pid, 'SIGSTOP')
    const begin = performance.now()
    const error = await rejects(far.append(stream, event, { expectedVersion }), VersionConflictError).finally(
      () => process.kill(pid, 'SIGCONT'),
    )
    assert.is(error.actual, 1)
    assert.ok(performance.now() - begin >= queryTimeoutMs, 'the first try got no answer')
    // Once that has ended, its connection has too.
    const sql = await pgClient()
    const there = async () => (await sql.query('select from pg_stat_activity where pid = $1', [pid])).rowCount
    await until(async () => (await there()) === 0, { what: 'the first try to end' })
    assert.is((await far.load(stream)).length, 2)
    await far.close()
  })
}

test('an appendAll whose answer is lost: the writes of the error, with their ids, can be passed to appendAll, which writes them once', async () => {
  for (const done of [true, false]) {
    const proxy = await startFaultProxy(server.connectionString)
    const far = await openStore({ connectionString: proxy.url, listen: false, queryTimeoutMs })
    const streams = ['a', 'b', 'c'].map((streamId) => ({ category: uniqueName('group'), streamId }))
    await far.read({})
    const before = (await direct.read({})).position
    if (done) proxy.blackhole('back')
    else proxy.blackhole('there')
    const writes = streams.map((stream, n) => ({
      stream,
      events: Array(n + 1).fill({ ...event, metadata: { n } }),
      expectedVersion: 'no-stream' as const,
    }))
    const error = await rejects(far.appendAll(writes), OutcomeUnknownError)
    assert.match(error.message, /appendAll\(error\.writes\)/)
    assert.is(error.events.length, 6)
    assert.equal(
      error.writes.map(({ stream, expectedVersion }) => [stream, expectedVersion]),
      streams.map((stream) => [stream, 'no-stream']),
    )
    const first = (await direct.read({}, { after: before })).events
    assert.is(first.length, done ? 6 : 0)
    const results = await direct.appendAll(error.writes)
    assert.equal(
      results.map(({ deduplicated, version }) => [deduplicated, version]),
      [0, 1, 2].map((version) => [done, version]),
    )
    const all = (await direct.read({}, { after: before })).events
    assert.equal(
      all.map(({ id }) => id),
      error.events.map(({ id }) => id),
    )
    if (done)
      assert.equal(
        results.flatMap(({ events }) => events),
        first,
      )
    await far.close()
    await proxy.close()
  }
})

test.run()
