// The tags that appends lock: which of them would wait for each other.

/** The tags that an append locks. */
export interface LockedTags {
  /** For its condition: nobody else may write or look at them. */
  readonly exclusive: readonly string[]
  /** Which it writes: others may write them, too. */
  readonly shared: readonly string[]
}

/** The tags that some appends lock together. */
export class TagLocks {
  readonly #exclusive = new Map<string, number>()
  readonly #shared = new Map<string, number>()

  add({ exclusive, shared }: LockedTags): void {
    for (const tag of exclusive) this.#exclusive.set(tag, (this.#exclusive.get(tag) ?? 0) + 1)
    for (const tag of shared) this.#shared.set(tag, (this.#shared.get(tag) ?? 0) + 1)
  }

  delete({ exclusive, shared }: LockedTags): void {
    for (const tag of exclusive) take(this.#exclusive, tag)
    for (const tag of shared) take(this.#shared, tag)
  }

  /** Whether one would wait for the other. */
  overlap({ exclusive, shared }: LockedTags): boolean {
    return (
      exclusive.some((tag) => this.#exclusive.has(tag) || this.#shared.has(tag)) ||
      shared.some((tag) => this.#exclusive.has(tag))
    )
  }
}

function take(counts: Map<string, number>, tag: string): void {
  const count = counts.get(tag)! - 1
  if (count === 0) counts.delete(tag)
  else counts.set(tag, count)
}
