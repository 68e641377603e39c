// Modules that read files in src have the contents of these files built in in dist, and no other module reads a file.
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import './support/typescript.js'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = resolve(import.meta.dirname, '..')
const EMBEDDED = ['database/sql', 'studio/page', 'core/version']

for (const name of EMBEDDED) {
  test(`dist/${name}.js holds what src/${name}.ts reads`, async () => {
    const [source, built] = [`src/${name}.ts`, `dist/${name}.js`]
    assert.equal({ ...(await import(join(root, built))) }, { ...(await import(join(root, source))) })
    assert.match(readFileSync(join(root, built), 'utf8'), /^(export const \w+ = .*\n)+$/) // imports nothing
  })
}

test('dist/database/sql.js holds every file of sql/, byte for byte', async () => {
  const { sql } = await import(join(root, 'dist/database/sql.js'))
  const folder = join(root, 'sql')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.sql'),
  )
  assert.equal(
    sql,
    Object.fromEntries(
      files.map((path) => [path.replaceAll('\\', '/'), readFileSync(join(folder, path), 'utf8')]),
    ),
  )
})

test('nothing else knows where it stands', () => {
  const folder = join(root, 'src')
  const knowing = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .filter((path) => /import\.meta|__dirname|__filename/.test(readFileSync(join(folder, path), 'utf8')))
    .map((path) => path.replaceAll('\\', '/').replace('.ts', ''))
    .sort()
  // The programs of PostgreSQL, which are too large for a bundle, are looked for in node_modules.
  assert.equal(knowing, [...EMBEDDED, 'embedded/binaries'].sort())
})

test('meowmx/adapters imports no package, neither its code nor its types', () => {
  const folder = join(root, 'dist/adapters')
  const files = readdirSync(folder).filter((name) => /\.(js|d\.ts)$/.test(name))
  assert.ok(files.length >= 16, files.join())
  for (const name of files) {
    const code = readFileSync(join(folder, name), 'utf8')
    for (const [, from] of code.matchAll(/\b(?:from|import)\s*\(?\s*'([^']+)'/g))
      assert.match(from!, /^\.\.?\//, name)
  }
})

test.run()
