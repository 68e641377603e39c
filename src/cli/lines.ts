// Reads lines from a stream.
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { StringDecoder } from 'node:string_decoder'
import { UsageError } from './arguments.ts'

/** The largest length of a line in characters: more than an append can hold. */
const MAX_LINE = 256 * 1024 * 1024

export interface Line {
  readonly text: string
  /** The number of the line, starting at 1. */
  readonly number: number
  /** How many bytes of the input were read so far. */
  readonly bytes: number
}

/** The lines of a stream that are not blank, read only as fast as they are consumed. */
export async function* lines(input: Readable, signal?: AbortSignal): AsyncGenerator<Line> {
  const stop = () => input.destroy() // the next chunk may take long to come
  signal?.addEventListener('abort', stop)
  try {
    yield* split(input, signal)
  } catch (error) {
    if (!signal?.aborted) throw error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

async function* split(input: AsyncIterable<Buffer>, signal?: AbortSignal): AsyncGenerator<Line> {
  const decoder = new StringDecoder('utf8')
  let rest: string[] = []
  let size = 0
  let number = 0
  let bytes = 0
  for await (const chunk of input) {
    if (signal?.aborted) return
    bytes += chunk.length
    const parts = decoder.write(chunk).split('\n')
    const last = parts.pop()!
    for (const part of parts) {
      const text = rest.length > 0 ? rest.join('') + part : part
      rest = []
      size = 0
      number++
      if (text.trim() !== '') yield { text, number, bytes }
      if (signal?.aborted) return
    }
    rest.push(last)
    size += last.length
    if (size > MAX_LINE) throw new UsageError(`line ${number + 1} is longer than ${MAX_LINE} characters`)
  }
  const text = rest.join('') + decoder.end()
  if (text.trim() !== '') yield { text, number: number + 1, bytes }
}

/** Reads all of stdin. */
export const wholeText = (): Promise<string> => text(process.stdin)
