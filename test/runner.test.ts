// @direct
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { typescript } from './support/typescript.ts'
import { until } from './support/until.ts'

const runner = suite('test runner: never green by accident')
const root = resolve(import.meta.dirname, '..')
const good = "test('good', () => {})\ntest.run()"

/** Runs the runner over files that all begin with the import of uvu. */
async function run(files: Record<string, string>, environment: NodeJS.ProcessEnv, ...args: string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'meowmx-runner-'))
  try {
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
    writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
    for (const [name, source] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, 'test', name)), { recursive: true })
      const [directive, body] = source.startsWith('// @') ? source.split(/\n(.*)/s) : ['', source]
      writeFileSync(join(dir, 'test', name), `${directive}\nimport { suite, test } from 'uvu'\n${body}\n`)
    }
    const command = [...typescript, join(root, 'test/run.ts'), '--dir', join(dir, 'test'), ...args]
    const env = { ...process.env, ...environment }
    return await new Promise<{ code: number; out: string; last: string }>((done) => {
      execFile(process.execPath, command, { cwd: root, env, timeout: 60_000 }, (error, stdout, stderr) => {
        const code = error ? Number(error.code ?? -1) : 0
        done({ code, out: stdout + stderr, last: stdout.trimEnd().split('\n').at(-1)! })
      })
    })
  } finally {
    rmSync(dir, { recursive: true })
  }
}

const runAlone = (files: Record<string, string>, ...args: string[]) => run(files, {}, '--no-server', ...args)

/** Each lets uvu itself end with exit code 0, or never end. The counts are [passed, failed], by default [0, 1]. */
const traps: Record<string, { source: string; reason: RegExp; counts?: [number, number] }> = {
  'a failing test': {
    source: `test('bad', () => { throw new Error('no') })\n${good}`,
    reason: /1 of 2 tests/,
    counts: [1, 1],
  },
  'a throwing before': {
    source: `test.before(() => { throw new Error('no') })\n${good}`,
    reason: /1 of 1 tests/,
  },
  'a throwing after': {
    source: `test.after(() => { throw new Error('no') })\n${good}`,
    reason: /did not finish/,
  },
  'a throwing before each': {
    source: `test.before.each(() => { throw new Error('no') })\n${good}`,
    reason: /1 of 1 tests/,
  },
  'a throwing after each': {
    source: `test.after.each(() => { throw new Error('no') })\n${good}`,
    reason: /1 of 1 tests/,
  },
  'a thrown string': {
    source: `test('bad', () => { throw 'text' })\n${good}`,
    reason: /2 of 2 tests/,
    counts: [0, 2],
  },
  'a forgotten run': { source: "test('never', () => {})", reason: /test\.run\(\) is missing/ },
  'a forgotten run of one suite': {
    source: `const other = suite('other')\n${good}`,
    reason: /other\.run\(\) is missing/,
  },
  'a test after run': { source: `${good}\ntest('late', () => {})`, reason: /tests after test\.run\(\)/ },
  'a second run, later': {
    source: `${good}\nawait new Promise((done) => setTimeout(done, 50))\n${good}`,
    reason: /more than once/,
    counts: [1, 1],
  },
  'a stray only': { source: `test${'.only'}('one', () => {})\n${good}`, reason: /\.only on line 3/ },
  'no test at all': { source: 'test.run()', reason: /no tests/ },
  'a syntax error': { source: `${good}\n}{`, reason: /did not finish; exit code 1/ },
  'an early exit': { source: `test('exit', () => process.exit(0))\n${good}`, reason: /did not finish/ },
  'an exit code': {
    source: `process.on('exit', () => { process.exitCode = 3 })\n${good}`,
    reason: /exit code 3/,
    counts: [1, 1],
  },
  'a rejection that nobody handles': {
    source: `test('bad', () => void Promise.reject(new Error('no')))\n${good}`,
    reason: /exit code 1/,
    counts: [2, 1],
  },
  'a promise that never settles': {
    source: `test('bad', () => new Promise(() => {}))\n${good}`,
    reason: /did not finish/,
  },
  'a crash': {
    source: `test('bad', () => process.kill(process.pid, 'SIGKILL'))\n${good}`,
    reason: /ended by SIGKILL/,
  },
}

let trapped: ReturnType<typeof run> | undefined
for (const [name, { reason, counts: [passed] = [0] }] of Object.entries(traps)) {
  runner(`catches ${name}`, async () => {
    trapped ??= runAlone(
      Object.fromEntries(Object.entries(traps).map(([key, trap]) => [`${key}.test.ts`, trap.source])),
    )
    const report = (await trapped).out
      .split(/^(?=FAIL|ok)/m)
      .find((part) => part.startsWith(`FAIL ${name}.test.ts:`))
    assert.match(report ?? '', reason)
    assert.match(report ?? '', `: ${passed} passed (`)
  })
}

