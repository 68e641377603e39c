import { abortable } from '../core/abort.ts'
import { HistoryLostError } from '../core/errors.ts'
import type { Queries } from '../database/database.ts'
import { isTransientAtStart } from '../database/failures.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { READS } from '../database/retry-reporter.ts'
import { PageReader } from '../read/page-reader.ts'
import type { Reader } from '../read/reader.ts'
import { Feed } from './feed.ts'
import type { Live } from './live.ts'
import { PAGE_SIZE } from './live.ts'
import type { OpenSource } from './observer.ts'

/** Opens pages for observers: from the shared tail, or from the database up to the horizon as it is now. */
export function fromDatabase(
  db: Queries,
  shared: Live,
  reader: Pick<Reader, 'horizon' | 'reaches' | 'positionAt'>,
): OpenSource {
  /** A reader that begins after a position the store has not reached yet would skip the events up to it. */
  const check = (after: number, signal: AbortSignal) =>
    retryForever(() => reader.reaches(after), retryPolicy(db, signal, READS), isTransientAtStart).catch(
      (error) => {
        if (error instanceof HistoryLostError)
          db.settings.logger.error(
            { err: error },
            `a reader can not begin after position ${after}, which the store has not reached: history was lost, or the position belongs to another store; begin after a lower position`,
          )
        throw error
      },
    )
  return async (selection, from, live, signal) => {
    const { current } = db.timeline
    const horizon =
      live && from !== 'end'
        ? Infinity
        : await retryForever(
            () => reader.horizon(selection),
            retryPolicy(db, signal, READS),
            isTransientAtStart,
          )
    const find = (since: Date | string) =>
      retryForever(
        () => reader.positionAt(new Date(since), selection),
        retryPolicy(db, signal, READS),
        isTransientAtStart,
      )
    const after =
      from === 'start' ? 0 : from === 'end' ? horizon : 'since' in from ? await find(from.since) : from.after
    if (typeof from === 'object' && 'after' in from && after > db.timeline.position)
      await check(after, signal)
    if (live) return { feed: shared.follow(selection, after), until: Infinity, after }
    const pages = new PageReader(db, selection, shared.budget)
    const read = (after: number, signal: AbortSignal) =>
      after >= horizon
        ? Promise.resolve({ events: [], hashes: [], sizes: [], bytes: 0, after, position: after })
        : abortable(
            retryForever(() => pages.forward(after, horizon, PAGE_SIZE), retryPolicy(db, signal, READS)),
            current,
          )
    const feed = new Feed(read, after, (position) => position < horizon, shared.budget)
    return { feed, until: horizon, after }
  }
}
