import { text } from 'node:stream/consumers'
import { StringDecoder } from 'node:string_decoder'
import { UsageError } from './arguments.ts'

/** Characters of one line at most: what an append can carry, and then some. */
const MAX_LINE = 256 * 1024 * 1024

export interface Line {
  readonly text: string
  /** From 1. */
  readonly number: number
  /** Of the bytes of the input, how many are read. */
  readonly bytes: number
}

/** The lines of a stream that hold something, read no faster than they are taken. */
export async function* lines(input: AsyncIterable<Buffer>, signal?: AbortSignal): AsyncGenerator<Line> {
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

/** All of stdin. */
export const wholeText = (): Promise<string> => text(process.stdin)
