// The process that runs one test file after another is never green by accident: it judges each file by itself, and goes on
// after one that crashes or hangs.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WarmProcess } from './support/warm-process.ts'

const dir = mkdtempSync(join(tmpdir(), 'meowmx-warm-'))
symlinkSync(resolve(import.meta.dirname, '../node_modules'), join(dir, 'node_modules'))
writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
test.after(() => rmSync(dir, { recursive: true }))

const { signal } = new AbortController()
const good = "test('good', () => {})\ntest.run()"

/** Runs files with these texts, after an import of uvu, in one process. Returns the result of each file, and of the end. */
async function run(texts: readonly string[], { timeoutMs = 60_000, endsWithinMs = 30_000 } = {}) {
  const warm = new WarmProcess({ GIVEN: 'yes' })
  const results = []
  for (const [index, text] of texts.entries()) {
    const file = join(dir, `${Date.now()}-${index}.test.ts`)
    writeFileSync(file, `import { suite, test } from 'uvu'\nimport * as assert from 'uvu/assert'\n${text}\n`)
    // The limit is that of the first file, which tries to go beyond it.
    results.push(await warm.run(file, index === 0 ? timeoutMs : 60_000, signal))
  }
  return { results, end: await warm.end(endsWithinMs) }
}

test('each file has its own result and output, in the same process', async () => {
  const say = "test('says', () => console.log('pid', process.pid))\ntest.run()"
  const bad = "test('bad', () => { throw new Error('no') })"
  const { results, end } = await run([say, `${bad}\n${good}`, say])
  assert.equal(
    results.map(({ passed, failed, reason }) => ({ passed, failed, reason })),
    [
      { passed: 1, failed: 0, reason: undefined },
      { passed: 1, failed: 1, reason: '1 of 2 tests did not pass; exit code 1' },
      { passed: 1, failed: 0, reason: undefined },
    ],
  )
  const [first, second, third] = results.map(({ output }) => /pid \d+/.exec(output)?.[0])
  assert.ok(first)
  assert.is(second, undefined)
  assert.is(third, first)
  assert.not.match(results.map(({ output }) => output).join(''), 'end of file')
  assert.is(end, undefined)
})

test('the environment of a file is that of the first', async () => {
  const change = "test('changes', () => { process.env.GIVEN = 'no'; process.env.MORE = '1' })\ntest.run()"
  const look =
    "test('looks', () => assert.equal([process.env.GIVEN, process.env.MORE], ['yes', undefined]))\ntest.run()"
  const { results } = await run([change, look])
  assert.equal(
    results.map(({ reason }) => reason),
    [undefined, undefined],
  )
})

const broken: Record<string, { text: string; reason: RegExp; timeoutMs?: number }> = {
  'a crash': {
    text: `test('bad', () => process.kill(process.pid, 'SIGKILL'))\n${good}`,
    reason: /did not finish; ended by SIGKILL/,
  },
  'an early exit': { text: `test('bad', () => process.exit(0))\n${good}`, reason: /did not finish/ },
  'a hang': {
    text: `setInterval(() => {}, 1000)\ntest('bad', () => new Promise(() => {}))\n${good}`,
    reason: /still running after 8000 ms/,
    timeoutMs: 8_000,
  },
  'a promise that never settles': {
    text: `test('bad', () => new Promise(() => {}))\n${good}`,
    reason: /did not finish/,
  },
  'a rejection that nobody handles': {
    text: "test('bad', async () => { Promise.reject(new Error('no')); await new Promise(() => {}) })\ntest.run()",
    reason: /exit code 1/,
  },
  'a throwing after': {
    text: `test.after(() => { throw new Error('no') })\n${good}`,
    reason: /did not finish/,
  },
  'a syntax error': { text: `${good}\n}{`, reason: /did not finish/ },
  'a forgotten run': { text: "test('never', () => {})", reason: /test\.run\(\) is missing/ },
}
for (const [name, { text, reason, timeoutMs = 60_000 }] of Object.entries(broken))
  test(`${name} fails its file, and the next one runs`, async () => {
    const { results } = await run([text, good], { timeoutMs })
    assert.match(results[0]!.reason ?? '', reason)
    assert.is(results[0]!.failed, 1)
    assert.is(results[1]!.reason, undefined)
    assert.is(results[1]!.passed, 1)
  })

test('what a file leaves open is reported at the end', async () => {
  const { results, end } = await run([`setInterval(() => {}, 1000)\n${good}`], { endsWithinMs: 500 })
  assert.is(results[0]!.reason, undefined)
  assert.match(end ?? '', /keeps their process running/)
})

test.run()
