import type { FaultReport } from './run.ts'

/** One line for a run; if something broke, with everything that is needed to repeat it. */
export function report(run: FaultReport, repeat: string): string {
  const { seed, setting, violations, events, takeovers, handledAgain, drainMs, steps, executors } = run
  const line =
    `${violations.length > 0 ? 'FAIL' : 'ok  '} seed ${seed} (${setting}): ${events} events, ${steps.length} faults, ` +
    `${takeovers} takeovers, ${handledAgain} handled again, drained in ${drainMs} ms`
  if (violations.length === 0) return line
  const happened = steps.map(
    ({ fault, atMs, forMs, slot }) => `${atMs} ms: ${fault}, ${forMs} ms, executor ${slot}`,
  )
  return [line, `  again: ${repeat}`, ...violations, 'faults', ...happened, 'executors', ...executors].join(
    '\n  ',
  )
}

/** Each fault: how often it happened, and how long it took to recover from it. */
export function table(runs: readonly FaultReport[]): string {
  const times = new Map<string, (number | null)[]>()
  for (const { fault, ms } of runs.flatMap(({ recoveries }) => recoveries))
    times.set(fault, [...(times.get(fault) ?? []), ms])
  const rows = [...times].sort().map(([fault, all]) => {
    const recovered = all.filter((ms) => ms !== null).sort((a, b) => a - b)
    const p50 = recovered[Math.floor((recovered.length - 1) / 2)]
    const never = all.length - recovered.length
    return `${fault.padEnd(32)}${all.length.toString().padStart(5)}${`${p50 ?? '-'}`.padStart(9)}${`${recovered.at(-1) ?? '-'}`.padStart(9)}${never ? `  never ${never}` : ''}`
  })
  const drains = runs.flatMap(({ drainMs }) => drainMs ?? []).sort((a, b) => a - b)
  return [
    `${'fault (recovery in ms)'.padEnd(32)}${'times'.padStart(5)}${'p50'.padStart(9)}${'max'.padStart(9)}`,
    ...rows,
    `drained in the end: p50 ${drains[Math.floor((drains.length - 1) / 2)]} ms, max ${drains.at(-1)} ms`,
  ].join('\n')
}
