// If pg lacks something that our own queries need, all queries run as queries of pg, and a store works the same way.
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { databaseUrl, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'

const script = new URL('./support/plain-query.ts', import.meta.url).pathname

/** How many queries were ours and how many pg's own, while a store was used; and what came of it. */
function use(...preload: string[]) {
  const { stdout, stderr } = spawnSync(process.execPath, [...preload, ...program(script)], {
    encoding: 'utf8',
    env: { ...process.env, DATABASE_URL: databaseUrl(), SCHEMA: uniqueName('plain') },
  })
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(stderr)
  }
}

const plain = new URL('./support/plain.js', import.meta.url).href
const expected = { versions: [0, 1, 2], seen: [0, 1, 2], handled: [0, 1, 2], error: 'VersionConflictError' }

test('pg as it is: almost all queries of a store are ours', () => {
  const { ours, ofPg, ...results } = use()
  assert.equal(results, expected)
  assert.ok(ours > ofPg, `${ours} of ours, ${ofPg} of pg`)
})

test('pg without a part that our queries need: no query is ours', () => {
  const { ours, ofPg, ...results } = use('--import', plain)
  assert.equal(results, expected)
  assert.is(ours, 0)
  assert.ok(ofPg > 10, `${ofPg}`)
})

test.run()
