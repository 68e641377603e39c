// Converts an event to a message for a broker.
import { jsonText } from '../core/json-text.ts'
import type { RecordedEvent } from '../events/event.ts'
import { asciiJson, headerText, token } from './names.ts'
import { streamHash } from './stream-hash.ts'

/** An event in the form in which a broker gets it. */
export interface Message {
  /** The event's id. Brokers and consumers recognise a repeated message by it. */
  readonly id: string
  /** `<prefix>.<category>.<type>`, or with `subjectPartitions` `<prefix>.<category>.<partition>.<type>`. Letters, digits, `-` and `_` stay as they are; every other byte is `%XX`. */
  readonly subject: string
  /** The event's stream, `<category>.<streamId>`: a broker that partitions by this key keeps each stream in order. */
  readonly key: string
  /** The event's data as JSON text. */
  readonly body: string
  /** Position, stream, version and more: each value is one line of printable ASCII; `decodeURIComponent` restores names. */
  readonly headers: Readonly<Record<string, string>>
  /** The event as it is stored. */
  readonly event: RecordedEvent
}

/** The subjects that a selection publishes to; `>` stands for any category or type. */
export const subjectsOf = (prefix: string, categories: readonly string[]): string[] =>
  categories.length === 0 ? [`${prefix}.>`] : categories.map((category) => `${prefix}.${token(category)}.>`)

/** Makes the message of an event. With `partitions` its subject contains the partition of its stream. */
export function toMessage(event: RecordedEvent, prefix: string, partitions?: number): Message {
  const { id, category, streamId, version, position, type, data, metadata, tags, recordedAt } = event
  const { correlationId, causationId, traceparent, tracestate, schemaVersion } = metadata
  const headers: Record<string, string> = {
    'Meowmx-Position': String(position),
    'Meowmx-Category': headerText(category),
    'Meowmx-Stream': headerText(streamId),
    'Meowmx-Version': String(version),
    'Meowmx-Type': headerText(type),
    'Meowmx-Recorded-At': recordedAt.toISOString(),
  }
  const setHeader = (header: string, value: unknown) => {
    if (typeof value === 'string' || typeof value === 'number') headers[header] = headerText(String(value))
  }
  setHeader('Meowmx-Schema-Version', schemaVersion)
  setHeader('Meowmx-Correlation-Id', correlationId)
  setHeader('Meowmx-Causation-Id', causationId)
  setHeader('traceparent', traceparent)
  setHeader('tracestate', tracestate)
  if (tags.length > 0) headers['Meowmx-Tags'] = asciiJson(tags)
  if (partitions) headers['Meowmx-Partitions'] = String(partitions)
  if (Object.keys(metadata).length > 0) headers['Meowmx-Metadata'] = asciiJson(metadata)
  const partition = partitions ? `${streamHash(category, streamId) % partitions}.` : ''
  return {
    id,
    subject: `${prefix}.${token(category)}.${partition}${token(type)}`,
    key: `${token(category)}.${token(streamId)}`,
    body: jsonText(data),
    headers,
    event,
  }
}
