import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Place } from '../../faults/world.ts'
import { World } from '../../faults/world.ts'
import { ownServer } from '../../support/own-server.ts'
import { until } from '../../support/until.ts'
import { figures } from '../chaos/run.ts'
import { check } from '../checks/check.ts'
import { gather } from '../checks/evidence.ts'
import { openLog } from '../facts.ts'
import type { Process } from '../processes.ts'
import { startProcess } from '../processes.ts'
import type { Report } from '../report.ts'
import { figure } from '../report.ts'
import { dismiss, drain, prepare, recruit, SCHEMA, SETTING, SUBSCRIPTIONS } from '../team.ts'
import { startSampler } from './sampler.ts'
import { verdict } from './verdict.ts'

/** How often samples are taken; at least 60 times in a run. */
const SAMPLE_MS = 2_000
/** How often a quiet period begins; it takes a fifth of that time. */
const PERIOD_MS = 15_000

export interface SoakOptions {
  seed: number
  seconds: number
  processes: number
}

/** A steady load without faults, with quiet periods, while processes come and go: it finds what grows without need. */
export async function soak({ seed, seconds, processes }: SoakOptions): Promise<Report> {
  const report: Report = { run: 'soak', seed, seconds, figures: [], findings: [] }
  const directory = await mkdtemp(join(tmpdir(), 'meowmx-siege-'))
  const server = await ownServer({ max_connections: 200, autovacuum_naptime: '5s' })
  const world = await World.make<Process>(server, SCHEMA, seed)
  const log = openLog(directory, 'server')
  const sampleMs = Math.min(SAMPLE_MS, (seconds * 1_000) / 60)
  const options = { ...SETTING, directory, sampleMs, pauseMs: [200, 600] as const }
  try {
    await prepare(world)
    await recruit(world, processes - 1, options)
    const visitor = await world.addSlot((place: Place) =>
      startProcess({ ...options, ...place, role: 'visitor' }),
    )
    world.join(visitor)
    await until(() => visitor.member.said.has('ready'), { timeoutMs: 60_000, what: 'the visitor' })
    const stopSampler = startSampler(world.sql, log, sampleMs)
    await load(world, seconds * 1_000)
    const end = Date.now() // memory that is freed during the close would hide a leak
    await stopSampler()

    const { ms, findings } = await drain(world, directory)
    report.findings.push(...findings, ...(await dismiss(world)))
    const evidence = await gather(world.sql, SCHEMA, SUBSCRIPTIONS, directory)
    report.findings.push(...check(evidence))
    const roles = new Map(world.members.map(({ pid, role }) => [pid, role as string]))
    report.figures.push(
      ...figures(evidence),
      figure('drained within', ms / 1_000, 's'),
      ...verdict(
        evidence.lines.filter(({ at }) => at <= end),
        (pid) => roles.get(pid) ?? 'server',
      ),
    )
  } catch (error) {
    report.findings.push(`the run itself failed: ${(error as Error).stack ?? error}`)
  } finally {
    await world.end()
    log.close()
  }
  if (report.findings.length > 0 || report.figures.some(({ ok }) => !ok)) report.logs = directory
  else await rm(directory, { recursive: true })
  return report
}

/** Writers work, and rest for a while, again and again. */
async function load({ slots }: World<Process>, ms: number): Promise<void> {
  const tell = (command: string) => {
    for (const { member } of slots) member.tell(command)
  }
  for (const end = performance.now() + ms; performance.now() < end; ) {
    const left = end - performance.now()
    await delay(Math.min(left, PERIOD_MS * 0.8))
    tell('rest')
    await delay(Math.min(Math.max(left - PERIOD_MS * 0.8, 0), PERIOD_MS * 0.2))
    tell('work')
  }
}
