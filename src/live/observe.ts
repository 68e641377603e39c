import type { Observable, ObservableInput } from 'rxjs'
import { concatMap, defer, repeat, takeWhile } from 'rxjs'
import type { RecordedEvent } from '../events/event.ts'
import type { Page } from '../read/page.ts'

/**
 * Emits the events of pages. It asks for the next page when all events of the last one are emitted, and completes after the
 * page that reaches the position `until`; by default it never completes.
 */
export function observe(next: () => ObservableInput<Page>, until = Infinity): Observable<RecordedEvent> {
  return defer(next).pipe(
    repeat(),
    takeWhile((page) => page.position < until, true),
    concatMap((page) => page.events),
  )
}
