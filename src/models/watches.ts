import type { MonoTypeOperatorFunction } from 'rxjs'
import { Observable, ReplaySubject, share } from 'rxjs'
import { abortWith, sharedController } from '../core/abort.ts'
import { ClosedError, HistoryLostError } from '../core/errors.ts'
import { name } from '../core/fields.ts'
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

/** The state of a stream, and the version of the last event that is in it; -1: there is none. */
export interface Watched<S> {
  readonly state: S
  readonly version: number
}

/**
 * The states of streams, live: loaded once, then moved on by the events that follow the last one that was loaded.
 *
 * What is loaded may be above the horizon: it is committed, and of one stream nothing can appear below it any more. So the
 * tail goes on behind it, and nothing is lost in between or seen twice.
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

  /** All who watch one stream by one decider share what is read and folded, as long as there is one. */
  watch<S>(decider: Decider<any, any, S>, streamId: string): Observable<Watched<S>> {
    checkDecider(decider)
    const key = streamKey(streamOf(decider.category, parse(name, streamId, 'streamId')))
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
        const say = () => subscriber.next({ state: at.state, version: at.version })
        say()
        const events = this.#observer.events(
          { category, streamId },
          { from: { after: at.position }, signal: stop.signal },
        )
        const following = events.subscribe({
          next: (event) => {
            if (event.version <= at.version) {
              // The store was emptied (`resetStore`): the stream begins anew.
              following.unsubscribe()
              return load()
            }
            try {
              at = fold(decider, at, [event])
            } catch (error) {
              return subscriber.error(error)
            }
            say()
          },
          // The store has gone back: its state is what it has now.
          error: (error) => (error instanceof HistoryLostError ? load() : subscriber.error(error)),
          complete: () => subscriber.complete(),
        })
      }
      const patient = retryPolicy(this.#db, stop.signal)
      const load = () => {
        this.#states
          .read(decider, streamId, { ask: (query) => retryForever(query, patient, isTransientAtStart) })
          .then(follow)
          .catch((error) => (stop.signal.aborted ? undefined : subscriber.error(error)))
      }
      load()
      return () => stop.abort()
    })
  }

  /** Completes every Observable. */
  close(): void {
    this.#closing.abort()
  }
}

/** The latest at once, then what comes; `ended` is called when nobody watches any more. */
function shareLatest<T>(ended: () => void): MonoTypeOperatorFunction<T> {
  return (source) =>
    new Observable<T>((subscriber) => {
      subscriber.add(ended)
      return source.subscribe(subscriber)
    }).pipe(share({ connector: () => new ReplaySubject<T>(1) }))
}
