import type { Random } from '../support/random.ts'
import { random } from '../support/random.ts'
import { faults } from './faults.ts'

/** A fault: when it begins, how long it lasts and, if it affects one executor, which one. */
export interface Step {
  readonly fault: string
  readonly atMs: number
  readonly forMs: number
  readonly slot: number
  readonly seed: number
}

/** How long faults last; in long runs up to `longer` times as long. */
const LASTING: Readonly<Record<string, [number, number]>> = {
  blackhole: [300, 3_500],
  'blackhole there': [300, 3_500],
  'blackhole back': [300, 3_500],
  slow: [500, 2_000],
  'lose answers': [300, 1_500],
  'lose notifications': [500, 3_000],
  'no listener': [500, 3_000],
  outage: [500, 1_500],
  'cut off': [500, 1_500],
  'freeze an executor': [300, 3_000],
  'kill an executor': [0, 500],
  'close an executor': [0, 500],
  'freeze a backend': [200, 2_000],
  'foreign transaction': [1_000, 5_000],
  'foreign transaction elsewhere': [1_000, 5_000],
  'orphan prepared transaction': [1_000, 5_000],
  'idle in transaction': [1_000, 5_000],
  trouble: [500, 2_000],
  'no connection left': [200, 1_000],
}

/** While the whole server is down, there is nothing that another fault could happen to. */
const ALONE = ['outage', 'cut off', 'kill the server', 'restart the server']

export interface ScheduleOptions {
  readonly seconds: number
  readonly executors: number
  /** A silent loss is only found by polling, so it is left out if nobody polls. */
  readonly push: boolean
  /** One outage lasts so long. */
  readonly outageMs?: number
  /** More faults than those of faults.ts, and how long they last: least and most, in ms. */
  readonly more?: Readonly<Record<string, [number, number]>>
}

/** Faults in random order over this many seconds; each kind comes once before any comes again, and many overlap. */
export function schedule(
  seed: number,
  { seconds, executors, push, outageMs, more = {} }: ScheduleOptions,
): Step[] {
  const dice = random(seed)
  const names = [...Object.keys(faults), ...Object.keys(more)].filter(
    (name) => !push || name !== 'lose notifications',
  )
  const steps: Step[] = []
  let deck: string[] = []
  let atMs = 200
  const longer = seconds > 20 ? 2 : 1
  if (outageMs) deck = [...shuffled(names, dice).slice(0, 8), 'outage']
  while (atMs < seconds * 1_000 - 300) {
    if (deck.length === 0) deck = shuffled(names, dice)
    const fault = deck.shift()!
    const [least, most] = LASTING[fault] ?? more[fault] ?? [0, 0]
    const long = fault === 'outage' && outageMs && !steps.some((step) => step.fault === 'outage')
    const forMs = long ? outageMs : dice.int(least, most * longer)
    steps.push({ fault, atMs, forMs, slot: dice.int(0, executors - 1), seed: dice.int(0, 2 ** 32 - 1) })
    atMs += (ALONE.includes(fault) ? forMs : 0) + dice.int(50, 900 * longer)
  }
  return steps
}

function shuffled<T>(items: readonly T[], dice: Random): T[] {
  const rest = [...items]
  return items.map(() => rest.splice(dice.int(0, rest.length - 1), 1)[0]!)
}
