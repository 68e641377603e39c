// @direct
// The command meowmx: export and import copy a store as it is, whatever interrupts them.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { cli, parsed, startCli } from './support/cli.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const copySchema = uniqueName('copy')
const [from, to] = [
  ['--schema', storeSchema],
  ['--schema', copySchema],
]
const meow = await openStore()
const copy = await openStore({ schema: copySchema })
const sql = await pgClient()
const dir = mkdtempSync(join(tmpdir(), 'meowmx-cli-'))
const file = join(dir, 'events.ndjson')
test.after(async () => {
  await closeAll()
  rmSync(dir, { recursive: true })
})

const all = async (store: Meow) => (await store.read({}, { limit: 100_000 })).events
const withoutPosition = async (store: Meow) => (await all(store)).map(({ position, ...event }) => event)

test('export: an existing file is continued after its last complete line', async () => {
  for (let n = 0; n < 300; n++) {
    void meow.append({ category: `c${n % 3}`, streamId: `${n % 7}` }, [
      { type: 'T', data: { n, text: 'é\u2028\n"\\' }, metadata: { n } },
      { type: 'U', data: null },
    ])
  }
  await meow.append({ category: 'last', streamId: '1' }, { type: 'T', data: 1 })
  const first = await cli(['export', file, ...from])
  assert.equal(first, { code: 0, stdout: '', stderr: `601 events exported to ${file}\n` })
  assert.equal(parsed(readFileSync(file, 'utf8')), JSON.parse(JSON.stringify(await all(meow))))

  const whole = readFileSync(file)
  truncateSync(file, whole.length - 50) // as kill -9 leaves it
  const { position } = await meow.append({ category: 'late', streamId: '1' }, { type: 'T', data: 2 })
  const second = await cli(['export', file, ...from])
  const behind = (await all(meow)).at(-3)!.position
  assert.is(second.stderr, `2 events exported to ${file}, after those up to position ${behind}\n`)
  const lines = parsed(readFileSync(file, 'utf8'))
  assert.equal([lines.length, lines.at(-1).position], [602, position])
  assert.ok(readFileSync(file).subarray(0, whole.length).equals(whole))

  const other = join(dir, 'other')
  writeFileSync(other, 'precious\nthings')
  const refused = await cli(['export', other, ...from])
  assert.is(refused.code, 2)
  assert.match(refused.stderr, /does not end with an exported event/)
  assert.is(readFileSync(other, 'utf8'), 'precious\nthings')
})

test('what JavaScript would round, or PostgreSQL keeps in its own form, is copied to the character', async () => {
  const data = '{"n": 12345678901234567890.10, "z":\n 1e400, "s": "\\u0000\\ud800"}'
  await sql.query(
    `insert into ${storeSchema}.events (version, category, stream_id, type, data) values (0, 'raw', '1', 'T', $1)`,
    [data],
  )
  const raw = join(dir, 'raw')
  await cli(['export', raw, '--category', 'raw', ...from])
  assert.match(
    readFileSync(raw, 'utf8'),
    /"data":\{"n": 12345678901234567890\.10, "z": {2}1e400, "s": "\\u0000\\ud800"\},/,
  )
  const imported = await cli(['import', raw, ...to])
  assert.equal(imported, { code: 0, stdout: '1 event written, 0 were already there\n', stderr: '' })
  const { rows } = await sql.query(`select data::text from ${copySchema}.events where category = 'raw'`)
  assert.is(rows[0].data, data.replace('\n', ' '))
})

