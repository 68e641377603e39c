/**
 * Runs the tests: `npm test`, or some of them, after a build:
 * `node --import ./test/support/typescript.js test/run.ts [parts of file names] [--jobs 3] [--timeout-ms 300000] [--dir test] [--no-server]`.
 * A few processes at once (one more than there are cores, 4 at most; two more while the processors have time) run one file
 * after another, against one server, whose address is in DATABASE_URL. With `--dir`, each file has a process of its own.
 * Tags in the comment that is a file's first line: `@alone`: has a process of its own; `@serial`: runs when no other does,
 * after the others; `@long`: takes more than a minute on a loaded machine, so it begins before the others; `@push`, `@direct`:
 * skipped if nobody listens, or if everything goes through a pooler (support/ways.ts). The last line is
 * `N passed, N failed, N skipped`; the exit code is 0 only if at least one test passed and none failed.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { bundle } from './support/bundle.ts'
import { idleShare } from './support/idle.ts'
import { runFile } from './support/run-file.ts'
import { testServer } from './support/server.ts'
import { WarmProcess } from './support/warm-process.ts'
import { obstacleOf } from './support/ways.ts'

const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: import.meta.dirname },
    // Tests wait more than they work; all share one server, which has 100 connections.
    jobs: { type: 'string', default: `${Math.min(availableParallelism() + 1, 4)}` },
    'timeout-ms': { type: 'string', default: '300000' },
    'no-server': { type: 'boolean', default: false },
  },
})
/** More processes, which begin a file only if so much of the processors' time is not used. */
const EXTRA_JOBS = 2
const SPARE = 0.4

const dir = resolve(options.dir)
const isProject = dir === import.meta.dirname
const total = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []
const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => interrupt.abort())

try {
  const files = findFiles()
  if (files.length === 0)
    throw new Error(`no test file in ${dir} matches ${filters.join(' ') || '*.test.ts'}`)
  const server = options['no-server'] ? undefined : await testServer()
  if (server) process.env.DATABASE_URL = server.connectionString
  // A few files are done sooner without it, and c8 measures the files of src/.
  if (isProject && files.length > 10 && !process.env.NODE_V8_COVERAGE) await bundle(files.filter(isAlone))
  try {
    const serial = files.filter((file) => hasTag(file, 'serial'))
    const isLong = (file: string) => hasTag(file, 'long')
    const others = files.filter((file) => !serial.includes(file))
    const [long, short] = [others.filter(isLong), others.filter((file) => !isLong(file))]
    await runAll([...long, ...short], positive('jobs'))
    await runAll(serial, 1)
  } finally {
    await server?.stop()
  }
  if (interrupt.signal.aborted) throw new Error('interrupted')
} catch (error) {
  total.failed++
  console.error(error)
}
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
// Once more, together: whoever keeps a long log may have kept its end only.
if (failures.length > 0) console.log(`\nWhat failed:\n${failures.join('\n')}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)

function findFiles(): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !/^(bench|faults-long)\b/.test(name))
    .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
    .sort()
    .map((name) => join(dir, name))
}

function hasTag(file: string, tag: string): boolean {
  return new RegExp(`^// .*@${tag}\\b`).test(readFileSync(file, 'utf8'))
}

function isAlone(file: string): boolean {
  return hasTag(file, 'alone')
}

async function runAll(files: string[], jobs: number): Promise<void> {
  const queue = [...files]
  const worker = async (_: unknown, number: number) => {
    const env = databaseOf(number)
    const warm = isProject ? new WarmProcess(env) : undefined
    for (;;) {
      // Files mostly wait, and now and then all of them do.
      while (number >= jobs && queue.length > 0 && (await idleShare()) < SPARE) {}
      const file = queue.shift()
      if (!file || interrupt.signal.aborted) break
      await runOne(file, env, warm)
    }
    const open = await warm?.end()
    if (open) {
      total.failed++
      fail('a process of several files', open)
    }
  }
  const extra = isProject && jobs > 1 && !process.env.MEOWMX_TEST_DATABASES ? EXTRA_JOBS : 0
  await Promise.all(Array.from({ length: jobs + extra }).map(worker))
}

/** Through a pooler, files that run at once have the database under a name of their own. */
function databaseOf(worker: number): Record<string, string> {
  const names = process.env.MEOWMX_TEST_DATABASES?.split(',')
  if (!names) return {}
  const url = new URL(process.env.DATABASE_URL!)
  url.pathname = names[worker % names.length]!
  return { DATABASE_URL: url.href }
}

async function runOne(
  file: string,
  env: Record<string, string>,
  warm: WarmProcess | undefined,
): Promise<void> {
  const begin = Date.now()
  const name = relative(dir, file).split(sep).join('/')
  const obstacle = obstacleOf(readFileSync(file, 'utf8'))
  if (obstacle) {
    total.skipped++
    return console.log(`skip ${name}: ${obstacle}`)
  }
  const [timeoutMs, { signal }] = [positive('timeout-ms'), interrupt]
  const result =
    warm && !isAlone(file)
      ? await warm.run(file, timeoutMs, signal)
      : await runFile(file, timeoutMs, signal, env)
  total.passed += result.passed
  total.failed += result.failed
  total.skipped += result.skipped
  const counts = `${result.passed} passed${result.skipped ? `, ${result.skipped} skipped` : ''}`
  const seconds = ((Date.now() - begin) / 1000).toFixed(1)
  const cpu = result.cpuSeconds === undefined ? '' : `, ${result.cpuSeconds.toFixed(1)} s of CPU`
  console.log(`${result.reason ? 'FAIL' : 'ok  '} ${name}: ${counts} (${seconds} s${cpu})`)
  for (const [line] of result.output.matchAll(/^skipped: .*$/gm)) console.log(`     ${line}`)
  if (!result.reason) return
  const report = `     ${result.reason}\n${result.output.trimEnd().replace(/^/gm, '     ')}`
  fail(name, report)
}

function fail(name: string, report: string): void {
  console.log(report)
  failures.push(`${name}\n${report}`)
}

function positive(name: 'jobs' | 'timeout-ms'): number {
  const value = Number(options[name])
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a positive integer, got ${options[name]}`)
}
