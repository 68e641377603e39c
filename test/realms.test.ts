// @direct
// In a realm of its own, in which Jest runs tests (its Error, Map and Date differ from those of Node's modules), everything
// works as elsewhere: nothing depends on `instanceof` of built-in classes.
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { createContext, runInNewContext, Script } from 'node:vm'
import * as esbuild from 'esbuild'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { redact } from '../src/core/secrets.ts'
import { isLost, isTransient } from '../src/database/failures.ts'
import { startProxy } from './support/proxy.ts'
import { closeAll, databaseUrl, openStore, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const root = resolve(import.meta.dirname, '..')
const meow = await openStore()
const proxy = await startProxy(databaseUrl())
const opened: { close(): Promise<void> }[] = []
test.after(async () => {
  for (const store of opened) await store.close()
  await closeAll()
  await proxy.close()
})

/** The objects of Node that Jest's environment passes on; all other built-in objects belong to the realm. */
const HANDED_ON = [
  'AbortController AbortSignal Buffer DOMException Event EventTarget TextDecoder TextEncoder URL URLSearchParams Uint8Array',
  'ArrayBuffer clearImmediate clearInterval clearTimeout console crypto performance process queueMicrotask setImmediate',
  'setInterval setTimeout structuredClone',
].flatMap((line) => line.split(' '))

/** The library, pg included, in a realm of its own. */
async function inRealm() {
  const { outputFiles } = await esbuild.build({
    stdin: { contents: `export * from './dist/index.js'`, resolveDir: root },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
    logLevel: 'error',
  })
  const handedOn = Object.fromEntries(HANDED_ON.map((name) => [name, (globalThis as any)[name]]))
  const module = { exports: {} as typeof import('../src/index.ts') }
  const context = createContext({
    ...handedOn,
    module,
    exports: module.exports,
    require: createRequire(import.meta.url),
  })
  new Script('globalThis.global = globalThis').runInContext(context)
  new Script(outputFiles[0]!.text, { filename: 'meowmx-in-a-realm.cjs' }).runInContext(context)
  return { library: module.exports, run: (code: string) => new Script(code).runInContext(context) }
}

const { library, run } = await inRealm()
const event = { type: 'T', data: {} }

test('it is another realm', async () => {
  const refused = connect({ port: 1, host: '127.0.0.1' })
  const [error] = await once(refused, 'error')
  assert.instance(error, Error)
  assert.not(error instanceof run('Error'))
  assert.not(new library.ClosedError() instanceof Error)
})

test('workers, Observables and iterations continue after an outage, although the errors of sockets are of another realm', async () => {
  const store = await library.connect({
    connectionString: proxy.url,
    schema: storeSchema,
    pollIntervalMs: 100,
    queryTimeoutMs: 5_000,
    listen: false,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  })
  opened.push(store)
  const category = uniqueName('realm')
  const seen: Record<string, number[]> = { plain: [], transactional: [], events: [] }
  const ended: unknown[] = []
  const end = (error: unknown) => void ended.push(error)
  for (const way of ['plain', 'transactional']) {
    const worker = store
      .subscription(uniqueName(way), { category, leaseMs: 500 })
      .process(({ position }) => void seen[way]!.push(position), { transactional: way === 'transactional' })
    await worker.ready
    worker.done.catch(end)
  }
  const subscription = store
    .events({ category })
    .subscribe({ next: ({ position }) => void seen.events!.push(position), error: end })
  await proxy.cut()
  const refused = await store.append({ category, streamId: 'a' }, event).catch((error: unknown) => error)
  assert.ok(
    ['ERR_CONNECTION', 'ERR_OUTCOME_UNKNOWN'].includes((refused as { code: string }).code),
    `${refused}`,
  )
  await new Promise((resolve) => setTimeout(resolve, 700)) // a few tries, each of which is refused
  await proxy.heal()
  const { position } = await meow.append({ category, streamId: 'a' }, event)
  await until(() => ended.length > 0 || Object.values(seen).every((all) => all.includes(position)), {
    what: 'all to get it',
  })
  assert.equal(ended, [])
  subscription.unsubscribe()
  await store.close()
})

test('a server that resets each connection counts as unreachable', async () => {
  const resetting = createServer((socket) => void socket.resetAndDestroy()).listen(0, '127.0.0.1')
  await once(resetting, 'listening')
  const { port } = resetting.address() as { port: number }
  const error = await library
    .connect({ connectionString: `postgres://u@127.0.0.1:${port}/d`, listen: false })
    .catch((error: unknown) => error)
  assert.is((error as { code?: string }).code, 'ERR_CONNECTION')
  resetting.close()
})

test('errors, Maps and Dates of another realm are recognized', () => {
  const of = (code: string) => runInNewContext(code)
  assert.ok(isLost(of(`Object.assign(new Error('no'), { code: 'ECONNRESET' })`)))
  assert.ok(isTransient(of(`Object.assign(new Error('no'), { code: '53100', severity: 'FEHLER' })`)))
  assert.not(isLost(of(`new TypeError('no')`)))
  assert.not(isLost(of(`({ message: 'no' })`)))
  const hidden = redact(of(`new Map([['password', 'secret']])`)) as Map<string, string>
  assert.equal([...hidden], [['password', '***']])
  assert.equal(redact(of(`({ a: { password: 'secret' } })`)), { a: { password: '***' } })
  const date = of('new Date(0)')
  assert.is(redact(date), date)
  const error = redact(of(`Object.assign(new Error('no'), { password: 'secret' })`)) as { password: string }
  assert.is(error.password, '***')
})

test('an AbortSignal of another implementation works', async () => {
  // As a polyfill makes it: no EventTarget of Node's.
  const listeners = new Set<() => void>()
  const signal = {
    aborted: false,
    reason: undefined as unknown,
    addEventListener: (_: string, call: () => void) => void listeners.add(call),
    removeEventListener: (_: string, call: () => void) => void listeners.delete(call),
    throwIfAborted() {},
    [Symbol.toStringTag]: 'AbortSignal',
  }
  let completed = false
  meow
    .events({ category: uniqueName('none') }, { signal: signal as unknown as AbortSignal })
    .subscribe({ complete: () => (completed = true) })
  Object.assign(signal, { aborted: true, reason: new Error('enough') })
  for (const call of listeners) call()
  await until(() => completed, { what: 'it to complete' })
})

test('nothing in src uses `instanceof` with a built-in class', () => {
  const builtIn =
    /instanceof (Error|\w+Error|Date|Map|Set|RegExp|Promise|AbortSignal|ArrayBuffer|Uint8Array|Array|Object|Number|String|Boolean|WeakMap|WeakSet|URL|Buffer|Function|Symbol)\b/g
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  const ours = files
    .filter((name) => name.endsWith('errors.ts'))
    .flatMap((name) => readFileSync(join(root, 'src', name), 'utf8').match(/(?<=class )\w+/g) ?? [])
  const mayAsk = ['core/kinds.ts', 'core/json.ts', 'core/json-text.ts'] // the first asks for more than that; what data may be
  const found = files
    .filter((name) => name.endsWith('.ts') && !mayAsk.includes(name))
    .flatMap((name) => {
      const text = readFileSync(join(root, 'src', name), 'utf8')
      const own = new Set([...ours, ...(text.match(/(?<=(?:class|import) \{? ?)\w+(?=[ ,}])/g) ?? [])])
      return [...text.matchAll(builtIn)]
        .filter(
          ([, type]) => !own.has(type!) && !new RegExp(`import .*\\b${type}\\b|class ${type}\\b`).test(text),
        )
        .map(([found]) => `${name}: ${found}`)
    })
  // The outcomes of appends are errors of the library itself.
  const outcomes =
    /^(append\/(append|write|projected)|processes\/instances|timers\/timers|testing\/.*)\.ts: instanceof Error$/
  assert.equal(
    found.filter((text) => !outcomes.test(text)),
    [],
  )
})

test.run()
