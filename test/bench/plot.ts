import { CLIENTS } from './append.ts'
import type { Sample } from './report.ts'
import { figure } from './report.ts'
import { median } from './statistics.ts'

const [WIDTH, HEIGHT, LEFT, TOP, GAP] = [360, 200, 60, 40, 80]
const CLIENT_COUNTS = CLIENTS.map(([clients]) => clients)

/** Rate and latency of single appends against concurrency, as SVG; nothing where that was not measured. */
export function plot(samples: readonly Sample[]): string | undefined {
  const series = (suffix: string, field: 'ours' | 'limit') =>
    CLIENT_COUNTS.map((clients) => {
      const what = `append, 1 event a call, ${clients} concurrent${suffix}`
      return median(samples.flatMap((sample) => (sample.what === what ? (sample[field] ?? []) : [])))
    })
  const rates = [
    { name: 'meowmx', values: series('', 'ours') },
    { name: 'pgbench insert', values: series('', 'limit') },
  ].filter(({ values }) => values.some(Number.isFinite))
  if (!rates[0]?.values.some(Number.isFinite)) return undefined
  const times = [
    { name: 'p50', values: series(': p50', 'ours') },
    { name: 'p99', values: series(': p99', 'ours') },
  ]
  const width = 2 * (LEFT + WIDTH) + GAP
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT + 100}" font-family="sans-serif" font-size="12">`,
    '<title>Appends against concurrency: rate and latency</title>',
    `<rect width="100%" height="100%" fill="#fff"/>`,
    chart(LEFT, 'appends a second', rates),
    chart(LEFT + WIDTH + GAP, 'latency of an append, ms', times),
    '</svg>\n',
  ].join('\n')
}

function chart(left: number, title: string, lines: readonly { name: string; values: number[] }[]): string {
  const highest = Math.max(...lines.flatMap(({ values }) => values.filter(Number.isFinite)))
  const x = (i: number) => left + (i / (CLIENT_COUNTS.length - 1)) * WIDTH
  const y = (value: number) => TOP + HEIGHT - (value / highest) * HEIGHT
  const parts = [`<text x="${left}" y="${TOP - 16}" font-weight="bold">${title}</text>`]
  for (const share of [0, 0.5, 1]) {
    const at = y(highest * share)
    parts.push(
      `<line x1="${left}" x2="${left + WIDTH}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      `<text x="${left - 6}" y="${at + 4}" text-anchor="end">${figure(highest * share)}</text>`,
    )
  }
  for (const [i, clients] of CLIENT_COUNTS.entries())
    parts.push(`<text x="${x(i)}" y="${TOP + HEIGHT + 18}" text-anchor="middle">${clients}</text>`)
  parts.push(
    `<text x="${left + WIDTH / 2}" y="${TOP + HEIGHT + 36}" text-anchor="middle">concurrent calls</text>`,
  )
  for (const [n, { name, values }] of lines.entries()) {
    const colour = ['#c2410c', '#475569'][n]
    const points = values.flatMap((value, i) =>
      Number.isFinite(value) ? [`${x(i)},${y(value).toFixed(1)}`] : [],
    )
    parts.push(
      `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      `<text x="${left + n * 130}" y="${TOP + HEIGHT + 54}" fill="${colour}">— ${name}</text>`,
    )
  }
  return parts.join('\n')
}
