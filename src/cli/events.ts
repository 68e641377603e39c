import { jsonText } from '../core/json-text.ts'
import type { RecordedEvent } from '../events/event.ts'
import { type Output, plain } from './output.ts'

export const streamName = ({ category, streamId }: Pick<RecordedEvent, 'category' | 'streamId'>): string =>
  `${plain(category)}/${plain(streamId)}`

/** An event in one line: position, time, stream@version, type, data. */
export function eventLine(event: RecordedEvent, out: Output): string {
  const { position, recordedAt, version, type, data } = event
  const time = out.style('dim', recordedAt.toISOString())
  const stream = `${streamName(event)}@${version}`
  return `${position} ${time} ${stream} ${out.style('cyan', plain(type))} ${escaped(jsonText(data))}`
}

/** An event for people: its data and metadata indented. */
export function eventBlock(event: RecordedEvent, out: Output): string {
  const { position, recordedAt, version, type, id, data, metadata } = event
  const head = `${out.style('bold', String(position))} ${out.style('cyan', plain(type))} ${streamName(event)}@${version}`
  const rest = `  ${out.style('dim', `${recordedAt.toISOString()} ${id}`)}`
  const block = (name: string, value: unknown) =>
    `  ${name}: ${escaped(jsonText(value, 2)).replaceAll('\n', '\n  ')}`
  return [
    head,
    rest,
    block('data', data),
    ...(Object.keys(metadata).length > 0 ? [block('metadata', metadata)] : []),
  ].join('\n')
}

/** JSON leaves some characters as they are that a terminal would obey. */
const escaped = (json: string): string => json.split('\n').map(plain).join('\n')
