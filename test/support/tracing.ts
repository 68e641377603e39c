import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import type { ReadableSpan, Sampler, SpanProcessor } from '@opentelemetry/sdk-trace-base'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'

/** A span, as it can be sent from one process to another. */
export interface Seen {
  name: string
  kind: number
  traceId: string
  spanId: string
  parent: string | undefined
  links: string[]
  attributes: Record<string, unknown>
  status: number
  message: string | undefined
}

/** OpenTelemetry's SDK for this process, as an application registers it; its spans are kept here. */
export function startTracing({
  sampler,
  processors = [],
}: {
  sampler?: Sampler
  processors?: SpanProcessor[]
} = {}) {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter), ...processors],
    ...(sampler ? { sampler } : {}),
  })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  return {
    /** The spans that have ended, of a category where one is named. */
    spans: (category?: string): Seen[] =>
      exporter
        .getFinishedSpans()
        .map(seen)
        .filter(
          ({ attributes }) => category === undefined || attributes['messaging.destination.name'] === category,
        ),
    stop: async () => {
      trace.disable()
      context.disable()
      await provider.shutdown()
    },
  }
}

function seen(span: ReadableSpan): Seen {
  const { traceId, spanId } = span.spanContext()
  return {
    name: span.name,
    kind: span.kind,
    traceId,
    spanId,
    parent: span.parentSpanContext?.spanId,
    links: span.links.map(({ context }) => context.spanId),
    attributes: span.attributes,
    status: span.status.code,
    message: span.status.message,
  }
}
