import { finalize, identity, map, Observable } from 'rxjs'
import { z } from 'zod'
import { abortWith, sharedController } from '../core/abort.ts'
import { ClosedError } from '../core/errors.ts'
import { positionSchema, signalSchema } from '../core/fields.ts'
import { isDate } from '../core/kinds.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Selection, Selector } from '../events/selector.ts'
import { select } from '../events/selector.ts'
import type { Source } from './iterate.ts'
import { iterate } from './iterate.ts'
import { observe } from './observe.ts'

/**
 * Where to begin: at the first event, at the horizon as it is now, after a position, or at the first event that was recorded at or
 * after a moment. A text is read as `new Date(text)` does: give it a time zone, such as `2026-01-31T14:00Z`. If an append is open,
 * a few events that were recorded before that moment may come, too.
 */
export type From = 'start' | 'end' | { after: number } | { since: Date | string }

/** Options of `events` and `iterate`. */
export interface EventsOptions {
  /** Where to begin. Default `'start'`. */
  from?: From | undefined
  /** Whether to wait for new events. Default true; false: complete at the horizon found at the start. */
  live?: boolean | undefined
  /** Completes the Observable, or ends the iteration, when it aborts. */
  signal?: AbortSignal | undefined
}

const sinceSchema = z.custom<Date | string>(
  (since) => (isDate(since) || typeof since === 'string') && !Number.isNaN(new Date(since).getTime()),
)
export const fromSchema = z.union(
  [
    z.enum(['start', 'end']),
    z.strictObject({ after: positionSchema }),
    z.strictObject({ since: sinceSchema.transform((since) => new Date(since)) }), // a copy: the caller may change its own
  ],
  { error: `must be 'start', 'end', { after: position } or { since: a Date, or a text that Date can read }` },
)
const eventsOptionsSchema = z.strictObject({
  from: fromSchema.default('start'),
  live: z.boolean().default(true),
  signal: signalSchema.optional(),
})

/** Opens the pages that an observer reads: without end if `live`, otherwise up to the horizon as it is now. */
export type OpenSource = (
  selection: Selection,
  from: From,
  live: boolean,
  signal: AbortSignal,
) => Promise<Source>

/** Serves events without a checkpoint, as an Observable or as an AsyncIterable. */
export class Observer {
  readonly #open: OpenSource
  readonly #closing = sharedController()

  constructor(open: OpenSource) {
    this.#open = open
  }

  events(selector: Selector, options: EventsOptions = {}): Observable<RecordedEvent> {
    const selection = select(selector)
    const { from, live, signal } = parse(eventsOptionsSchema, options, 'options')
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
    const { from, live, signal } = parse(eventsOptionsSchema, options, 'options')
    return {
      [Symbol.asyncIterator]: () => {
        if (this.#closing.signal.aborted) throw new ClosedError()
        return iterate(
          (stop) => this.#open(selection, from, live, stop),
          () => abortWith(this.#closing.signal, signal),
          selection.view,
        )
      },
    }
  }

  /** Live pages of a selection, for a caller that closes the feed itself. They end when the store is closed. */
  async follow(selection: Selection, from: From, signal: AbortSignal): Promise<Source> {
    if (this.#closing.signal.aborted) throw new ClosedError()
    return this.#open(selection, parse(fromSchema, from, 'from'), true, signal)
  }

  /** Completes every Observable and ends every iteration. */
  close(): void {
    this.#closing.abort()
  }
}
