// @direct
// The published types stand in a strict project that checks libraries too, with the oldest and the newest TypeScript that is
// here, resolved as Node does and as bundlers do. require() says what to do where it can't load ES modules.
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = resolve(import.meta.dirname, '..')
const modules = join(root, 'node_modules')
const folder = mkdtempSync(join(tmpdir(), 'meowmx-types-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

// Outside of the project, so that nothing of it is found by accident.
test.before(() => {
  mkdirSync(join(folder, 'node_modules/meowmx'), { recursive: true })
  mkdirSync(join(folder, 'node_modules/@types'))
  for (const part of ['dist', 'package.json'])
    cpSync(join(root, part), join(folder, 'node_modules/meowmx', part), { recursive: true })
  for (const name of ['pg', 'rxjs', 'zod', 'pg-listen', 'commander', '@types/pg', '@types/node'])
    symlinkSync(join(modules, name), join(folder, 'node_modules', name))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  cpSync(join(import.meta.dirname, 'types/project.ts'), join(folder, 'project.ts'))
  writeFileSync(join(folder, 'old.cjs'), "console.log(typeof require('meowmx').connect)")
})

interface Ended {
  readonly code: number
  readonly output: string
}

function run(...args: string[]): Promise<Ended> {
  return new Promise((end) =>
    execFile(process.execPath, args, { cwd: folder }, (error, stdout, stderr) =>
      end({ code: Number(error?.code ?? 0), output: stdout + stderr }),
    ),
  )
}

const compilers = ['typescript', '@arethetypeswrong/core/node_modules/typescript']
  .map((name) => join(modules, name))
  .filter((path) => existsSync(path))

for (const compiler of compilers)
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const version = compiler.includes('arethetypeswrong') ? '5.6' : '7'
    if (version === '5.6' && moduleResolution === 'bundler') continue // it takes 8 s
    test(`TypeScript ${version}, ${moduleResolution}`, async () => {
      const compilerOptions = {
        ...{ module, moduleResolution, target: 'es2022', lib: ['es2023', 'esnext.disposable'] },
        ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
        ...{ skipLibCheck: false, noEmit: true, types: ['node'] },
      }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['project.ts'] }))
      const { output } = await run(join(compiler, 'bin/tsc'), '-p', '.')
      // With 5.6, types of pg's own packages ask for a newer @types/node.
      const errors = output.split('\n').filter((line) => line && !line.includes('/pg-protocol/'))
      assert.equal(errors, [])
    })
  }

test('require() loads it where Node can, and else says to use import()', async () => {
  const { code, output } = await run('old.cjs')
  if (code === 0) assert.match(output, /^function/)
  else assert.match(output, /import\(\)/)
})

test.run()
