// Timers, process managers and their instances, for the page.
import { statements } from '../database/statements.ts'
import type { Meow } from '../meow.ts'
import type { TimerFailure } from '../timers/timer.ts'
import { show } from './show.ts'

/** How many timers and instances a page gets at most. */
const MOST = 100
/** The largest length of a state and of an error, in characters. */
const MOST_SHOWN = 16_384

interface Failure {
  readonly attempts: number
  readonly error: string
  /** Null: it is not tried again by itself. */
  readonly retryAt: number | null
}

/** A timer of the store. Times are in ms since 1970. */
export interface ShownTimer {
  readonly key: string
  readonly due: number
  readonly category: string
  readonly streamId: string
  /** The types of its events. */
  readonly types: string[]
  readonly data: string
  readonly failure: Failure | null
}

/** The first timers in the order of their due times. */
export async function timersOf(meow: Meow, prefix = ''): Promise<{ timers: ShownTimer[]; more: boolean }> {
  const all = await meow.scheduled({ limit: MOST + 1, prefix })
  const timers = all.slice(0, MOST).map(({ key, due, stream, events, failure }) => ({
    key,
    due: due.getTime(),
    ...stream,
    types: events.slice(0, 5).map(({ type }) => type),
    data: show(events[0]?.data, 240).text,
    failure: shownFailure(failure),
  }))
  return { timers, more: all.length > MOST }
}

/** A process manager that has instances. Each number is exact up to 10,000. */
export interface ShownManager {
  readonly name: string
  readonly instances: number
  readonly ended: number
  readonly timers: number
  readonly late: number
  readonly failed: number
}

export function managersOf(meow: Meow): Promise<ShownManager[]> {
  return meow.use(async (db) => {
    const rows = await db.query(statements.processManagers, {})
    return rows.map(([name, ...numbers]) => {
      const [instances, ended, timers, late, failed] = numbers.map(Number) as [
        number,
        number,
        number,
        number,
        number,
      ]
      return { name, instances, ended, timers, late, failed }
    })
  })
}

/** The instances of a process manager that changed last, or one of them. */
export async function instancesOf(meow: Meow, name: string, id: string | null) {
  const limit = MOST + 1
  const all = await meow.processInstances(name, { limit, ...(id === null ? {} : { id }) })
  const instances = all.slice(0, MOST).map(({ id, state, timers, updatedAt, ended }) => ({
    id,
    state: show(state, MOST_SHOWN, 2).text,
    timers: timers.map(({ name, due, failure }) => ({
      name,
      due: due.getTime(),
      failure: shownFailure(failure),
    })),
    updatedAt: updatedAt.getTime(),
    ended,
  }))
  return { instances, more: all.length > MOST }
}

function shownFailure(failure: TimerFailure | undefined): Failure | null {
  if (!failure) return null
  const { attempts, error, retryAt } = failure
  return { attempts, error: error.slice(0, MOST_SHOWN), retryAt: retryAt?.getTime() ?? null }
}
