/** A figure of a run, beside its bound if it has one. */
export interface Figure {
  readonly what: string
  readonly value: number
  readonly unit: string
  /** In words. */
  readonly bound?: string
  readonly ok: boolean
}

/** What became of a run. */
export interface Report {
  readonly run: string
  readonly seed: number
  readonly seconds: number
  readonly figures: Figure[]
  /** The broken promises, as text; empty if there are none. */
  readonly findings: string[]
  /** Where the logs of its processes are, if something broke. */
  logs?: string
}

export const figure = (what: string, value: number, unit = ''): Figure => ({ what, value, unit, ok: true })

/** A figure that has an upper bound. */
export function atMost(what: string, value: number, unit: string, most: number): Figure {
  return { what, value, unit, bound: `at most ${round(most)}`, ok: value <= most }
}

export const passed = ({ findings, figures }: Report) =>
  findings.length === 0 && figures.every(({ ok }) => ok)

const round = (value: number) => Number(value.toPrecision(value < 100 ? 3 : 6))

/** A figure as a line, for people. */
export function row({ what, value, unit, bound = '', ok }: Figure): string {
  const number = round(value).toLocaleString('en-US', { maximumFractionDigits: 2 })
  return `  ${ok ? '    ' : 'FAIL'} ${what.padEnd(76)}${number.padStart(12)} ${unit.padEnd(10)}${bound}`.trimEnd()
}

/** A run as a table, for people. */
export function table(report: Report): string {
  const { run, seed, seconds, figures, findings, logs } = report
  const rows = figures.map(row)
  const verdict = passed(report) ? 'passed' : 'FAILED'
  const broken = findings.map((what) => `  FAIL ${what}`)
  return [
    `${run}, seed ${seed}, ${Math.round(seconds)} s: ${verdict}`,
    ...rows,
    ...broken,
    ...(logs ? [`  the logs of its processes: ${logs}`] : []),
  ].join('\n')
}
