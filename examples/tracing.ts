// OpenTelemetry: one trace from the request to the last effect, however many processes are between them.
import { context, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { connect } from 'meowmx'
import { openDatabase } from './support/database.ts'

// As the application sets it up, by NodeSDK or by hand; this library only has to find it.
const exporter = new InMemorySpanExporter()
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
)
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const worker = meow.subscription('mailer', { category: 'order' }).process(async (event) => {
  await meow.append({ category: 'mail', streamId: event.streamId }, { type: 'MailSent', data: {} })
})
await trace.getTracer('shop').startActiveSpan('POST /orders', async (span) => {
  const order = { category: 'order', streamId: '42' }
  const { position } = await meow.append(order, { type: 'OrderPlaced', data: { price: 9 } })
  await meow.waitFor('mailer', position)
  span.end()
})
await worker.stop()

const spans = exporter.getFinishedSpans()
const idOf = (span: (typeof spans)[0]) => span.spanContext().spanId
/** A span, and below it what it led to. */
function print(parent: string | undefined, indent: string): void {
  for (const span of spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)) {
    const links = span.links.map(({ context }) => spans.find((one) => idOf(one) === context.spanId)?.name)
    console.log(
      `${indent}${span.name} (${SpanKind[span.kind]}${links.length > 0 ? `, linked to ${links}` : ''})`,
    )
    print(idOf(span), `${indent}  `)
  }
}
print(undefined, '')
console.log('traces:', new Set(spans.map((span) => span.spanContext().traceId)).size)

// Output:
// POST /orders (INTERNAL)
//   append order (PRODUCER)
//     process order (CONSUMER, linked to append order)
//       append mail (PRODUCER)
// traces: 1
