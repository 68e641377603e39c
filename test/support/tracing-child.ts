/**
 * Another process, traced by an SDK of its own: handles each event of `from` and appends one to `to` because of it, in a span
 * of the application's. Prints `ready` and, when its stdin ends, its spans as JSON.
 */
import { once } from 'node:events'
import { trace } from '@opentelemetry/api'
import { connect } from '../../src/index.ts'
import { startTracing } from './tracing.ts'
import { theWay } from './ways.ts'

const { connectionString, schema, from, to, name } = JSON.parse(process.argv[2]!)
const { spans } = startTracing()
const meow = await connect(theWay({ connectionString, schema, listen: false, pollIntervalMs: 20 }))
const worker = meow.subscription(name, { category: from }).process((event) =>
  trace.getTracer('application').startActiveSpan('mail', async (span) => {
    await meow.append({ category: to, streamId: event.streamId }, { type: 'Sent', data: {} })
    span.end()
  }),
)
await worker.ready
console.log('ready')
await once(process.stdin.resume(), 'end')
await worker.stop()
await meow.close()
console.log(JSON.stringify(spans()))
