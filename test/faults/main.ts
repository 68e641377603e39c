/**
 * Long runs with faults: `npm run test:faults`. MEOWMX_FAULT_RUNS says how many (20), MEOWMX_FAULT_SEED the first seed (any),
 * MEOWMX_FAULT_SECONDS how long faults happen in each (60), with one outage of half of that;
 * MEOWMX_FAULT_LIBRARY the index.ts of another library than ours. Two at once. Prints each
 * seed with what broke, and how long each fault took to recover from.
 */
import { report, table } from './report.ts'
import type { FaultReport } from './run.ts'
import { faultRun } from './run.ts'

const number = (name: string, otherwise: number) => Number(process.env[name] || otherwise)
const runs = number('MEOWMX_FAULT_RUNS', 20)
const first = number('MEOWMX_FAULT_SEED', Math.floor(Math.random() * 1e9))
const seconds = number('MEOWMX_FAULT_SECONDS', 60)
const library = process.env.MEOWMX_FAULT_LIBRARY
const outageMs = Math.round(seconds * 500)

const seeds = Array.from({ length: runs }, (_, n) => first + n)
const reports: FaultReport[] = []
const worker = async () => {
  for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
    const one = await faultRun({ seed, seconds, outageMs, ...(library ? { library } : {}) })
    reports.push(one)
    console.log(
      report(
        one,
        `MEOWMX_FAULT_SEED=${seed} MEOWMX_FAULT_RUNS=1 MEOWMX_FAULT_SECONDS=${seconds} npm run test:faults`,
      ),
    )
  }
}
await Promise.all([worker(), worker()])
console.log(table(reports))
const failed = reports.filter(({ violations }) => violations.length > 0)
console.log(`${runs - failed.length} passed, ${failed.length} failed${failed.map(({ seed }) => ` ${seed}`)}`)
process.exitCode = failed.length > 0 ? 1 : 0
