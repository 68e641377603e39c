// @direct
// A bundled test works like the original: it knows its own path, can load TypeScript, and a failure names the line of the
// TypeScript file.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bundle } from './support/bundle.ts'
import { runFile } from './support/run-file.ts'
import { program } from './support/typescript.ts'

const folder = resolve(import.meta.dirname, '../.tests')
mkdirSync(folder, { recursive: true })
const dir = mkdtempSync(join(folder, 'test-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

test('its place, its modules, its lines', async () => {
  const file = join(dir, 'fails.test.ts')
  writeFileSync(join(dir, 'other.ts'), 'export const there: number = 1\n')
  writeFileSync(
    file,
    `import './../../test/support/typescript.js'
import { test } from 'uvu'
interface Lines { readonly four: 4 }
const lines = async (name: string): Promise<Lines> => Promise.reject(new Error(\`\${name} \${import.meta.url}\`))
test('fails', async () => {
  const name = './other.ts'
  const { there } = await import(new URL(name, import.meta.url).href)
  await lines(\`there: \${there}, \${import.meta.dirname}\`)
})
test.run()
`,
  )
  await bundle([file])
  assert.match(program(file).join(' '), /^\S+fails\.test\.mjs$/)
  const { passed, failed, output } = await runFile(file, 60_000, new AbortController().signal)
  assert.equal([passed, failed], [0, 1], output)
  assert.ok(output.includes(`there: 1, ${dir} file://${file}`), output)
  assert.match(output, new RegExp(`${file}:4:70`), output)
  assert.match(output, new RegExp(`${file}:8:\\d+`), output)
})

test.run()
