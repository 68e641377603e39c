import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { happens } from '../../faults/happens.ts'
import { schedule } from '../../faults/schedule.ts'
import { World } from '../../faults/world.ts'
import { ownServer } from '../../support/own-server.ts'
import { check } from '../checks/check.ts'
import type { Evidence } from '../checks/evidence.ts'
import { gather, of } from '../checks/evidence.ts'
import type { Process } from '../processes.ts'
import type { Report } from '../report.ts'
import { figure } from '../report.ts'
import { dismiss, drain, prepare, recruit, SCHEMA, SETTING, SUBSCRIPTIONS } from '../team.ts'
import { chaosFaults, floodsLast } from './floods.ts'

export interface ChaosOptions {
  /** Decides what happens and when, but not the exact timing. */
  seed: number
  seconds: number
  processes: number
  /** Gets all the evidence of the run. */
  keep?: (evidence: Evidence) => void
}

/** A durable server and many processes: first with faults by seed, then without until everything is handled, then everything is checked. */
export async function chaos({ seed, seconds, processes, keep }: ChaosOptions): Promise<Report> {
  const report: Report = { run: 'chaos', seed, seconds, figures: [], findings: [] }
  const directory = await mkdtemp(join(tmpdir(), 'meowmx-siege-'))
  const server = await ownServer({
    max_connections: 100,
    max_prepared_transactions: 5,
    max_locks_per_transaction: 256,
    wal_writer_delay: '10s', // data that only a WAL writer would write is lost in a crash, so that positions are assigned again
  })
  const world = await World.make<Process>(server, SCHEMA, seed)
  try {
    await prepare(world)
    await recruit(world, processes, { ...SETTING, directory })
    const more = floodsLast(seconds * 500)
    const steps = schedule(seed, { seconds, executors: world.slots.length, push: false, more })
    const ends = await Promise.allSettled(steps.map((step) => happens(world, step, chaosFaults[step.fault]!)))
    for (const end of ends) if (end.status === 'rejected') throw end.reason

    const { ms, findings } = await drain(world, directory)
    report.findings.push(...findings, ...(await dismiss(world)))
    const evidence = await gather(world.sql, SCHEMA, SUBSCRIPTIONS, directory)
    report.findings.push(...check(evidence))
    keep?.(evidence)
    report.figures.push(
      figure('faults', steps.length),
      ...figures(evidence),
      figure('drained within', ms / 1_000, 's'),
    )
  } catch (error) {
    report.findings.push(`the run itself failed: ${(error as Error).stack ?? error}`)
  } finally {
    await world.end()
  }
  if (report.findings.length > 0) report.logs = directory
  else await rm(directory, { recursive: true })
  return report
}

/** What a run was made of. */
export function figures({ events, lines, written, parkedRows }: Evidence) {
  const begun = of(lines, 'begun')
  const told = (what: string) => of(lines, 'told').filter(({ outcome }) => outcome === what).length
  const again = begun.length - new Set(begun.map(({ subscription, id }) => `${subscription} ${id}`)).size
  return [
    figure('processes that took part', new Set(lines.map(({ pid }) => pid)).size),
    figure('committed events', events.length),
    figure('writes that were refused, or rolled back', told('refused')),
    figure('writes of which nobody was told', told('unknown')),
    figure('events given to handlers', begun.length),
    figure('of these, given again', again),
    figure('writes of checkpoints', written.length),
    figure('changes of parked streams', parkedRows.length),
    figure('events that observers saw', of(lines, 'seen').length),
    figure('pages that were read', of(lines, 'page').length),
  ]
}
