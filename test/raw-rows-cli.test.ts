// @direct @long
// The command and the studio show and copy what plain SQL has inserted, at the edges of every column's type, as it is stored.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { jsonText } from '../src/core/json-text.ts'
import type { RecordedEvent } from '../src/index.ts'
import { startStudio } from '../src/studio/index.ts'
import { cli, parsed, startCli } from './support/cli.ts'
import { deep, type Raw } from './support/raw-rows.ts'
import { RawStore, same, seen } from './support/raw-store.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { ask } from './support/studio.ts'

const raw = new RawStore(uniqueName('raw'))
const copySchema = uniqueName('copy')
const dir = mkdtempSync(join(tmpdir(), 'meowmx-raw-'))
const meow = await openStore({ schema: raw.schema, listen: false })
const sql = await pgClient()
let rows: Raw[]
test.before(async () => {
  await openStore({ schema: copySchema, listen: false })
  rows = await raw.fill(sql)
})
test.after(async () => {
  await closeAll()
  rmSync(dir, { recursive: true })
})

test('export and import copy data and metadata to the character', async () => {
  const file = join(dir, 'events.ndjson')
  const mine = [
    '--types',
    [...new Set(rows.map(({ type }) => type))].filter((type) => /^[A-Za-z_]+$/.test(type)).join(','),
  ]
  const exported = await cli(['export', file, ...mine, '--category', 'raw', '--schema', raw.schema])
  assert.is(exported.code, 0, exported.stderr)
  const imported = await cli(['import', file, '--renumber', '--schema', copySchema])
  assert.is(imported.code, 0, imported.stderr)
  const stored = async (of: string, types: string) =>
    (
      await sql.query(
        `select id, translate(data::text, E'\\r\\n', '  ') as data, trim(translate(metadata::text, E'\\r\\n', '  '), E' \\t') as metadata, recorded_at::text
         from ${of}.events where category = 'raw' and type ~ '^[A-Za-z_]+$' ${types} order by position`,
      )
    ).rows.map((row) => ({ ...row, data: row.data.trim() }))
  assert.equal(await stored(copySchema, ''), await stored(raw.schema, ''))
})

test('the command and the studio show what is stored, also in a store that was restored', async () => {
  await raw.restore(sql)
  const wanted = (await meow.read({}, { limit: 10_000 })).events.map(seen)
  const of = ['--schema', raw.schema]
  const revived = (lines: any[]) => lines.map((line) => ({ ...line, recordedAt: new Date(line.recordedAt) }))
  const json = await cli(['read', '--json', ...of])
  assert.is(json.code, 0, json.stderr)
  same(revived(parsed(json.stdout)), wanted, 'read --json')
  const plain = await cli(['read', ...of])
  assert.equal([plain.code, plain.stdout.split('\n').length - 1], [0, wanted.length], plain.stderr)
  // With indentation, the event that is 6,000 levels deep alone is 70 MB.
  const { position, id } = parsed(json.stdout).find(({ data }) => jsonText(data) === deep(6_000))
  const pretty = await cli(['read', '--pretty', '--after', `${position - 1}`, '--to', `${position}`, ...of])
  assert.is(pretty.code, 0, pretty.stderr)
  assert.ok(pretty.stdout.includes(id) && pretty.stdout.split('\n').length > 12_000)
  const exported = await cli(['export', ...of])
  assert.is(exported.code, 0, exported.stderr)
  // An export has metadata as it is stored, even if that is not an object.
  const isObject = (value: unknown) => jsonText(value).startsWith('{')
  const lines = revived(parsed(exported.stdout)).map((line) => ({
    ...line,
    metadata: isObject(line.metadata) ? line.metadata : {},
  }))
  same(lines, wanted, 'export')

  const name = uniqueName('worker')
  const worker = startCli(['worker', name, '--category', 'raw', '--once', '--exec', 'cat', ...of])
  worker.child.stdin!.end()
  const ran = await worker.ended
  assert.is(ran.code, 0, ran.stderr)
  const raws = wanted.filter(({ stream }) => stream.startsWith('raw/'))
  same(revived(parsed(ran.stdout)), raws, 'worker', true)

  const studio = await startStudio(meow)
  for (const { category, streamId, version } of revived(parsed(json.stdout)) as RecordedEvent[]) {
    if (version % 10 > 0) continue
    const query = new URLSearchParams({ category, streamId, version: String(version) })
    const answer = await ask(studio, `/api/stream?${query}`)
    assert.equal([answer.status, answer.json?.version], [200, version], answer.body)
  }
  await studio.close()
})

test.run()
