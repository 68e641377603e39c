// @direct
// If OpenTelemetry is not installed, or no SDK is registered, everything works as without it, and events have no more metadata.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { closeAll, databaseUrl, openStore, storeSchema, uniqueName } from './support/store.ts'
import { theWay } from './support/ways.ts'

const root = resolve(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'meowmx-absent-'))
test.before(async () => {
  await openStore()
})
test.after(closeAll)
test.after(() => rmSync(folder, { recursive: true, force: true }))

/** A project that has installed this package and these others. */
function install(name: string, packages: string[]): string {
  const project = join(folder, name)
  const modules = join(project, 'node_modules')
  mkdirSync(join(modules, 'meowmx'), { recursive: true })
  for (const part of ['dist', 'sql', 'package.json'])
    cpSync(join(root, part), join(modules, 'meowmx', part), { recursive: true })
  for (const one of packages) {
    mkdirSync(dirname(join(modules, one)), { recursive: true })
    symlinkSync(join(root, 'node_modules', one), join(modules, one))
  }
  writeFileSync(
    join(project, 'main.mjs'),
    `import { connect, handle } from 'meowmx'
    import { lastValueFrom, take } from 'rxjs'
    const lines = []
    const log = (...args) => lines.push(args)
    const options = { ...JSON.parse(process.argv[2]), logger: { debug() {}, info() {}, warn: log, error: log } }
    const api = await import('@opentelemetry/api').catch(({ code }) => code)
    const meow = await connect(options)
    const [from, to] = process.argv.slice(3).map((category) => ({ category, streamId: 'a' }))
    const { position } = await meow.append(from, { type: 'T', data: 1, metadata: { traceparent: 'mine' } })
    const worker = meow.subscription(from.category, { category: from.category }).process(() => meow.append(to, { type: 'T', data: 2 }))
    await meow.waitFor(from.category, position, { timeoutMs: 20_000 })
    await worker.stop()
    await lastValueFrom(meow.subscription(to.category, { category: to.category }).deliveries().pipe(handle(() => {}), take(1)))
    const events = [...(await meow.load(from)), ...(await meow.read({ category: to.category })).events]
    await meow.close()
    console.log(JSON.stringify({ api: typeof api, events: events.map(({ metadata }) => Object.keys(metadata)), lines }))`,
  )
  return project
}

async function run(project: string) {
  const args = [
    join(project, 'main.mjs'),
    JSON.stringify(
      theWay({ connectionString: databaseUrl(), schema: storeSchema, listen: false, pollIntervalMs: 50 }),
    ),
    uniqueName('order'),
    uniqueName('mail'),
  ]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: project })
  return JSON.parse(stdout)
}

const needed = ['pg', 'pg-listen', 'rxjs', 'zod']
const handled = [['traceparent'], ['correlationId', 'causationId', 'traceparent']]

test('it is not installed: everything works without it', async () => {
  const { api, events, lines } = await run(install('absent', needed))
  assert.is(api, 'string')
  assert.equal(events, handled)
  assert.equal(lines, [])
})

test('it is installed without a registered SDK: the same', async () => {
  const { api, events, lines } = await run(install('unregistered', [...needed, '@opentelemetry/api']))
  assert.is(api, 'object')
  assert.equal(events, handled)
  assert.equal(lines, [])
})

test('it is installed and broken: a warning, and no more', async () => {
  const project = install('broken', needed)
  const broken = join(project, 'node_modules/@opentelemetry/api')
  mkdirSync(broken, { recursive: true })
  writeFileSync(
    join(broken, 'package.json'),
    '{ "name": "@opentelemetry/api", "type": "module", "exports": "./index.js" }',
  )
  writeFileSync(join(broken, 'index.js'), 'throw new Error("broken")')
  const { events, lines } = await run(project)
  assert.equal(events, handled)
  assert.is(lines.length, 1)
  assert.match(lines[0][1], 'the store works without it')
})

test.run()
