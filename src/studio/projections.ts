// The versions of projections, for the page: how far each is, how fast, and how long it will take.
import { after, now } from '../core/clock.ts'
import { messageOf } from '../core/describe.ts'
import { redactText } from '../core/secrets.ts'
import type { Meow } from '../meow.ts'
import type { ProjectionInfo } from '../projections/list.ts'
import type { Pace } from '../projections/pace.ts'
import { Pacer } from '../projections/pace.ts'

/** How long a request waits for a rebuild, in ms. */
const WAIT_MS = 1_500

export interface ProjectionVersion extends Omit<ProjectionInfo, 'horizon'>, Pace {
  /** The part that is done, from 0 to 1. */
  readonly done: number
}

/** Adds to each version how fast it is, from its last samples. */
export class Paces {
  #pacers = new Map<string, Pacer>()

  add(all: readonly ProjectionInfo[], at = now()): ProjectionVersion[] {
    const before = this.#pacers
    this.#pacers = new Map()
    return all.map(({ horizon, ...info }) => {
      const key = JSON.stringify([info.name, info.version, info.generation])
      const pacer = before.get(key) ?? new Pacer()
      this.#pacers.set(key, pacer)
      const { rate, etaMs } = pacer.add({ ...info, horizon }, at)
      const { lag, position } = info
      const done = lag === 0 ? 1 : horizon > 0 ? Math.min(position / horizon, 0.999) : 0
      // Whole numbers: a page is told only what has changed.
      return { ...info, rate: Math.round(rate), etaMs: etaMs && Math.ceil(etaMs / 1_000) * 1_000, done }
    })
  }
}

/** The rebuilds that were asked for here. One may take hours, and no request waits for that. */
export class Rebuilds {
  readonly #meow: Meow
  readonly #stop = new AbortController()
  readonly #running = new Map<string, Promise<void>>()
  readonly #failed = new Map<string, string>()

  constructor(meow: Meow) {
    this.#meow = meow
  }

  /** By the names of projections, why their last rebuilds have failed. */
  get failed(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#failed)
  }

  /** Whether it is done already; if not, it goes on. Rejects with an error that comes at once. */
  async start(name: string): Promise<boolean> {
    let isWaiting = true
    const rebuild =
      this.#running.get(name) ?? this.#meow.rebuildProjection(name, { signal: this.#stop.signal })
    this.#running.set(name, rebuild)
    this.#failed.delete(name)
    const ended = rebuild
      .finally(() => this.#running.delete(name))
      .then(
        () => true,
        (error) => {
          if (isWaiting) throw error
          if (!this.#stop.signal.aborted) this.#failed.set(name, redactText(messageOf(error)))
          return false
        },
      )
    let cancel = () => {}
    const later = new Promise<false>((resolve) => {
      cancel = after(WAIT_MS, () => resolve(false))
    })
    try {
      return await Promise.race([ended, later])
    } finally {
      isWaiting = false
      cancel()
    }
  }

  /** Waits for none any more; they go on in the processes that run the projections. */
  close(): void {
    this.#stop.abort()
  }
}
