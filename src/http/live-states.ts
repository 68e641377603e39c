// Server-sent states of one stream: the newest one, whenever the client has room for it.
import type { Observable } from 'rxjs'
import { Condition } from '../core/condition.ts'
import { ClosedError } from '../core/errors.ts'
import { jsonText } from '../core/json-text.ts'
import type { Watched } from '../models/watches.ts'
import type { LiveSource } from './live-response.ts'

const COMMENT = new TextEncoder().encode(':\n\n')

/** A state as it is sent. */
export const stateText = ({ state, version }: Watched<unknown>): string =>
  `{"version":${version},"state":${state === undefined ? 'null' : jsonText(state)}}`

/** Messages with states. A client that is slow gets fewer of them, but always the newest one. */
export function liveStates(states: Observable<Watched<unknown>>): LiveSource {
  const utf8 = new TextEncoder()
  const changed = new Condition()
  let newest: Watched<unknown> | undefined
  let ended = false
  let failure: unknown
  const end = (error?: unknown) => {
    ended = true
    failure = error
    changed.fire()
  }
  const subscription = states.subscribe({
    next: (watched) => {
      newest = watched
      changed.fire()
    },
    error: end,
    complete: () => end(),
  })
  return {
    next: async () => {
      while (!newest && !ended) await changed.next()
      if (!newest) throw failure ?? new ClosedError()
      const text = stateText(newest)
      newest = undefined
      return utf8.encode(`event: state\ndata:${text}\n\n`)
    },
    beat: () => COMMENT,
    close: () => {
      subscription.unsubscribe()
      end()
    },
  }
}
