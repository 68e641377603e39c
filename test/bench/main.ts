/**
 * Measures how near we are to PostgreSQL's own limit: `npm run bench -- [parts of names] [--reps 3] [--seconds 3] [--peers] [--size] [--out folder]`.
 * In one run, the library and the limit are measured in turn, on a server of its own with fsync on (or that of DATABASE_URL).
 * Prints a Markdown table of medians; writes it, with a plot, to the folder. Without pgbench (Debian: postgresql-15) there is
 * nothing to compare appends with.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { append, bulk, transactions } from './append.ts'
import { catchUp, memory, transactional } from './catch-up.ts'
import { conditions } from './conditions.ts'
import { http } from './http.ts'
import { endToEnd, fanOut, latency } from './live.ts'
import { many } from './many.ts'
import { peers } from './peers.ts'
import { plot } from './plot.ts'
import { projections } from './projections.ts'
import { relaying } from './relay.ts'
import type { Sample } from './report.ts'
import { machine, table } from './report.ts'
import { scale } from './scale.ts'
import type { Setting } from './setting.ts'
import { withSetting } from './setting.ts'
import { size } from './size.ts'
import { stores } from './stores.ts'
import { telemetry } from './telemetry.ts'

const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    reps: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    peers: { type: 'boolean', default: false },
    size: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})
const measures: Record<string, (setting: Setting) => Promise<Sample[]>> = {
  append,
  bulk,
  transactions,
  conditions,
  'catch-up': catchUp,
  transactional,
  latency,
  'end-to-end': endToEnd,
  'fan-out': fanOut,
  relay: relaying,
  memory,
  telemetry,
  ...(filters.includes('http') ? { http } : {}), // 5,000 connections
  ...(options.size || filters.includes('size') ? { size } : {}),
  ...(filters.includes('scale') ? { scale } : {}),
  ...(filters.includes('stores') ? { stores } : {}),
  ...(filters.includes('projections') ? { projections } : {}),
  ...(filters.includes('many') ? { many } : {}), // minutes, and 40 processes
}
const chosen = Object.entries(measures).filter(
  ([name]) => filters.length === 0 || filters.some((part) => name.includes(part)),
)
if (chosen.length === 0 && !options.peers)
  throw new Error(
    `nothing to measure is called ${filters.join(' ')}; there are ${Object.keys(measures).join(', ')}`,
  )

await withSetting(Number(options.seconds), async (setting) => {
  const samples: Sample[] = []
  for (let rep = 1; rep <= Number(options.reps); rep++) {
    for (const [name, measure] of chosen) {
      setting.log(`${rep}/${options.reps} ${name}`)
      samples.push(...(await measure(setting)))
    }
  }
  const tables = [
    ...(samples.length > 0 ? [table(samples)] : []),
    ...(options.peers ? [await peers(setting, Number(options.reps))] : []),
  ]
  const place = await setting.database()
  const { rows } = await place.query('show server_version')
  const command = `npm run bench${process.argv.length > 2 ? ` -- ${process.argv.slice(2).join(' ')}` : ''}`
  const text = `${tables.join('\n\n')}\n\n${machine(`PostgreSQL ${rows[0].server_version}`)}; \`${command}\`, medians of ${options.reps}, ${new Date().toISOString().slice(0, 10)}\n`
  console.log(text)
  if (options.out) {
    mkdirSync(options.out, { recursive: true })
    writeFileSync(join(options.out, 'bench.md'), text)
    writeFileSync(join(options.out, 'bench.json'), JSON.stringify(samples, null, 1))
    const drawing = plot(samples)
    if (drawing) writeFileSync(join(options.out, 'bench.svg'), drawing)
  }
})
