import type { Queries } from '../database.ts'
import { PageReader } from '../read/page.ts'
import type { Reader } from '../read/reader.ts'
import { Feed } from './feed.ts'
import type { Live } from './live.ts'
import { PAGE_SIZE } from './live.ts'
import type { OpenSource } from './observer.ts'
import { patience, persist } from './patience.ts'

/** Pages of the database: from the tail that all share, or up to the horizon of now. */
export function fromDatabase(db: Queries, shared: Live, reader: Pick<Reader, 'horizon'>): OpenSource {
  return async (selection, from, live, signal) => {
    const horizon =
      live && from !== 'end' ? Infinity : await persist(() => reader.horizon(selection), patience(db, signal))
    const after = from === 'start' ? 0 : from === 'end' ? horizon : from.after
    if (live) return { feed: shared.follow(selection, after), until: Infinity }
    const pages = new PageReader(db, selection)
    const read = (after: number, signal: AbortSignal) =>
      after >= horizon
        ? Promise.resolve({ events: [], hashes: [], after, position: after })
        : persist(() => pages.forward(after, horizon, PAGE_SIZE), patience(db, signal))
    return { feed: new Feed(read, after), until: horizon }
  }
}
