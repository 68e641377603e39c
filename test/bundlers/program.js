// A program that uses all of the package, and fails unless it works. Bundles are made of it (test/bundlers.test.ts), and other
// runtimes run it (test/runtimes.ts). What it prints at last: whether PostgreSQL's programs were found.
import assert from 'node:assert/strict'
import { connect, SchemaError, ValidationError } from 'meowmx'
import { fromKnex } from 'meowmx/adapters'
import { startPostgres } from 'meowmx/embedded'
import { natsBroker } from 'meowmx/relay'
import { startStudio } from 'meowmx/studio'
import { memoryStore } from 'meowmx/testing'
import { firstValueFrom } from 'rxjs'

async function main([options, embedded]) {
  const lines = []
  const log = (...words) => lines.push(words)
  const logger = { debug() {}, info() {}, warn: log, error: log }
  // Nothing is found by polling: what arrives was pushed.
  const meow = await connect({ ...JSON.parse(options), logger, pollIntervalMs: 600_000 })
  const name = (error) => error.name
  const unmigrated = await meow.load({ category: 'order', streamId: 'a' }).catch(name)
  const { applied } = await meow.migrate()
  const pushed = firstValueFrom(meow.events({ category: 'order' }))
  const handled = []
  const worker = meow
    .subscription('mailer', { category: 'order' })
    .process((event) => handled.push(event.type))
  await worker.ready
  await new Promise((resolve) => {
    meow.status$.subscribe(({ state }) => state === 'listening' && resolve())
  })
  const { position } = await meow.append(
    { category: 'order', streamId: 'a' },
    { type: 'Placed', data: { n: 1 } },
  )
  await meow.waitFor('mailer', position, { timeoutMs: 60_000 })

  const studio = await startStudio(meow, { port: 0 })
  const page = await fetch(studio.url)
  const plot = await fetch(new URL('/uplot.js', studio.url))
  await studio.close()

  const memory = memoryStore()
  await memory.append({ category: 'order', streamId: 'a' }, { type: 'Placed', data: 1 })

  const context = { subjects: ['a'], leaseMs: 1000, logger }
  const broker = await natsBroker()
    .open(context)
    .catch(({ message }) => message)
  const server = await startPostgres().catch(({ message }) => message)
  if (embedded) {
    const own = await connect({ connectionString: server.connectionString, listen: false, logger })
    await own.migrate()
    await own.close()
    await server.stop()
  }
  const errors = [unmigrated, new ValidationError('a', 'b', 1).name, new SchemaError('a', 'b').name]
  assert.deepEqual(errors, ['SchemaError', 'ValidationError', 'SchemaError'])
  assert.ok(applied.length > 0)
  assert.equal((await pushed).type, 'Placed')
  assert.deepEqual(handled, ['Placed'])
  assert.deepEqual([page.status, plot.status], [200, 200])
  assert.match(await page.text(), /<html/)
  assert.equal((await memory.load({ category: 'order', streamId: 'a' })).length, 1)
  assert.match(broker, /npm install @nats-io\/transport-node @nats-io\/jetstream/)
  assert.throws(() => fromKnex({}), { code: 'ERR_VALIDATION', path: 'tx' })
  assert.equal(typeof meow[Symbol.asyncDispose], 'function')
  assert.deepEqual(lines, [])
  await worker.stop()
  await meow.close()
  console.log(`it works; startPostgres: ${embedded ? 'it works' : server}`)
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
