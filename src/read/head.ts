import type { FindHead } from '../append/append.ts'
import type { Reader } from './reader.ts'

/** `FindHead` by a reader; the stream's own type is left out, whose schema may not be able to read the event. */
export const headBy =
  (reader: Pick<Reader, 'load'>): FindHead =>
  async ({ category, streamId }, client) => {
    const last = { direction: 'backward', limit: 1, ...(client ? { client } : {}) } as const
    const [event] = await reader.load({ category, streamId }, last)
    return { version: event?.version ?? -1, position: event?.position ?? 0 }
  }
