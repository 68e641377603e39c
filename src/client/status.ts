// What is known of the connections of a remote: `status$`.
import { Observable } from 'rxjs'
import { wall } from './clock.ts'

/** How a remote is. */
export interface RemoteStatus {
  /**
   * `idle`: nothing is read. `connecting`: not every reader has been connected yet. `live`: every reader is connected.
   * `reconnecting`: at least one has lost its connection, and tries again.
   */
  readonly state: 'idle' | 'connecting' | 'live' | 'reconnecting'
  /** Since when. */
  readonly since: Date
  /** Why it is reconnecting. */
  readonly cause?: unknown
}

/** How one reader is. */
export interface ReaderStatus {
  set(state: 'connecting' | 'live' | 'reconnecting', cause?: unknown): void
  /** It reads no longer. */
  end(): void
}

export class Statuses {
  readonly #readers = new Map<object, { state: RemoteStatus['state']; cause?: unknown }>()
  readonly #observers = new Set<(status: RemoteStatus) => void>()
  #current: RemoteStatus = { state: 'idle', since: new Date(wall()) }

  readonly status$ = new Observable<RemoteStatus>((subscriber) => {
    const tell = (status: RemoteStatus) => subscriber.next(status)
    this.#observers.add(tell)
    tell(this.#current)
    return () => this.#observers.delete(tell)
  })

  add(): ReaderStatus {
    const key = {}
    let ended = false
    const set = (state: RemoteStatus['state'], cause?: unknown) => {
      if (ended) return
      this.#readers.set(key, { state, cause })
      this.#update()
    }
    set('connecting')
    return {
      set,
      end: () => {
        ended = true
        this.#readers.delete(key)
        this.#update()
      },
    }
  }

  #update(): void {
    const all = [...this.#readers.values()]
    const worst =
      all.find(({ state }) => state === 'reconnecting') ??
      all.find(({ state }) => state === 'connecting') ??
      all[0]
    const state = worst?.state ?? 'idle'
    if (state === this.#current.state) return
    const cause = worst?.cause === undefined ? {} : { cause: worst.cause }
    this.#current = { state, since: new Date(wall()), ...cause }
    for (const tell of [...this.#observers]) tell(this.#current)
  }
}
