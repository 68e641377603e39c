interface Timed {
  readonly next: number | null
  readonly number: number
}

/** The timer that fires first: of those at the same time, the one that was made first. */
export function firstOf<T extends Timed>(timers: Iterable<T>): T | undefined {
  let first: T | undefined
  for (const timer of timers) {
    if (timer.next === null) continue
    if (!first || timer.next < first.next! || (timer.next === first.next && timer.number < first.number))
      first = timer
  }
  return first
}
