// Formats metrics for Prometheus.
type Labels = Readonly<Record<string, string>>
export type SampleOf = readonly [labels: Labels, value: number]

export interface Family {
  /** Without the prefix `meowmx_`. */
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly SampleOf[]
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Metrics in the text format of Prometheus, version 0.0.4. */
export function format(families: readonly Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, type, help, samples }) => {
      const lines = samples.map(([labels, value]) => `meowmx_${name}${labelSet(labels)} ${value}`)
      return `# HELP meowmx_${name} ${escapeHelp(help)}\n# TYPE meowmx_${name} ${type}\n${lines.join('\n')}\n`
    })
    .join('')
}

function labelSet(labels: Labels): string {
  const all = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return all.length > 0 ? `{${all.join(',')}}` : ''
}

const escapeHelp = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"')
