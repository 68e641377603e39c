// Prints events and names of streams.
import { jsonText } from '../core/json-text.ts'
import type { RecordedEvent } from '../events/event.ts'
import { type Output, plain } from './output.ts'

/** category/streamId, safe for a terminal. */
export const streamName = ({ category, streamId }: Pick<RecordedEvent, 'category' | 'streamId'>): string =>
  `${plain(category)}/${plain(streamId)}`

/** An event in one line: position, time, stream@version, type, data. */
export function eventLine(event: RecordedEvent, out: Output): string {
  const { position, recordedAt, version, type, data } = event
  const time = out.style('dim', recordedAt.toISOString())
  const stream = `${streamName(event)}@${version}`
  return `${position} ${time} ${stream} ${out.style('cyan', plain(type))} ${escaped(jsonText(data))}`
}

/** An event in several lines: its data and metadata are indented. */
export function eventBlock(event: RecordedEvent, out: Output): string {
  const { position, recordedAt, version, type, id, data, metadata, tags } = event
  const head = `${out.style('bold', String(position))} ${out.style('cyan', plain(type))} ${streamName(event)}@${version}`
  const rest = `  ${out.style('dim', `${recordedAt.toISOString()} ${id}`)}`
  const block = (name: string, value: unknown) =>
    `  ${name}: ${escaped(jsonText(value, 2)).replaceAll('\n', '\n  ')}`
  return [
    head,
    rest,
    block('data', data),
    ...(tags.length > 0 ? [`  tags: ${tags.map(plain).join(', ')}`] : []),
    ...(Object.keys(metadata).length > 0 ? [block('metadata', metadata)] : []),
  ].join('\n')
}

/** Escapes characters that JSON leaves as they are and a terminal would interpret. */
const escaped = (json: string): string => json.split('\n').map(plain).join('\n')
