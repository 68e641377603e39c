/** Runs actions with the same key one after the other, in the order of the calls. A key without actions takes no memory. */
export class KeyedQueue<K> {
  readonly #last = new Map<K, Promise<void>>()

  /** Runs `action` after all earlier actions with any of these keys have settled. */
  run<T>(keys: readonly K[], action: () => Promise<T>): Promise<T> {
    const earlier = keys.flatMap((key) => this.#last.get(key) ?? [])
    const turn = Promise.all(earlier).then(action)
    const settled = turn.then(
      () => {},
      () => {},
    )
    for (const key of keys) this.#last.set(key, settled)
    settled.then(() => {
      for (const key of keys) if (this.#last.get(key) === settled) this.#last.delete(key)
    })
    return turn
  }

  /** Resolves after the last action with this key has settled; undefined if there is none. */
  last(key: K): Promise<void> | undefined {
    return this.#last.get(key)
  }

  /** Resolves after all actions that were started have settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#last.values())
  }
}
