import { jsonText } from '../core/json-text.ts'
import type { RecordedEvent } from '../events/event.ts'
import { asciiJson, headerText, token } from './names.ts'

/** An event as a broker gets it. */
export interface Message {
  /** The event's id, by which a broker knows what comes again. */
  readonly id: string
  /** `<prefix>.<category>.<type>`; of the names letters, digits, `-` and `_` are as they are, all else is `%XX`. */
  readonly subject: string
  /** The event's stream, `<category>.<streamId>`: order is kept by who partitions by it. */
  readonly key: string
  /** The event's data, as JSON. */
  readonly body: string
  /** Position, stream, version …: each value one line of printable ASCII; `decodeURIComponent` gives names back. */
  readonly headers: Readonly<Record<string, string>>
  /** As it is stored. */
  readonly event: RecordedEvent
}

/** The subjects of a selection, with `>` for what is open. */
export const subjectsOf = (prefix: string, categories: readonly string[]): string[] =>
  categories.length === 0 ? [`${prefix}.>`] : categories.map((category) => `${prefix}.${token(category)}.>`)

export function toMessage(event: RecordedEvent, prefix: string): Message {
  const { id, category, streamId, version, position, type, data, metadata, recordedAt } = event
  const { correlationId, causationId, traceparent, tracestate, schemaVersion } = metadata
  const headers: Record<string, string> = {
    'Meowmx-Position': String(position),
    'Meowmx-Category': headerText(category),
    'Meowmx-Stream': headerText(streamId),
    'Meowmx-Version': String(version),
    'Meowmx-Type': headerText(type),
    'Meowmx-Recorded-At': recordedAt.toISOString(),
  }
  const carry = (header: string, value: unknown) => {
    if (typeof value === 'string' || typeof value === 'number') headers[header] = headerText(String(value))
  }
  carry('Meowmx-Schema-Version', schemaVersion)
  carry('Meowmx-Correlation-Id', correlationId)
  carry('Meowmx-Causation-Id', causationId)
  carry('traceparent', traceparent)
  carry('tracestate', tracestate)
  if (Object.keys(metadata).length > 0) headers['Meowmx-Metadata'] = asciiJson(metadata)
  return {
    id,
    subject: `${prefix}.${token(category)}.${token(type)}`,
    key: `${token(category)}.${token(streamId)}`,
    body: jsonText(data),
    headers,
    event,
  }
}
