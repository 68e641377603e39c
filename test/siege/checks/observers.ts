import type { Evidence } from './evidence.ts'
import { countUpTo, grouped, named, of, selects } from './evidence.ts'

/** Each observer saw every committed event between its start and its current position, once, in the order of positions. */
export function* observers({ events, lines }: Evidence): Generator<string> {
  const seenBy = grouped(of(lines, 'seen'), ({ pid, observer }) => `${pid} ${observer}`)
  for (const { pid, observer, categories, after } of of(lines, 'observing')) {
    const who = `observer ${observer} of process ${pid}`
    const seen = seenBy.get(`${pid} ${observer}`) ?? []
    const last = seen.at(-1)?.position ?? after
    const due = events.filter(
      (event) => event.position > after && event.position <= last && selects(categories, event),
    )
    let i = 0
    let before = after
    for (const { id, position } of seen) {
      if (position <= before) yield `${who} saw ${position} after ${before}`
      else {
        for (; i < due.length && due[i]!.position < position; i++)
          yield `${who} did not see ${named(due[i]!)}`
        if (due[i]?.id === id) i++
        else yield `${who} saw what is not committed, or not selected: ${id} at ${position}`
        before = position
      }
    }
  }
  for (const { pid, observer, error } of of(lines, 'observed'))
    if (error) yield `observer ${observer} of process ${pid} ended: ${error}`
}

/** A page contains all committed events of its range; a page that is not full reaches the horizon, below which nothing appears later. */
export function* pages({ events, lines }: Evidence): Generator<string> {
  const end = events.at(-1)?.position ?? 0
  const byPosition = new Map(events.map((event) => [event.position, event]))
  const selected = new Map<string, number[]>()
  for (const { pid, categories, after, positions, position, horizon, full } of of(lines, 'page')) {
    const what = `a page of process ${pid}, after ${after}`
    // The horizon may step back. Then a page begins above it, and ends where it began.
    if (horizon > end || position > Math.max(horizon, after))
      yield `${what}, is past the horizon: to ${position}, horizon ${horizon}, last event ${end}`
    const key = JSON.stringify(categories)
    if (!selected.has(key)) {
      const own = events.filter((event) => selects(categories, event))
      selected.set(
        key,
        own.map((event) => event.position),
      )
    }
    const until = full ? positions.at(-1)! : Math.max(horizon, position)
    const all = selected.get(key)!
    const due = all.slice(countUpTo(all, after), countUpTo(all, until))
    const there = new Set(positions)
    for (const one of due)
      if (!there.has(one)) yield `${what}, lacks ${named(byPosition.get(one)!)}, horizon ${horizon}`
    if (positions.length !== due.length)
      yield `${what}, has ${positions.length} events, and ${due.length} are committed`
  }
}

/** What no process may say. */
export function* broken({ lines }: Evidence): Generator<string> {
  for (const { pid, what } of of(lines, 'broken')) yield `process ${pid}: ${what}`
}
