// The client is small, and imports RxJS and nothing else: neither its code nor its types use Node, pg or zod.
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = resolve(import.meta.dirname, '..')

test('minified and gzipped it has at most 12 kB without RxJS', async () => {
  const { outputFiles } = await build({
    stdin: { contents: "export { remote } from './dist/client/index.js'", resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    external: ['rxjs'],
    write: false,
  })
  const { length } = gzipSync(outputFiles[0]!.contents)
  assert.ok(length < 12_000, `${length} bytes`)
})

test('it bundles for a browser with RxJS, and has no other package', async () => {
  const { metafile } = await build({
    entryPoints: [join(root, 'dist/client/index.js')],
    bundle: true,
    platform: 'browser',
    write: false,
    metafile: true,
    absWorkingDir: root,
  })
  const packages = Object.keys(metafile.inputs)
    .filter((path) => path.includes('node_modules/'))
    .map((path) => path.replace(/.*node_modules\/([^/]+).*/, '$1'))
  assert.equal([...new Set(packages)].sort(), ['rxjs', 'tslib'])
})

test('it imports no other folder but the types of events', () => {
  const folder = join(root, 'dist/client')
  for (const name of readdirSync(folder).filter((name) => /\.(js|d\.ts)$/.test(name)))
    for (const [, from] of readFileSync(join(folder, name), 'utf8').matchAll(
      /\b(?:from|import)\s*\(?\s*'([^']+)'/g,
    ))
      assert.match(
        from!,
        name.endsWith('.d.ts') ? /^(\.\/|rxjs$|\.\.\/events\/event\.ts$)/ : /^(\.\/|rxjs$)/,
        name,
      )
})

test.run()
