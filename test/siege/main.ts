/**
 * The siege: `npm run test:siege -- [chaos] [soak] [scale] [--minutes 3] [--seed N] [--processes 6] [--events 300000]
 * [--json]`. README.md says what each is. Prints the seed first, and how to repeat what it did; in the end a table of each
 * run, or (--json) one line of JSON. Exit code 0 if all is well, else 1.
 */
import { parseArgs } from 'node:util'
import { chaos } from './chaos/run.ts'
import type { Report } from './report.ts'
import { passed, row, table } from './report.ts'
import { scale } from './scale/run.ts'
import { soak } from './soak/run.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string', default: `${Math.floor(Math.random() * 1e9)}` },
    processes: { type: 'string', default: '6' },
    events: { type: 'string', default: '300000' },
    json: { type: 'boolean', default: false },
  },
})
const number = (name: 'minutes' | 'seed' | 'processes' | 'events', least: number, integer = true) => {
  const value = Number(values[name])
  if (value >= least && (!integer || Number.isSafeInteger(value))) return value
  throw new Error(
    `--${name} must be ${integer ? 'an integer' : 'a number'} of at least ${least}, got ${values[name]}`,
  )
}
const seed = number('seed', 0)
const seconds = number('minutes', 0.05, false) * 60
const processes = number('processes', 3)
const events = number('events', 10_000)
const runs: Record<string, () => Promise<Report>> = {
  chaos: () => chaos({ seed, seconds, processes }),
  soak: () => soak({ seed, seconds, processes }),
  scale: () => scale({ seed, events, progress: (figure) => console.error(row(figure)) }),
}
const chosen = positionals.length > 0 ? positionals : Object.keys(runs)
const unknown = chosen.find((name) => !(name in runs))
if (unknown) throw new Error(`there is no run "${unknown}": there are ${Object.keys(runs).join(', ')}`)

// All started processes end with this one; a second Ctrl-C ends at once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

const say = values.json ? console.error : console.log
const given = `--minutes ${values.minutes} --processes ${processes} --events ${events}`
say(`seed ${seed}; again: npm run test:siege -- ${chosen.join(' ')} --seed ${seed} ${given}`)
const reports: Report[] = []
for (const name of chosen) {
  const report = await runs[name]!()
  reports.push(report)
  say(`\n${table(report)}`)
}
const failed = reports.filter((report) => !passed(report))
say(`\n${reports.length - failed.length} passed, ${failed.length} failed`)
if (values.json) console.log(JSON.stringify({ seed, passed: failed.length === 0, reports }))
process.exitCode = failed.length > 0 ? 1 : 0
