import type { Evidence } from './evidence.ts'
import { named, of, selects } from './evidence.ts'

/** Every committed event was handled by each subscription that selects it, and nothing else ever reached a handler. */
export function* delivered({ events, subscriptions, effects, lines }: Evidence): Generator<string> {
  const [begun, done] = [of(lines, 'begun'), of(lines, 'done')]
  for (const { name, categories, transactional } of subscriptions) {
    const selected = new Map(
      events.filter((event) => selects(categories, event)).map((event) => [event.id, event]),
    )
    const handled = new Set(
      (transactional ? effects : done).filter((one) => one.subscription === name).map(({ id }) => id),
    )
    for (const [id, event] of selected) if (!handled.has(id)) yield `${name} never handled ${named(event)}`
    for (const { subscription, id, position } of begun) {
      if (subscription === name && selected.get(id)?.position !== position)
        yield `${name} was given what is not committed, or not selected: ${id} at ${position}`
    }
  }
}

/** Versions of a stream have no gap, and each subscription was first given them in that order. */
export function* ordered({ events, subscriptions, lines }: Evidence): Generator<string> {
  const byId = new Map(events.map((event) => [event.id, event]))
  const dense = new Map<string, number>()
  for (const event of events) {
    const stream = `${event.category}/${event.streamId}`
    const next = dense.get(stream) ?? 0
    if (event.version !== next) yield `not dense: ${named(event)}, expected version ${next}`
    dense.set(stream, event.version + 1)
  }
  const begun = of(lines, 'begun').sort((a, b) => a.tick - b.tick)
  for (const { name } of subscriptions) {
    const seen = new Set<string>()
    const nexts = new Map<string, number>()
    for (const { subscription, id } of begun) {
      const event = byId.get(id)
      if (subscription !== name || !event || seen.has(id)) continue
      seen.add(id)
      const stream = `${event.category}/${event.streamId}`
      const next = nexts.get(stream) ?? 0
      if (event.version !== next) yield `${name}, out of order: ${named(event)}, expected version ${next}`
      nexts.set(stream, event.version + 1)
    }
  }
}

/** A transactional handler's effect occurs at most once. (`delivered` checks that it occurs at all.) */
export function* once({ events, subscriptions, effects }: Evidence): Generator<string> {
  const ids = new Set(events.map(({ id }) => id))
  for (const { name } of subscriptions.filter(({ transactional }) => transactional)) {
    const seen = new Set<string>()
    for (const { subscription, id } of effects) {
      if (subscription !== name) continue
      if (seen.has(id)) yield `${name}: an effect more than once: ${id}`
      if (!ids.has(id)) yield `${name}: an effect of what is not committed: ${id}`
      seen.add(id)
    }
  }
}
