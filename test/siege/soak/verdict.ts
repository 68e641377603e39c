import { grouped, of } from '../checks/evidence.ts'
import type { Line } from '../facts.ts'
import type { Figure } from '../report.ts'
import type { Trend } from './trend.ts'
import { leaks, trend } from './trend.ts'

const MB = 1_000_000

/** The metrics that are checked: the unit, and by how much each may grow in the second half of a run. */
const METRICS: Readonly<Record<string, { unit: string; divisor: number; allowed: number }>> = {
  heap: { unit: 'MB', divisor: MB, allowed: 3 },
  external: { unit: 'MB', divisor: MB, allowed: 3 },
  rss: { unit: 'MB', divisor: MB, allowed: 24 },
  handles: { unit: '', divisor: 1, allowed: 4 },
  files: { unit: '', divisor: 1, allowed: 4 },
  connections: { unit: '', divisor: 1, allowed: 4 },
  locks: { unit: '', divisor: 1, allowed: 10 },
  lag: { unit: 'positions', divisor: 1, allowed: 100 },
  walPerEvent: { unit: 'B', divisor: 1, allowed: 500 },
  tables: { unit: 'MB', divisor: MB, allowed: 1 },
  backend: { unit: 'MB', divisor: MB, allowed: 8 },
}

/** For each role and metric the process that grew most. `roleOf`: what a process is; the server's samples are the chief's. */
export function verdict(lines: readonly Line[], roleOf: (pid: number) => string): Figure[] {
  const found = new Map<string, { metric: string; trend: Trend }>()
  for (const [pid, samples] of grouped(of(lines, 'sample'), ({ pid }) => pid)) {
    for (const [metric, { divisor }] of Object.entries(METRICS)) {
      const points = samples.flatMap(({ at, values }) =>
        values[metric] === undefined ? [] : [{ at, value: values[metric] / divisor }],
      )
      const its = trend(points)
      const key = `${metric} of ${roleOf(pid)}`
      if (its && its.growth >= (found.get(key)?.trend.growth ?? -Infinity))
        found.set(key, { metric, trend: its })
    }
  }
  return [...found].map(([what, { metric, trend }]) => {
    const { unit, allowed } = METRICS[metric]!
    const { growth, noise, last } = trend
    return {
      what: `growth of ${what}, now ${last.toFixed(1)}`,
      value: growth,
      unit,
      bound: `at most ${allowed}, and ${noise.toFixed(1)} of noise`,
      ok: !leaks(trend, allowed),
    }
  })
}
