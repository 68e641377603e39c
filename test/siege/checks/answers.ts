import type { Evidence } from './evidence.ts'
import { grouped, named, of, stream } from './evidence.ts'

interface Tried {
  readonly what: string
  readonly ids: readonly string[]
  /** Attempts of one transaction, of one process. */
  readonly transaction: string | undefined
  outcome: 'done' | 'refused' | 'unknown'
}

/** The answer to an append is true: written, not written, or unknown, and then all of its events were written or none. */
export function* answers({ events, lines }: Evidence): Generator<string> {
  const byId = new Map(events.map((event) => [event.id, event]))
  const tries = new Map<string, Tried>()
  for (const { pid, n, what, ids, transaction } of of(lines, 'try')) {
    const group = transaction === undefined ? undefined : `${pid} ${transaction}`
    tries.set(`${pid} ${n}`, { what, ids, transaction: group, outcome: 'unknown' }) // until it is told
  }
  for (const { pid, n, outcome } of of(lines, 'told')) tries.get(`${pid} ${n}`)!.outcome = outcome

  const there = ({ ids }: Tried) => ids.filter((id) => byId.has(id)).length
  for (const tried of tries.values()) {
    const { what, ids, outcome } = tried
    const count = there(tried)
    const right = (outcome !== 'refused' && count === ids.length) || (outcome !== 'done' && count === 0)
    if (!right)
      yield `${what} was told "${outcome}", and ${count} of its ${ids.length} events are there: ${ids}`
  }

  // A transaction is written as a whole, except for what was rolled back to a savepoint.
  const kept = [...tries.values()].filter((one) => one.transaction && one.outcome !== 'refused')
  for (const [transaction, all] of grouped(kept, (one) => one.transaction)) {
    const present = all.filter((one) => there(one) > 0).length
    if (present > 0 && present < all.length)
      yield `transaction ${transaction}: only ${present} of its ${all.length} appends are there`
  }

  for (const { pid, n, deduplicated, events: told } of of(lines, 'answer')) {
    const { what } = tries.get(`${pid} ${n}`)!
    if (what === 'again' && !deduplicated)
      yield `an append that was repeated says that it is new: ${told[0]?.[0]}`
    for (const [id, version, position] of told) {
      const event = byId.get(id)
      if (event && (event.version !== version || event.position !== position))
        yield `${what} was answered version ${version} at ${position}, and it is ${named(event)}`
    }
  }

  const last = new Map(events.map((event) => [stream(event), event.version]))
  for (const { stream, expected, actual } of of(lines, 'conflict')) {
    const isConflict = expected === 'no-stream' ? actual >= 0 : expected !== actual
    if (!isConflict || actual > (last.get(stream) ?? -1))
      yield `a conflict that is none: ${stream} at ${actual}, expected ${expected}, and it ended at ${last.get(stream)}`
  }

  const ids = new Set([...tries.values()].flatMap((one) => one.ids))
  for (const event of events) if (!ids.has(event.id)) yield `written by nobody: ${named(event)}`
}
