import type { FindHead } from '../append/append.ts'
import { checkStream } from '../append/request.ts'
import type { Queries } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import type { StreamRef } from '../events/event.ts'
import type { Reader } from './reader.ts'

/** `FindHead` by a reader. It does not use the stream's category, whose schema may not be able to read the event. */
export const headBy =
  (reader: Pick<Reader, 'load'>): FindHead =>
  async ({ category, streamId }, client) => {
    const last = { direction: 'backward', limit: 1, ...(client ? { client } : {}) } as const
    const [event] = await reader.load({ category, streamId }, last)
    return { version: event?.version ?? -1, position: event?.position ?? 0 }
  }

/** The version of a stream's last event; -1 if there is none. */
export async function lastVersion(db: Queries, stream: StreamRef): Promise<number> {
  const [row] = await db.query(statements.lastVersion, checkStream(stream))
  return Number(row![0])
}
