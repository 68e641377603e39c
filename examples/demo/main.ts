/**
 * `npm run demo`: 20,000 flights are appended by one process, while three others build a read model of them through one
 * subscription; the one at work is killed half-way. At the end the read model must equal a computation over the file.
 * DEMO_FLIGHTS=4000 takes fewer flights; DEMO_BREAK=1 falsifies that computation, so that the demo must fail.
 */
import { randomBytes } from 'node:crypto'
import { connect, MeowError } from 'meowmx'
import { testServer } from '../../test/support/server.ts'
import { Children } from './children.ts'
import { readFlights } from './flights.ts'
import { ReadModel } from './read-model.ts'
import { Story } from './story.ts'
import { View } from './view.ts'

const interrupt = interruption()
const flights = await readFlights()
console.log('starting PostgreSQL …')
const server = await testServer({ durable: true })
const { connectionString } = server
const schema = `meowmx_demo_${randomBytes(4).toString('hex')}`
const readModel = new ReadModel(connectionString, schema)
const children = new Children(connectionString, schema)
const view = new View(
  `${flights.length.toLocaleString('en-US')} flights, PostgreSQL (${server.kind}), schema ${schema}`,
  flights.length,
)
try {
  interrupt.throwIfAborted()
  const meow = await connect({ connectionString, schema, listen: false })
  await meow.migrate().finally(() => meow.close())
  await readModel.create()
  const right = await new Story(flights, children, readModel, view, interrupt).tell()
  process.exitCode = right ? 0 : 1
} catch (error) {
  console.error(interrupt.aborted ? interrupt.reason : error instanceof MeowError ? error.message : error)
  process.exitCode = interrupt.aborted ? 130 : 1
} finally {
  await children.stop()
  await readModel.drop().catch((error) => console.error(`could not drop schema ${schema}: ${error.message}`))
  await readModel.close()
  await server.stop()
}

/** Aborts at the first Ctrl-C, so that all is cleared away. npm sends a second one at once; a later one ends us. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  let since = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      since ||= Date.now()
      if (Date.now() - since > 500) process.exit(130)
      controller.abort(`interrupted by ${signal}`)
    })
  }
  return controller.signal
}
