// The methods of a store that read stored events and then new ones, with their documentation.

import type { Observable } from 'rxjs'
import type { Selector } from '../events/selector.ts'
import type { AnyCategory, SelectedEvent, TypeOf } from '../events/types.ts'
import type { EventsOptions } from './observer.ts'

/** Every kind of store has these. */
export interface LiveMethods {
  /**
   * Returns the selected events as a cold Observable: first the stored events after `from`, then new ones as they are appended.
   *
   * Events come in position order, each exactly once, and never one that could still roll back. A lost connection is not an
   * error: the Observable continues after the last event that it emitted.
   *
   * **There is no back-pressure**, because RxJS has none. If your consumer is slow, use `iterate` or a subscription.
   *
   * @throws HistoryLostError (as an error of the Observable) if a standby took over that is missing events: emitted events may
   *   no longer exist, and their positions will be used again; also if `from` is ahead of the store's last position
   * @throws UpcastError (as an error of the Observable) if a zod category cannot read a stored event
   * @example
   * meow.events({ category: 'order' }, { from: 'end' }).subscribe((event) => console.log(event.type))
   */
  events<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    selector: Selector<C, T>,
    options?: EventsOptions,
  ): Observable<SelectedEvent<C, T>>

  /**
   * Returns the same events as an async iterable, which reads at most two pages ahead of its consumer (2,000 events, or half
   * of `maxBufferedBytes`). It throws the errors of `events`.
   *
   * @example
   * for await (const event of meow.iterate({ category: 'order' }, { live: false })) console.log(event.type)
   */
  iterate<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    selector: Selector<C, T>,
    options?: EventsOptions,
  ): AsyncIterable<SelectedEvent<C, T>>
}
