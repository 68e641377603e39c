import '../support/typescript.js'
import { setTimeout as delay } from 'node:timers/promises'
import type { Meow } from '../../src/index.ts'
import { ownServer } from '../support/own-server.ts'
import { random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { parkedRows, startAudit, writtenCheckpoints } from './audit.ts'
import { check } from './check.ts'
import { closeAll } from './close.ts'
import { drained } from './drain.ts'
import { faults } from './faults.ts'
import { happens } from './happens.ts'
import type { Member } from './member.ts'
import { startMember } from './member.ts'
import type { Recovery } from './recovery.ts'
import { Recoveries } from './recovery.ts'
import type { Step } from './schedule.ts'
import { schedule } from './schedule.ts'
import {
  EXECUTORS,
  MAX_IN_FLIGHT,
  NAME,
  noticeMs,
  PARTITIONS,
  QUERY_TIMEOUT_MS,
  recoveryMs,
  SCHEMA,
  SELECTED,
  settingOf,
} from './setting.ts'
import { World } from './world.ts'
import type { Attempt } from './writers.ts'
import { Writers } from './writers.ts'

export interface FaultRunOptions {
  /** Decides what happens and when, but not the exact timing. */
  seed: number
  /** How long faults happen. */
  seconds: number
  /** The length of one outage of the server or of the network. */
  outageMs?: number
  /** Path of the library's index.ts; its SQL is beside that directory. Default: ours. */
  library?: string
}

export interface FaultReport {
  readonly seed: number
  /** The options that the seed chose, as text. */
  readonly setting: string
  readonly steps: readonly Step[]
  /** The broken promises; empty if there are none. */
  readonly violations: string[]
  readonly recoveries: readonly Recovery[]
  /** From the end of all faults until nothing was left to handle. */
  drainMs: number | null
  events: number
  handledAgain: number
  takeovers: number
  /** How each executor ended, with what it logged last. */
  executors: string[]
}

/**
 * One server, executors in processes of their own behind proxies, and writers: first with faults, then without, until nothing
 * is left to handle.
 */
export async function faultRun({
  seed,
  seconds,
  outageMs,
  library = new URL('../../src/index.ts', import.meta.url).pathname,
}: FaultRunOptions): Promise<FaultReport> {
  const setting = settingOf(seed)
  const steps = schedule(seed, {
    seconds,
    executors: EXECUTORS,
    push: setting.push,
    ...(outageMs ? { outageMs } : {}),
  })
  const report: FaultReport = {
    seed,
    setting: setting.name,
    steps,
    violations: [],
    recoveries: [],
    drainMs: null,
    events: 0,
    handledAgain: 0,
    takeovers: 0,
    executors: [],
  }
  // Without fsync, written data survives a crash of the server, but not one of the machine. Data that only a WAL writer would
  // write is lost, so that positions are assigned again.
  const server = await ownServer({
    max_connections: 60,
    max_prepared_transactions: 5,
    fsync: false,
    wal_writer_delay: '10s',
  })
  const { connect } = (await import(library)) as typeof import('../../src/index.ts')
  const stores: Meow[] = []
  const open = async (connectionString: string) => {
    const meow = await connect({ connectionString, schema: SCHEMA, queryTimeoutMs: QUERY_TIMEOUT_MS })
    stores.push(meow)
    return meow
  }
  const world = await World.make<Member>(server, SCHEMA, seed)
  for (let i = 0; i < EXECUTORS; i++)
    await world.addSlot((place) => startMember({ library, ...setting.executor, ...place }))
  const recoveries = new Recoveries(world, { categories: SELECTED, partitions: PARTITIONS })
  Object.assign(report, { recoveries: recoveries.all })
  try {
    const control = await open(server.connectionString)
    await control.migrate()
    await startAudit(world.sql, SCHEMA)
    await world.sql.query(`create table ${SCHEMA}.effects (position bigint, id uuid)`)
    await world.sql.query('create role junk login')
    await world.sql.query(`grant usage on schema ${SCHEMA} to junk`)
    await world.sql.query('create database elsewhere')
    const attempts: Attempt[] = []
    const writers = new Writers({
      begin: (what, ids) => {
        const attempt: Attempt = { what, ids, outcome: 'open' }
        attempts.push(attempt)
        return attempt
      },
      meow: await open(world.writers.url),
      url: world.writers.url,
      schema: SCHEMA,
      categories: [...SELECTED, 'unselected'],
      seed,
      queryTimeoutMs: QUERY_TIMEOUT_MS,
    })
    await writers.backlog(setting.backlog)
    for (const slot of world.slots) world.join(slot)
    const joining = performance.now()
    await until(() => world.members.every(({ state }) => state !== ''), {
      timeoutMs: 240_000,
      what: 'the executors',
    })
    const joinMs = performance.now() - joining // long, on a slow machine
    writers.start()
    const written = delay(seconds * 1_000).then(() => writers.stop())
    const happen = (step: Step) =>
      happens(world, step, faults[step.fault]!, () => recoveries.healed(step.fault))
    // All of them, because nothing may outlive the run.
    const ends = await Promise.allSettled([written, ...steps.map(happen)])
    for (const end of ends) if (end.status === 'rejected') throw end.reason
    for (const { signal } of world.members) signal('SIGCONT')

    const drain = await drained(control, NAME, recoveryMs(setting) + 5_000 + 2 * joinMs)
    if (typeof drain === 'number') report.drainMs = drain
    else report.violations.push(`I7 without faults, ${drain}`)
    // Events that are appended while notifications are lost and nothing else happens: no later notification announces them.
    const last = setting.push ? 'no listener' : 'lose notifications'
    const heal = await faults[last]!(world, world.slots[0]!, random(seed))
    await writers.backlog(10)
    await heal()
    recoveries.healed(`${last}, when all is quiet`)
    const noticed = await drained(control, NAME, noticeMs(setting) + 2_000 + joinMs / 2)
    if (typeof noticed === 'string') report.violations.push(`I7 nothing told of it (${last}), and ${noticed}`)
    await recoveries.stop()

    report.violations.push(...(await closeAll(world, stores)))
    const events = await committedEvents(world)
    const { rows: effects } = await world.sql.query(`select id from ${SCHEMA}.effects`)
    const begun = world.members.flatMap(({ begun }) => begun)
    const done = world.members.flatMap(({ done }) => done)
    const checkpoints = await writtenCheckpoints(world.sql, SCHEMA)
    report.events = events.length
    report.handledAgain = done.length - new Set(done.map(({ id }) => id)).size
    report.takeovers = checkpoints.filter(
      ({ oldOwner, epoch, oldEpoch }) => oldOwner !== null && epoch !== oldEpoch,
    ).length
    report.violations.push(
      ...check({
        transactional: setting.transactional,
        maxInFlight: MAX_IN_FLIGHT,
        selected: SELECTED,
        events,
        attempts,
        begun,
        done,
        effects: effects.map(({ id }) => id),
        written: checkpoints,
        parkedRows: await parkedRows(world.sql, SCHEMA),
      }),
    )
  } catch (error) {
    report.violations.push(`the run itself failed: ${(error as Error).stack ?? error}`)
  } finally {
    await recoveries.stop()
    await Promise.all(stores.map((store) => store.close().catch(() => {})))
    await world.end()
    report.executors = world.members.map((member) =>
      [
        `${member.pid}: ${member.state}; begun ${member.begun.length}, done ${member.done.length}; ended ${member.ends}; exit ${member.exit}`,
        ...member.warnings.slice(-5),
        member.stderr,
      ].join('\n    '),
    )
  }
  return report
}

async function committedEvents({ sql }: World) {
  const { rows } = await sql.query(
    `select position::float8, id, category, stream_id as "streamId", version,
            (${SCHEMA}.stream_hash(category, stream_id) % $1::int)::int as partition
     from ${SCHEMA}.events order by position`,
    [PARTITIONS],
  )
  return rows
}
