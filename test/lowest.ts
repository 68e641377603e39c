/**
 * Runs the tests with the lowest version of each peer that package.json allows, and of what pg brings: `npm run test:lowest
 * [-- what test/run.ts takes]`. A copy of the project gets them, in a folder that is removed in the end, or kept and used
 * again where MEOWMX_LOWEST_DIR names one. The server is PostgreSQL 14, the oldest that is supported.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { follow, inFolder, npm } from './support/keep.ts'
import { lowestOf, lowestPeers } from './support/lowest.ts'
import { typescript } from './support/typescript.ts'

const root = resolve(import.meta.dirname, '..')
const LEFT_OUT = ['node_modules', '.git', 'coverage']

await inFolder('MEOWMX_LOWEST_DIR', async (folder) => {
  cpSync(root, folder, {
    recursive: true,
    filter: (path) => !LEFT_OUT.includes(relative(root, path).split(sep)[0]!),
  })
  const lowest = lowestPeers()
  const ofPg: Record<string, string> = JSON.parse(
    npm(folder, 'view', `pg@${lowest.pg}`, 'dependencies', '--json'),
  )
  const overrides = Object.fromEntries(
    Object.entries(ofPg)
      .filter(([, range]) => range.startsWith('^'))
      .map(([name, range]) => [name, lowestOf(range)]),
  )
  const path = join(folder, 'package.json')
  const manifest = JSON.parse(readFileSync(path, 'utf8'))
  manifest.devDependencies = { ...manifest.devDependencies, ...lowest }
  manifest.overrides = overrides
  writeFileSync(path, JSON.stringify(manifest, null, 2))
  const names = Object.entries({ ...lowest, ...overrides }).map(([name, version]) => `${name}@${version}`)
  console.log(`installing ${names.join(', ')}`)
  npm(folder, 'install', '--ignore-scripts', '--no-audit', '--no-fund')
  const { DATABASE_URL, ...env } = process.env
  const { ok } = await follow(
    process.execPath,
    [...typescript, join(folder, 'test/run.ts'), ...process.argv.slice(2)],
    { cwd: folder, env: { ...env, MEOWMX_PG: 'embedded' } },
  )
  if (!ok) process.exitCode = 1
})
