// Shows values and events as short text.
import type { RecordedEvent } from '../events/event.ts'

/** The text of a value, which may be cut. */
export interface Shown {
  readonly text: string
  /** Whether it was cut. */
  readonly cut: boolean
}

const MAX_DEPTH = 200

/**
 * A JSON value as text of about `limit` characters at most. The rest of the value is not read: an event may have 100 MB, and
 * JSON.stringify would block the process.
 */
export function show(value: unknown, limit: number, indent = 0): Shown {
  let text = ''
  let cut = false
  const full = () => {
    if (text.length < limit) return false
    cut = true
    return true
  }
  const line = (depth: number) => (indent ? `\n${' '.repeat(indent * depth)}` : '')
  const string = (value: string) => {
    const left = Math.max(0, limit - text.length)
    if (value.length > left) cut = true
    text +=
      value.length > left ? `${JSON.stringify(value.slice(0, left)).slice(0, -1)}…"` : JSON.stringify(value)
  }
  const list = (
    open: string,
    close: string,
    keys: readonly unknown[],
    each: (i: number) => void,
    depth: number,
  ) => {
    text += open
    for (const i of keys.keys()) {
      if (i > 0) text += indent ? ',' : ', '
      text += line(depth + 1)
      if (full() || depth >= MAX_DEPTH) {
        cut = true
        text += '…'
        break
      }
      each(i)
    }
    text += keys.length > 0 ? line(depth) + close : close
  }
  const write = (value: unknown, depth: number): void => {
    if (typeof value === 'string') string(value)
    else if (Array.isArray(value)) list('[', ']', value, (i) => write(value[i], depth + 1), depth)
    else if (typeof value === 'object' && value !== null) {
      const keys = Object.keys(value)
      const entry = (i: number) => {
        string(keys[i]!)
        text += ': '
        write((value as Record<string, unknown>)[keys[i]!], depth + 1)
      }
      list('{', '}', keys, entry, depth)
    } else text += String(value)
  }
  write(value, 0)
  return { text, cut }
}

/** An event as one row of a list. */
export function preview({
  category,
  streamId,
  version,
  position,
  type,
  recordedAt,
  data,
  tags,
}: RecordedEvent) {
  return {
    category,
    streamId,
    version,
    position,
    type,
    recordedAt: recordedAt.getTime(),
    data: show(data, 240).text,
    tags,
  }
}

export type Preview = ReturnType<typeof preview>

/** An event of the tail, small enough to keep many. */
export type TailEvent = Preview & Pick<RecordedEvent, 'id'>
