// The second step of the build: what the modules of dist would read from files, or load by a computed name, is put into them,
// so that esbuild, webpack and rollup can make one file of them.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import commonjs from '@rollup/plugin-commonjs'
import resolve from '@rollup/plugin-node-resolve'
import { rollup } from 'rollup'

const dist = new URL('../dist/', import.meta.url)

// Modules whose exports are read from files become those exports.
for (const path of ['database/sql.js', 'core/version.js', 'studio/page.js']) {
  const file = new URL(path, dist)
  const exported = Object.entries(await import(file))
  writeFileSync(
    file,
    exported.map(([name, value]) => `export const ${name} = ${JSON.stringify(value)}\n`).join(''),
  )
}

// pg-listen and what it depends on, as one file for bundlers (`imports` in package.json). pg-format requires a file by a
// computed name, which they can't follow; debug uses supports-color if that happens to be installed.
const bundle = await rollup({
  input: 'pg-listen',
  external: ['pg'],
  plugins: [
    {
      name: 'self-contained',
      transform: (code) => code.replace("require(__dirname + '/reserved.js')", "require('./reserved.js')"),
      resolveId: (name) => (name === 'supports-color' ? name : null),
      load: (id) => (id === 'supports-color' ? 'export default {}' : null),
    },
    resolve({ preferBuiltins: true }),
    commonjs(),
  ],
})
const { resolve: find } = createRequire(import.meta.url)
const licenses = ['pg-listen/LICENSE', 'pg-format/LICENSE', 'debug/LICENSE', 'ms/license.md']
const texts = licenses.map((path) => `${path}\n\n${readFileSync(find(path), 'utf8').trim()}`)
await bundle.write({
  file: fileURLToPath(new URL('notify/pg-listen.js', dist)),
  banner: `/*!\n${texts.join('\n\n---\n\n')}\n*/`,
})
