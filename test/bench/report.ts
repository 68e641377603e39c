import { arch, cpus, platform, totalmem } from 'node:os'
import { median } from './statistics.ts'

/** One measurement of one repetition: of the library, and of what it is compared with in the same run. */
export interface Sample {
  /** What it is, the same in each repeat. */
  what: string
  unit: string
  ours: number
  /** Null: there is nothing to compare with (the program is not installed). */
  limit?: number | undefined
  /** The ratio of ours to the limit, or with `absolute` the figure itself, that is to be reached. */
  goal?: number
  /** Less is better. */
  less?: boolean
  absolute?: boolean
}

/** Markdown: medians of the figures, and of the ratios of each repeat. */
export function table(samples: readonly Sample[]): string {
  const lines = [...new Set(samples.map(({ what }) => what))].map((name) => {
    const repeats = samples.filter(({ what }) => what === name)
    const [first] = repeats
    const { what, unit, goal, less, absolute } = first!
    const limits = repeats.flatMap(({ limit }) => (limit === undefined ? [] : [limit]))
    const ours = median(repeats.map((repeat) => repeat.ours))
    const ratios = repeats.flatMap(({ ours, limit }) => (limit === undefined ? [] : [ours / limit]))
    const value = absolute ? ours : ratios.length > 0 ? median(ratios) : undefined
    const met =
      goal === undefined || value === undefined
        ? ''
        : (less ? value <= goal : value >= goal)
          ? 'met'
          : 'not met'
    const range = ratios.length > 1 ? ` (${figure(Math.min(...ratios))}–${figure(Math.max(...ratios))})` : ''
    const cells = [
      what,
      `${figure(ours)} ${unit}`,
      limits.length > 0 ? `${figure(median(limits))} ${unit}` : '–',
      ratios.length > 0 ? `**${figure(median(ratios))}**${range}` : '–',
      goal === undefined ? '' : `${less ? '≤' : '≥'} ${absolute ? `${goal} ${unit}` : goal}`,
      met,
    ]
    return `| ${cells.join(' | ')} |`
  })
  return ['| what | meowmx | the limit | ratio | goal | |', '|---|---|---|---|---|---|', ...lines].join('\n')
}

export function machine(server: string): string {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} × ${cpu!.model.trim()}, ${memory} GiB, ${platform()} ${arch()}, Node ${process.version}, ${server}`
}

export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
