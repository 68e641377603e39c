// The checker: replays a log in the order of positions, and finds the first condition that did not hold. It knows the table of events,
// and nothing of locks, horizons or the library.

/** An event as it stands in the log. */
export interface Logged {
  readonly position: number
  readonly type: string
  readonly tags: readonly string[]
  /** The call that wrote it. */
  readonly call: string
  /** Its condition: the query, and the positions of all events that were seen. */
  readonly condition?: { readonly items: readonly Item[]; readonly saw: readonly number[] }
}

interface Item {
  readonly tags: readonly string[]
  readonly types?: readonly string[]
}

/** What was found: an event that should not have been accepted, because of another one. */
export interface Broken {
  readonly event: Logged
  readonly because: Logged
}

/** The first event whose condition did not hold: a matching event stands before it that it had not seen. */
export function firstBroken(log: readonly Logged[]): Broken | undefined {
  const byTag = new Map<string, Logged[]>()
  for (const event of log.toSorted((a, b) => a.position - b.position)) {
    const saw = new Set(event.condition?.saw)
    for (const { tags, types } of event.condition?.items ?? []) {
      const because = byTag
        .get(tags[0]!)
        ?.find(
          (other) =>
            other.call !== event.call &&
            !saw.has(other.position) &&
            tags.every((tag) => other.tags.includes(tag)) &&
            (types === undefined || types.includes(other.type)),
        )
      if (because) return { event, because }
    }
    for (const tag of event.tags) byTag.set(tag, [...(byTag.get(tag) ?? []), event])
  }
  return undefined
}
