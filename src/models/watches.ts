// Implements `watch`: the state of a stream as an Observable.
import type { MonoTypeOperatorFunction } from 'rxjs'
import { Observable, ReplaySubject, share } from 'rxjs'
import { abortWith, sharedController } from '../core/abort.ts'
import { ClosedError, HistoryLostError } from '../core/errors.ts'
import { nameSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import { isTransientAtStart } from '../database/failures.ts'
import type { RetryContext } from '../database/retry-policy.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { streamKey } from '../events/event.ts'
import type { Observer } from '../live/observer.ts'
import { streamOf } from './aggregate.ts'
import type { Decider } from './decider.ts'
import { checkDecider } from './decider.ts'
import type { Folded } from './snapshots.ts'
import type { States } from './states.ts'
import { fold } from './states.ts'

/** The state of a stream, and the version of its last event; -1 if it has none. */
export interface Watched<S> {
  readonly state: S
  readonly version: number
}

/**
 * The live states of streams. Each is loaded once; then the events after the last loaded one are folded in as they arrive.
 *
 * The load may read above the horizon. That is safe: those events are committed, and nothing can appear below them in the
 * same stream. So the tail continues right after the last loaded event, and no event is lost or seen twice.
 */
export class Watches {
  readonly #db: RetryContext
  readonly #observer: Observer
  readonly #states: States
  readonly #shared = new WeakMap<object, Map<string, Observable<Watched<any>>>>()
  readonly #closing = sharedController()

  constructor(db: RetryContext, observer: Observer, states: States) {
    this.#db = db
    this.#observer = observer
    this.#states = states
  }

  /** Subscribers that watch the same stream with the same decider share one Observable while at least one is subscribed. */
  watch<S>(decider: Decider<any, any, S>, streamId: string): Observable<Watched<S>> {
    checkDecider(decider)
    const key = streamKey(streamOf(decider.category, parse(nameSchema, streamId, 'streamId')))
    return new Observable((subscriber) => {
      const watches = this.#shared.get(decider) ?? new Map<string, Observable<Watched<S>>>()
      this.#shared.set(decider, watches)
      const watch =
        watches.get(key) ?? this.#follow(decider, streamId).pipe(shareLatest(() => watches.delete(key)))
      watches.set(key, watch)
      return watch.subscribe(subscriber)
    })
  }

  #follow<S>(decider: Decider<any, any, S>, streamId: string): Observable<Watched<S>> {
    const { category } = decider
    return new Observable((subscriber) => {
      if (this.#closing.signal.aborted) return subscriber.error(new ClosedError())
      const stop = abortWith(this.#closing.signal)
      stop.signal.addEventListener('abort', () => subscriber.complete())
      const follow = (loaded: Folded<S>) => {
        if (stop.signal.aborted) return
        let at = loaded
        const emit = () => subscriber.next({ state: at.state, version: at.version })
        emit()
        const events = this.#observer.events(
          { category, streamId },
          { from: { after: at.position }, signal: stop.signal },
        )
        const following = events.subscribe({
          next: (event) => {
            if (event.version <= at.version) {
              // The store was emptied (`resetStore`), and the stream has started again.
              following.unsubscribe()
              return load()
            }
            try {
              at = fold(decider, at, [event])
            } catch (error) {
              return subscriber.error(error)
            }
            emit()
          },
          // The store has lost events (a standby took over): load the state that it has now.
          error: (error) => (error instanceof HistoryLostError ? load() : subscriber.error(error)),
          complete: () => subscriber.complete(),
        })
      }
      const policy = retryPolicy(this.#db, stop.signal)
      const load = () => {
        this.#states
          .read(decider, streamId, { ask: (query) => retryForever(query, policy, isTransientAtStart) })
          .then(follow)
          .catch((error) => (stop.signal.aborted ? undefined : subscriber.error(error)))
      }
      load()
      return () => stop.abort()
    })
  }

  /** Completes every Observable. New ones fail with ClosedError. */
  close(): void {
    this.#closing.abort()
  }
}

/** Replays the latest value to a new subscriber. `unused` is called when the last subscriber has left. */
function shareLatest<T>(unused: () => void): MonoTypeOperatorFunction<T> {
  return (source) =>
    new Observable<T>((subscriber) => {
      subscriber.add(unused)
      return source.subscribe(subscriber)
    }).pipe(share({ connector: () => new ReplaySubject<T>(1) }))
}