test('import: ids, versions, times and order are kept; killed and run again, it goes on; a second time writes nothing', async () => {
  const importing = startCli(['import', ...to])
  const lines = readFileSync(file, 'utf8').split('\n')
  importing.child.stdin!.write(`${lines.slice(0, 100).join('\n')}\n${lines[100]!.slice(0, 20)}`)
  importing.child.kill('SIGKILL')
  await importing.ended
  const waiting = startCli(['import', ...to])
  const more = { category: 'more', streamId: '1', type: 'T', data: 1 }
  waiting.child.stdin!.write(`${JSON.stringify(more)}\n`.repeat(1_000)) // a whole batch
  const seen = async () => (await copy.read({ category: 'more' }, { limit: 1 })).events.length > 0
  await until(seen, { timeoutMs: 30_000, what: 'the batch' })
  waiting.child.kill('SIGINT') // while it waits for more
  const interrupted = await waiting.ended
  assert.equal([interrupted.code, interrupted.stdout], [130, '1,000 events written, 0 were already there\n'])
  const { code, stdout } = await cli(['import', file, '--json', ...to])
  const [{ written, known }] = parsed(stdout)
  assert.equal([code, written + known], [0, 602])
  const expected = (await withoutPosition(meow)).filter(({ category }) => category !== 'raw')
  assert.equal(
    (await withoutPosition(copy)).filter(({ category }) => !['raw', 'more'].includes(category)),
    expected,
  )
  appendFileSync(file, `${JSON.stringify({ category: 'new', streamId: '1', type: 'T', data: 1 })}\n`)
  const again = await cli(['import', file, ...to])
  assert.equal(again, { code: 0, stdout: '1 event written, 602 were already there\n', stderr: '' })
})

test('import: an error names the line and the remedy; --renumber accepts a part of a stream', async () => {
  const input = (...events: object[]) => events.map((event) => JSON.stringify(event)).join('\n')
  const part = { category: 'part', streamId: '1', type: 'T', data: 1, version: 7 }
  const id = (await all(copy))[5]!.id
  const [gap, other, noType] = await Promise.all([
    cli(['import', ...to], { input: input(part) }),
    cli(['import', ...to], { input: input({ ...part, version: 0 }, { ...part, id, version: 1 }) }),
    cli(['import', ...to], { input: input({ category: 'part', streamId: '1', data: 1 }) }),
  ])
  assert.equal([gap.code, other.code, noType.code], [1, 1, 2])
  assert.match(
    gap.stderr,
    /line 1 to line 1: version 7 of stream "1" of category "part" does not follow .*--renumber/,
  )
  assert.match(other.stderr, /line 2: an event with this id is already in the store, with another stream/)
  assert.match(noType.stderr, /meowmx: line 1 has no type: /)
  assert.is((await copy.read({ category: 'part' })).events.length, 0)
  const renumbered = await cli(['import', '--renumber', ...to], {
    input: input(part, { ...part, version: 9 }),
  })
  assert.is(renumbered.stdout, '2 events written, 0 were already there\n')
  assert.equal(
    (await copy.read({ category: 'part' })).events.map(({ version }) => version),
    [0, 1],
  )
})

test('tags are copied with their events, and select there, too', async () => {
  const stream = { category: uniqueName('tagged'), streamId: '1' }
  const tag = uniqueName('t')
  await meow.append(stream, [
    { type: 'A', data: 1, tags: [tag, 'é"'], metadata: { by: 'me' } },
    { type: 'B', data: 2 },
  ])
  const tagged = join(dir, 'tagged')
  assert.is((await cli(['export', tagged, '--tags', tag, ...from])).code, 0)
  assert.is(parsed(readFileSync(tagged, 'utf8')).length, 1)
  const whole = join(dir, 'whole')
  assert.is((await cli(['export', whole, '--category', stream.category, ...from])).code, 0)
  assert.is((await cli(['import', whole, ...to])).code, 0)
  const { events } = await copy.query({ tags: [tag] })
  assert.equal(
    events.map(({ type, tags, metadata }) => [type, tags, metadata]),
    [['A', [tag, 'é"'].toSorted(), { by: 'me' }]],
  )
  assert.is((await copy.load(stream)).length, 2)
  for (const [line, problem] of [
    [{ tags: [''] }, /line 1 is refused .*tags/],
    [{ tags: 'x' }, /line 1 is refused .*tags/],
    [{ metadata: { $tags: ['x'] } }, /line 1 is refused .*\$tags/],
  ] as const) {
    const bad = join(dir, 'bad')
    writeFileSync(bad, `${JSON.stringify({ ...stream, type: 'A', data: 1, ...line })}\n`)
    assert.match((await cli(['import', bad, ...to])).stderr, problem)
  }
})

test.run()