runner('adds up what failed', async () => {
  const counts = Object.values(traps).map((trap) => trap.counts ?? [0, 1])
  const [passed, failed] = [0, 1].map((index) => counts.reduce((sum, count) => sum + count[index]!, 0))
  const { last, code } = await trapped!
  assert.is(last, `${passed} passed, ${failed} failed, 0 skipped`)
  assert.is(code, 1)
})

runner('is red by one failing file', async () => {
  const result = await runAlone({ 'good.test.ts': good, 'bad.test.ts': traps['a throwing before']!.source })
  assert.is(result.last, '1 passed, 1 failed, 0 skipped')
  assert.is(result.code, 1)
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

runner('kills a file that hangs, and all that it started', async () => {
  const hang = `import { spawn } from 'node:child_process'
console.log('pid', spawn('sleep', ['300'], { stdio: 'inherit' }).pid)
setInterval(() => {}, 1000)\n${good}`
  const result = await runAlone({ 'hang.test.ts': hang, 'good.test.ts': good }, '--timeout-ms', '8000')
  assert.match(result.out, /FAIL hang.test.ts: 1 passed.*\n.*still running after 8000 ms/)
  assert.match(
    result.out,
    /What failed:\nhang.test.ts\n.*still running[\s\S]*\n2 passed, 1 failed/,
    'at the end',
  )
  assert.is(result.last, '2 passed, 1 failed, 0 skipped')
  assert.is(result.code, 1)
  const sleep = Number(/pid (\d+)/.exec(result.out)![1])
  await until(() => !isAlive(sleep), { what: 'the end of what the file had started' })
})

runner('is green where all pass, and counts what is skipped', async () => {
  const files = { 'a.test.ts': good, 'deep/b.test.ts': `test.skip('later', () => {})\n${good}` }
  const result = await runAlone({
    ...files,
    'bench/c.test.ts': 'throw 1',
    'faults-long/d.test.ts': 'throw 1',
  })
  assert.is(result.last, '2 passed, 0 failed, 1 skipped')
  assert.is(result.code, 0, result.out)
})

runner('is red where nothing ran', async () => {
  for (const files of [{ 'a.test.ts': 'test.skip("later")\ntest.run()' }, { 'no-test.ts': '' }]) {
    const result = await runAlone(files)
    assert.match(result.last, /^0 passed, [01] failed, [01] skipped$/)
    assert.is(result.code, 1)
  }
  const filtered = await runAlone({ 'a.test.ts': good }, 'b.test')
  assert.is(filtered.last, '0 passed, 1 failed, 0 skipped')
})

runner('is red where the server does not start', async () => {
  const result = await run(
    { 'a.test.ts': good },
    { DATABASE_URL: '', MEOWMX_PG: 'embedded', PATH: '/nowhere' },
  )
  assert.match(result.out, /PostgreSQL/)
  assert.is(result.last, '0 passed, 1 failed, 0 skipped')
  assert.is(result.code, 1)
})

runner('begins with files marked @long', async () => {
  const files = { 'a.test.ts': good, 'z.test.ts': `// @direct @long\n${good}` }
  const { out } = await runAlone(files, '--jobs', '1')
  assert.match(out, /ok +z\.test\.ts(.|\n)*ok +a\.test\.ts/)
})

runner('runs files marked @serial alone, after the others', async () => {
  const files: Record<string, string> = {}
  const log = `import { appendFileSync } from 'node:fs'
test('logs', async () => {
  appendFileSync(new URL('../log', import.meta.url), '<')
  await new Promise((done) => setTimeout(done, 200))
  appendFileSync(new URL('../log', import.meta.url), '>')
})
test.run()`
  for (const name of ['a', 'b']) files[`${name}.test.ts`] = `// @serial\n${log}`
  files['z.test.ts'] = `import { readFileSync } from 'node:fs'
import { existsSync } from 'node:fs'
test('nothing ran before', () => { if (existsSync(new URL('../log', import.meta.url))) throw new Error('late') })
test.run()`
  files['zz.test.ts'] = `// @serial
import { readFileSync } from 'node:fs'
test('one after the other', () => {
  const order = readFileSync(new URL('../log', import.meta.url), 'utf8')
  if (order !== '<><>') throw new Error(order)
})
test.run()`
  const result = await runAlone(files, '--jobs', '3')
  assert.is(result.last, '4 passed, 0 failed, 0 skipped', result.out)
})

runner.run()
