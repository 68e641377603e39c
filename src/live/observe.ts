import type { Observable, ObservableInput } from 'rxjs'
import { concatMap, defer, repeat, takeWhile } from 'rxjs'
import type { RecordedEvent } from '../events/event.ts'
import type { Page } from '../read/page.ts'

/**
 * Events from pages: asks for the next page once the last one is handed on, up to `until` (the position of the last
 * page to take), for ever by default.
 */
export function observe(next: () => ObservableInput<Page>, until = Infinity): Observable<RecordedEvent> {
  return defer(next).pipe(
    repeat(),
    takeWhile((page) => page.position < until, true),
    concatMap((page) => page.events),
  )
}
