// @direct
// @push
// One file made by esbuild, webpack or rollup, as ES module or CommonJS, minified or not, runs by itself, with nothing beside it.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import commonjsPlugin from '@rollup/plugin-commonjs'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import * as esbuild from 'esbuild'
import { rollup } from 'rollup'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import webpack from 'webpack'
import { closeAll, databaseUrl, pgClient, uniqueName } from './support/store.ts'

const root = resolve(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'meowmx-bundlers-'))
const entry = join(folder, 'program.js')
test.after(closeAll)
test.after(() => rmSync(folder, { recursive: true, force: true }))

// A project that has installed the package and the peers that it needs, and no other.
test.before(() => {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'meowmx'), { recursive: true })
  for (const part of ['dist', 'package.json'])
    cpSync(join(root, part), join(modules, 'meowmx', part), { recursive: true })
  for (const name of ['pg', 'rxjs', 'zod']) symlinkSync(join(root, 'node_modules', name), join(modules, name))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  cpSync(join(import.meta.dirname, 'bundlers/program.js'), entry)
})

/** TypeScript sees the CommonJS module itself. */
const commonjs = commonjsPlugin as unknown as typeof commonjsPlugin.default

/** pg is CommonJS: what esbuild makes of it needs this in an ES module, as its documentation says. */
const banner = {
  js: "import { createRequire } from 'module'; const require = createRequire(import.meta.url);",
}

type Format = 'esm' | 'cjs'
type Bundler = (format: Format, minify: boolean, outfile: string) => Promise<unknown>

const bundlers: Record<string, Bundler> = {
  esbuild: (format, minify, outfile) =>
    esbuild.build({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      logLevel: 'error',
      format,
      minify,
      outfile,
      ...(format === 'esm' ? { banner } : {}),
    }),

  webpack: (format, _minify, outfile) =>
    new Promise<void>((resolve, reject) => {
      const module = format === 'esm'
      const compiler = webpack({
        target: 'node20',
        mode: 'none', // its minifier takes a minute
        entry,
        experiments: { outputModule: module },
        output: {
          path: join(outfile, '..'),
          filename: outfile.split('/').at(-1)!,
          module,
          library: { type: module ? 'module' : 'commonjs2' },
        },
        // One file: what is imported when it is needed as well.
        plugins: [new webpack.optimize.LimitChunkCountPlugin({ maxChunks: 1 })],
      })!
      compiler.run((error, stats) => {
        const failed = error ?? (stats?.hasErrors() ? new Error(stats.toString('errors-only')) : undefined)
        compiler.close(() => (failed ? reject(failed) : resolve()))
      })
    }),

  rollup: async (format, _minify, outfile) => {
    const bundle = await rollup({
      input: entry,
      plugins: [nodeResolve({ preferBuiltins: true }), commonjs({ ignoreDynamicRequires: true })],
      onwarn() {},
    })
    await bundle.write({ file: outfile, format, inlineDynamicImports: true })
    await bundle.close()
  },
}

const ways: [string, Format, boolean][] = [
  ['esbuild', 'esm', false],
  ['esbuild', 'cjs', true],
  ['webpack', 'esm', false],
  ['webpack', 'cjs', false],
  ['rollup', 'esm', false],
  ['rollup', 'cjs', false],
]
for (const [name, format, minify] of ways) {
  test(`${name}, ${format}${minify ? ', minified' : ''}`, async () => {
    // The bundle can't reach its sources.
    const alone = mkdtempSync(join(tmpdir(), 'meowmx-bundle-'))
    const file = join(alone, format === 'esm' ? 'out.mjs' : 'out.cjs')
    await bundlers[name]!(format, minify, file)
    const schema = uniqueName('bundle')
    const options = { connectionString: databaseUrl(), schema }
    // PostgreSQL's programs can't be bundled: they are found from the working directory.
    const installed = format === 'esm'
    try {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [file, JSON.stringify(options), ...(installed ? ['embedded'] : [])],
        { cwd: installed ? root : alone, timeout: 120_000 },
      )
      const found = installed ? 'it works' : 'startPostgres() needs the programs of PostgreSQL'
      assert.ok(stdout.startsWith(`it works; startPostgres: ${found}`), stdout)
    } finally {
      rmSync(alone, { recursive: true, force: true })
      const client = await pgClient()
      await client.query(`drop schema if exists ${client.escapeIdentifier(schema)} cascade`)
    }
  })
}

test.run()
