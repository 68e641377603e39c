import { finalize, identity, map, Observable } from 'rxjs'
import { z } from 'zod'
import type { Queries } from '../database.ts'
import { ClosedError, HistoryLostError } from '../errors.ts'
import type { RecordedEvent } from '../event.ts'
import { parse, position, signal } from '../options.ts'
import { PageReader } from '../read/page.ts'
import type { Reader } from '../read/reader.ts'
import type { Selection, Selector } from '../read/selector.ts'
import { select } from '../read/selector.ts'
import { abortWith, manyWaitFor } from './abort.ts'
import { Feed } from './feed.ts'
import type { Source } from './iterate.ts'
import { iterate } from './iterate.ts'
import type { Live } from './live.ts'
import { PAGE_SIZE } from './live.ts'
import { observe } from './observe.ts'
import { patience, persist } from './patience.ts'
import { aborted } from './tail.ts'

/** Where to begin: at the first event, at the horizon of now, or after a position. */
export type From = 'start' | 'end' | { after: number }

export interface EventsOptions {
  /** Default `'start'`. */
  from?: From
  /** `false`: complete at the horizon found at the start. Default `true`: go on for ever. */
  live?: boolean
  /** Completes the Observable, or ends the iteration, when it aborts. */
  signal?: AbortSignal
}

export const from = z.union([z.enum(['start', 'end']), z.strictObject({ after: position })], {
  error: `must be 'start', 'end' or { after: position }`,
})
const eventsOptions = z.strictObject({
  from: from.default('start'),
  live: z.boolean().default(true),
  signal: signal.optional(),
})

/** Events without a checkpoint: pushed as an Observable, or pulled as an AsyncIterable. */
export class Observer {
  readonly #db: Queries
  readonly #live: Live
  readonly #reader: Reader
  readonly #closing = manyWaitFor()

  constructor(db: Queries, live: Live, reader: Reader) {
    this.#db = db
    this.#live = live
    this.#reader = reader
  }

  events(selector: Selector, options: EventsOptions = {}): Observable<RecordedEvent> {
    const selection = select(selector)
    const { from, live, signal } = parse(eventsOptions, options, 'options')
    return new Observable<RecordedEvent>((subscriber) => {
      const stop = abortWith(this.#closing.signal, signal)
      const ended = stop.signal
      ended.addEventListener('abort', () => subscriber.complete())
      if (this.#closing.signal.aborted) return subscriber.error(new ClosedError())
      if (ended.aborted) return subscriber.complete()
      this.#open(selection, from, live, ended).then(
        ({ feed, until }) => {
          if (ended.aborted) return feed.close()
          const subscription = observe(() => feed.next(), until)
            .pipe(
              selection.view ? map(selection.view) : identity,
              finalize(() => feed.close()),
            )
            .subscribe(subscriber)
          ended.addEventListener('abort', () => subscription.unsubscribe())
        },
        (error) => (ended.aborted ? undefined : subscriber.error(error)),
      )
      return () => stop.abort()
    })
  }

  iterate(selector: Selector, options: EventsOptions = {}): AsyncIterable<RecordedEvent> {
    const selection = select(selector)
    const { from, live, signal } = parse(eventsOptions, options, 'options')
    return {
      [Symbol.asyncIterator]: () => {
        if (this.#closing.signal.aborted) throw new ClosedError()
        const stop = abortWith(this.#closing.signal, signal)
        return iterate(() => this.#open(selection, from, live, stop.signal), stop, selection.view)
      },
    }
  }

  async #open(selection: Selection, from: From, live: boolean, signal: AbortSignal): Promise<Source> {
    const { era } = this.#db.history
    const horizon =
      live && from !== 'end'
        ? Infinity
        : await persist(() => this.#reader.horizon(selection), patience(this.#db, signal))
    const after = from === 'start' ? 0 : from === 'end' ? horizon : from.after
    if (after > this.#db.history.position) this.#report(after, signal)
    if (live) return { feed: this.#live.follow(selection, after), until: Infinity }
    const pages = new PageReader(this.#db, selection)
    const read = (after: number, signal: AbortSignal) =>
      after >= horizon
        ? Promise.resolve({ events: [], hashes: [], after, position: after })
        : aborted(
            persist(() => pages.forward(after, horizon, PAGE_SIZE), patience(this.#db, signal)),
            era,
          )
    return { feed: new Feed(read, after), until: horizon }
  }

  /** One may wait for what is still to come; but where the position comes from elsewhere, events up to it are passed over. */
  #report(after: number, signal: AbortSignal): void {
    persist(() => this.#reader.reaches(after), patience(this.#db, signal)).catch((error) => {
      if (error instanceof HistoryLostError)
        this.#db.settings.logger.error({ err: error }, 'a position to begin after is ahead of the store')
    })
  }

  /** Completes every Observable and ends every iteration. */
  close(): void {
    this.#closing.abort()
  }
}
