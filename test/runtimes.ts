/**
 * Runs the tests on each Node.js that is supported: `npm run test:runtimes [-- 22 24 bun] [what test/run.ts takes]`; by default
 * the least version that package.json allows, the newest 20, 22, 24 and 26, and on Bun and Deno one program that uses
 * everything (test/bundlers/program.js). They come from npm into a folder that is removed in the end, or kept and used again
 * where MEOWMX_RUNTIMES_DIR names one. The last lines tell of each how it went.
 */
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { startPostgres } from '../src/embedded/index.ts'
import { follow, inFolder, npm } from './support/keep.ts'
import { lowestOf, manifest } from './support/lowest.ts'
import { typescript } from './support/typescript.ts'

const root = resolve(import.meta.dirname, '..')
const platform = `${process.platform}-${process.arch}`
const least = lowestOf(manifest.engines.node)
/** Packages, and where in them the program is. */
const RUNTIMES: Record<string, { wanted: string; program: string }> = {
  ...Object.fromEntries(
    [least, '20', '22', '24', '26'].map((version) => [
      version,
      { wanted: `node-${platform}@${version}`, program: 'bin/node' },
    ]),
  ),
  bun: { wanted: `@oven/bun-${platform}@latest`, program: 'bin/bun' },
  deno: { wanted: 'deno@latest', program: 'bin.cjs' },
}

const words = process.argv.slice(2)
const asked = words.filter((word) => word in RUNTIMES)
const rest = words.filter((word) => !(word in RUNTIMES))

await inFolder('MEOWMX_RUNTIMES_DIR', async (folder) => {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  const results: string[] = []
  for (const name of asked.length > 0 ? asked : Object.keys(RUNTIMES)) {
    console.log(`--- ${name}`)
    const program = install(folder, name)
    const { last, ok, interrupted } = await (/^\d+$/.test(name) ? tests(program) : smoke(folder, program))
    results.push(`${name}: ${last}`)
    if (!ok) process.exitCode = 1
    if (interrupted) break
  }
  console.log(results.join('\n'))
})

/** Each in a folder of its own: npm takes away what it is not told of. */
function install(folder: string, name: string): string {
  const { wanted, program } = RUNTIMES[name]!
  const own = join(folder, name)
  const path = join(own, 'node_modules', wanted.slice(0, wanted.lastIndexOf('@')), program)
  if (existsSync(path)) return path
  mkdirSync(own, { recursive: true })
  writeFileSync(join(own, 'package.json'), '{ "private": true }')
  console.log(`installing ${wanted}`)
  npm(own, 'install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', wanted)
  return path
}

function tests(node: string) {
  return follow(node, [...typescript, join(root, 'test/run.ts'), ...rest], {
    cwd: root,
  })
}

/** The built package, installed beside its peers. */
async function smoke(folder: string, program: string) {
  const project = join(folder, 'project')
  const modules = join(project, 'node_modules')
  rmSync(project, { recursive: true, force: true })
  mkdirSync(join(modules, 'meowmx'), { recursive: true })
  for (const part of ['dist', 'package.json'])
    cpSync(join(root, part), join(modules, 'meowmx', part), { recursive: true })
  for (const peer of ['pg', 'pg-listen', 'rxjs', 'zod'])
    symlinkSync(join(root, 'node_modules', peer), join(modules, peer))
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  cpSync(join(import.meta.dirname, 'bundlers/program.js'), join(project, 'program.js'))
  const server = await startPostgres()
  try {
    const options = JSON.stringify({ connectionString: server.connectionString })
    const isDeno = program.endsWith('.cjs')
    return await follow(
      isDeno ? process.execPath : program,
      [...(isDeno ? [program] : []), ...(isDeno ? ['run', '-A'] : []), 'program.js', options],
      { cwd: project },
    )
  } finally {
    await server.stop()
  }
}
