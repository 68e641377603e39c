// @direct
// The command meowmx: what an operator does at night. Commands that would lose something require --force.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { causedBy } from '../src/index.ts'
import { cli, parsed } from './support/cli.ts'
import { closeAll, openStore, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const store = ['--schema', storeSchema]
const meow = await openStore()
test.after(closeAll)

test('pause, subscriptions, resume', async () => {
  const name = uniqueName('pause')
  const worker = meow.subscription(name, { category: name }).process(() => {})
  await worker.ready
  assert.equal(await cli(['pause', name, ...store]), { code: 0, stdout: `"${name}" is paused\n`, stderr: '' })
  const shown = await cli(['subscriptions', name, ...store])
  assert.match(shown.stdout, new RegExp(`^NAME +STATUS .*\\n${name} +paused `))
  const json = await cli(['subscriptions', name, '--json', ...store])
  assert.is(parsed(json.stdout)[0].status, 'paused')
  const doctor = parsed((await cli(['doctor', '--json', ...store])).stdout)
  const said = doctor.find(({ found }) => found.startsWith(`"${name}" has been paused since `))
  assert.equal([said.state, said.todo], ['warning', `meowmx resume ${name} lets it go on`])
  assert.is((await cli(['resume', name, ...store])).stdout, `"${name}" goes on\n`)
  assert.is((await meow.subscriptions({ names: [name] }))[0]!.pausedAt, null)
  await worker.stop()
  for (const command of ['pause', 'resume']) {
    const { code, stderr } = await cli([command, 'nobody', ...store])
    assert.equal([code, stderr], [1, 'meowmx: there is no subscription "nobody"\n'])
  }
})

test('timers: lists what waits, is late or has failed; run and cancel', async () => {
  const name = uniqueName('timers')
  const write = { stream: { category: name, streamId: 'a' }, events: { type: 'Rang', data: {} } }
  await meow.schedule(`${name}1`, new Date('2020-01-01'), write)
  await meow.schedule(`${name}2`, new Date('2999-01-01'), write)
  const shown = await cli(['timers', '--prefix', name, ...store])
  assert.match(shown.stdout, new RegExp(`${name}1 +2020-01-01T00:00:00.000Z +late +${name}/a +Rang`))
  assert.match(shown.stdout, new RegExp(`${name}2 +2999-01-01T00:00:00.000Z +waits `))
  assert.is((await cli(['timers', 'run', `${name}2`, ...store])).stdout, `"${name}2" has fired\n`)
  assert.is((await cli(['timers', 'cancel', `${name}1`, ...store])).stdout, `"${name}1" is cancelled\n`)
  assert.is((await cli(['timers', 'cancel', `${name}1`, ...store])).stdout, `there is no timer "${name}1"\n`)
  assert.is((await meow.load(write.stream)).length, 1)
  assert.is((await cli(['timers', 'run', ...store])).code, 2)
})

test('skip: shows the event, discards it with --force; skipped says why', async () => {
  const name = uniqueName('skip')
  for (const data of [1, 2]) await meow.append({ category: name, streamId: 'a' }, { type: 'T', data })
  const handled: unknown[] = []
  const worker = meow.subscription(name, { category: name }).process(
    ({ data }) => {
      if (data === 1) throw new Error('boom')
      handled.push(data)
    },
    { retry: { maxAttempts: 1 } },
  )
  await until(async () => (await meow.parked(name).catch(() => [])).length === 2, {
    what: 'the parked events',
  })
  const words = ['skip', name, '--stream', 'a', '--reason', 'ticket 7', ...store]
  const asked = await cli(words)
  assert.is(asked.code, 2)
  assert.match(asked.stderr, `${name}/a@0 T failed after 1 attempt: Error: boom\n`)
  assert.match(asked.stderr, /never handle this event: give --force to discard it, or replay it/)
  assert.is((await meow.parked(name)).length, 2)
  const done = await cli([...words, '--force'])
  assert.equal([done.code, done.stderr], [0, ''])
  assert.match(done.stdout, /the event is discarded; 1 event behind it was put back/)
  await until(() => handled.length === 1, { what: 'the event behind' })
  await worker.stop()
  const { stdout } = await cli(['skipped', name, ...store])
  assert.match(stdout, new RegExp(`^POSITION +EVENT .*\\n.*${name}/a@0 +T .* ticket 7 +Error: boom\\n$`))
  const none = await cli(['skip', name, '--stream', 'b', '--reason', 'x', ...store])
  assert.is(none.code, 2)
  assert.match(none.stderr, 'has no parked stream b')
})

test('trace and streams', async () => {
  const category = uniqueName('trace')
  const [root] = (await meow.append({ category, streamId: 'a' }, { type: 'Began', data: {} })).events
  await meow.append({ category, streamId: 'b' }, { type: 'Went', data: {}, metadata: causedBy(root!) })
  const lines = (await cli(['trace', root!.id, ...store])).stdout.split('\n')
  assert.is(lines.length, 3)
  assert.match(lines[0]!, `${category}/a@0 Began`)
  assert.match(lines[1]!, `${category}/b@0 Went`)
  const [first, ...rest] = parsed((await cli(['trace', root!.id, '--limit', '1', '--json', ...store])).stdout)
  assert.equal([first.id, rest], [root!.id, []])
  const nothing = await cli(['trace', 'nothing', ...store])
  assert.equal(nothing, {
    code: 0,
    stdout: '',
    stderr: 'no event has the correlation id or the id nothing\n',
  })

  const shown = await cli(['streams', category, '--limit', '1', ...store])
  assert.match(shown.stdout, /^STREAM +VERSION +POSITION\na +0 +\d+\n$/)
  assert.is(shown.stderr, 'these are the first 1; --after a shows the next ones\n')
  const next = await cli(['streams', category, '--after', 'a', '--json', ...store])
  assert.equal(
    parsed(next.stdout).map(({ streamId }) => streamId),
    ['b'],
  )
})

test('reset --at; settled', async () => {
  const name = uniqueName('reset')
  const { events } = await meow.append({ category: name, streamId: 'a' }, { type: 'T', data: 1 })
  const worker = meow.subscription(name, { category: name }).process(() => {})
  assert.is(
    (await cli(['settled', name, '--timeout-ms', '60000', ...store])).stdout,
    'everything is handled or parked\n',
  )
  await worker.stop()
  const at = events[0]!.recordedAt.toISOString()
  const { stdout } = await cli(['reset', name, '--at', at, '--json', ...store])
  assert.equal(parsed(stdout), [{ name, to: { since: at }, position: events[0]!.position - 1 }])
  const { events: later } = await meow.append({ category: name, streamId: 'a' }, { type: 'T', data: 2 })
  const since = ['--since', later[0]!.recordedAt.toISOString()]
  const read = parsed((await cli(['read', '--category', name, ...since, '--json', ...store])).stdout)
  assert.is(read.at(-1).id, later[0]!.id)
  assert.is(read.length <= 2, true)
  const both = await cli(['read', '--after', '1', ...since, ...store])
  assert.equal([both.code, both.stderr], [2, 'meowmx: --after and --since were both given: give only one\n'])
  assert.match((await cli(['reset', name, '2026-01-31', ...store])).stdout, /continues after position 0/)
  const late = await cli(['settled', name, '--timeout-ms', '50', ...store])
  assert.is(late.code, 1)
  assert.match(late.stderr, `subscription "${name}"`)
})

test.run()
