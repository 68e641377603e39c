// Converts between span contexts and the traceparent of an event's metadata.
import type { SpanContext } from '@opentelemetry/api'

const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s

/** A span's context in the form of an event's metadata: https://www.w3.org/TR/trace-context/#traceparent-header */
export const toTraceparent = ({ traceId, spanId, traceFlags }: SpanContext): string =>
  `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`

/** undefined if it is not a valid traceparent: anybody may write anything into metadata. */
export function fromTraceparent(text: unknown): SpanContext | undefined {
  const [, version, traceId, spanId, flags, more] = (typeof text === 'string' && TRACEPARENT.exec(text)) || []
  if (!traceId || !spanId || (version === '00' && more !== undefined)) return
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return
  return { traceId, spanId, traceFlags: Number.parseInt(flags!, 16), isRemote: true }
}
