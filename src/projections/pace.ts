import type { ProjectionInfo } from './list.ts'

/** How fast a version handles events. */
export interface Pace {
  /** Events a second, over the last seconds; 0: none, or not known yet. */
  rate: number
  /** When it will have caught up, in ms from now; 0: it has; null: not known. */
  etaMs: number | null
}

type Progress = Pick<ProjectionInfo, 'position' | 'horizon' | 'lag' | 'generation'>

/** Over how many samples the rate is taken. */
const SAMPLES = 10

/**
 * Tells the pace of a version from samples of its progress. A checkpoint counts positions and not events; how many of the positions
 * are events of this version is known from what lies ahead: `lag` events between `position` and `horizon`.
 */
export class Pacer {
  readonly #samples: { at: number; position: number }[] = []
  #generation = 0
  #density = 1

  add({ position, horizon, lag, generation }: Progress, at: number): Pace {
    if (generation !== this.#generation) this.#samples.length = 0
    this.#generation = generation
    if (lag > 0 && horizon > position) this.#density = Math.min(lag / (horizon - position), 1)
    this.#samples.push({ at, position })
    if (this.#samples.length > SAMPLES) this.#samples.shift()
    const [first] = this.#samples
    const ms = at - first!.at
    const rate = ms > 0 ? (Math.max(position - first!.position, 0) * this.#density * 1000) / ms : 0
    return { rate, etaMs: lag === 0 ? 0 : rate > 0 ? Math.ceil((lag / rate) * 1000) : null }
  }
}
