// @direct
// The command meowmx: migrate, append and write, with all they print.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, parsed, startCli } from './support/cli.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'

const schema = uniqueName('cli')
const store = ['--schema', schema]
test.after(async () => {
  const sql = await pgClient()
  await sql.query(`drop schema if exists ${schema} cascade`)
  await closeAll()
})

test('migrate applies what is to be applied, and nothing the second time', async () => {
  const first = await cli(['migrate', ...store])
  assert.match(first.stdout, /^applied 001_events\.sql\n(applied \d{3}_\w+\.sql\n)+applied functions\n$/)
  assert.equal([first.code, first.stderr], [0, ''])
  const again = await cli(['migrate', '--json', ...store])
  assert.equal(again, { code: 0, stdout: '{"applied":[]}\n', stderr: '' })
})

test('append: one event, with version and id; a conflict is one line', async () => {
  const id = '0190a8c0-0000-7000-8000-000000000001'
  const words = [
    'append',
    'order',
    '42',
    'OrderPlaced',
    '{"price": 9}',
    '--expected-version',
    'no-stream',
    ...store,
  ]
  const first = await cli(words)
  assert.equal(first, { code: 0, stdout: 'appended order/42@0 OrderPlaced at position 1\n', stderr: '' })
  assert.equal(await cli(words), {
    code: 1,
    stdout: '',
    stderr: 'meowmx: stream "order/42" is at version 0, expected no-stream\n',
  })
  const withId = [
    'append',
    'order',
    '42',
    'OrderShipped',
    '--id',
    id,
    '--metadata',
    '{"by": "ann"}',
    ...store,
  ]
  assert.is((await cli(withId)).stdout, 'appended order/42@1 OrderShipped at position 2\n')
  const [{ deduplicated, events, version, position }] = parsed((await cli([...withId, '--json'])).stdout)
  assert.equal([deduplicated, version, position], [true, 1, 2])
  assert.equal([events[0].id, events[0].data, events[0].metadata], [id, null, { by: 'ann' }])
})

test('append: data, the events of a stream, or any events from stdin', async () => {
  const input = '{"type":"A","data":[1]}\n\n{"type":"B","data":"b"}'
  const data = await cli(['append', 'stdin', '1', 'T', '-', ...store], { input: '{"from":\n"stdin"}' })
  assert.is(data.stdout, 'appended stdin/1@0 T at position 3\n')
  const stream = await cli(['append', 'stdin', '1', '-', '--expected-version', '0', ...store], { input })
  assert.is(stream.stdout, 'appended stdin/1@1 A at position 4\nappended stdin/1@2 B at position 5\n')
  const line = (streamId: string, more: object = {}) =>
    `${JSON.stringify({ category: 'many', streamId, type: 'T', data: 0, ...more })}\n`
  const lines = [
    line('a', { expectedVersion: 'no-stream' }),
    line('b', { metadata: { m: 1 } }),
    line('a', { expectedVersion: 0 }),
  ]
  const many = await cli(['append', '-', ...store], {
    input: `${lines.join('')}{"category": "many"\n${line('never')}`,
  })
  assert.is(many.code, 2)
  assert.match(many.stderr, /^line 4 failed.*\nmeowmx: line 4 is not JSON: .+\n$/)
  const said = many.stdout.split('\n').map((text) => text.replace(/\d+$/, ''))
  assert.equal(said.sort(), [
    '',
    'appended many/a@0 T at position ',
    'appended many/a@1 T at position ',
    'appended many/b@0 T at position ',
  ])
})

test('write fills streams and says how fast; SIGTERM ends it with exit code 143, after it has printed everything', async () => {
  const category = uniqueName('write')
  const words = [
    '--event-types',
    'Opened,Closed',
    '--percent-new',
    '10',
    '--max-length',
    '5',
    '--count',
    '300',
  ]
  const { code, stdout, stderr } = await cli(['write', '--category', category, ...words, '--json', ...store])
  const [{ events, streams, perSecond }] = parsed(stdout)
  assert.equal([code, events], [0, 300])
  assert.ok(perSecond > 0)
  assert.match(stderr, /^[\d,]+ events a second\n$/)
  const meow = await openStore({ schema })
  const written = (await meow.read({ category }, { limit: 1_000 })).events
  const lengths = new Map<string, number>()
  for (const { streamId } of written) lengths.set(streamId, (lengths.get(streamId) ?? 0) + 1)
  assert.equal([written.length, lengths.size, Math.max(...lengths.values())], [300, streams, 5])
  assert.equal([...new Set(written.map(({ type }) => type))].sort(), ['Closed', 'Opened'])
  const endless = startCli(['write', '--category', category, ...store])
  const from = { after: written.at(-1)!.position }
  for await (const event of meow.iterate({ category }, { from })) if (event) break
  endless.child.kill('SIGTERM')
  const end = await endless.ended
  assert.is(end.code, 143)
  assert.match(end.stdout, /^[\d,]+ events in [\d,]+ streams of write_\w+\n$/)
  const told = Number(end.stdout.split(' ')[0]!.replaceAll(',', ''))
  const all = (await meow.categories()).find((one) => one.category === category)!
  assert.is(all.events, 300 + told)
})

test.run()
