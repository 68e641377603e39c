import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import { startAudit } from '../faults/audit.ts'
import type { Place, World } from '../faults/world.ts'
import { until } from '../support/until.ts'
import type { Subscribed } from './checks/evidence.ts'
import { openLog } from './facts.ts'
import type { ChildOptions, Process } from './processes.ts'
import { startProcess } from './processes.ts'

export const SCHEMA = 'siege'
export const CATEGORIES = ['a', 'b', 'c']
export const QUERY_TIMEOUT_MS = 3_000
export const SUBSCRIPTIONS: readonly Subscribed[] = [
  { name: 'plain', categories: ['a', 'b'], partitions: 4, transactional: false },
  { name: 'exact', categories: ['a', 'b'], partitions: 4, transactional: true },
  { name: 'piped', categories: null, partitions: 2, transactional: false },
]

export const SETTING: Omit<ChildOptions, keyof Place | 'role' | 'directory'> = {
  schema: SCHEMA,
  categories: CATEGORIES,
  subscriptions: SUBSCRIPTIONS,
  subscription: { leaseMs: 1_500, maxInFlight: 64 },
  connectOptions: { pollIntervalMs: 500, queryTimeoutMs: QUERY_TIMEOUT_MS },
  handlerMs: [0, 4],
  pauseMs: [5, 50],
  sampleMs: 0,
}

/** The store, with what keeps evidence in it. */
export async function prepare(world: World<Process>): Promise<void> {
  const meow = await connect({
    connectionString: world.server.connectionString,
    schema: SCHEMA,
    listen: false,
  })
  await meow.migrate()
  await meow.close()
  await startAudit(world.sql, SCHEMA)
  await world.sql.query(`create table ${SCHEMA}.effects (subscription text, id uuid)`)
  await world.sql.query('create role junk login')
  await world.sql.query(`grant usage on schema ${SCHEMA} to junk`)
  await world.sql.query('create database elsewhere')
}

/** Writers, executors and observers in turn, this many together; each has its own proxy. */
export async function recruit(
  world: World<Process>,
  count: number,
  options: Omit<ChildOptions, keyof Place | 'role'>,
): Promise<void> {
  const roles = (['writer', 'executor', 'observer'] as const).flatMap((role, i) =>
    Array<typeof role>(Math.max(1, Math.floor((count + 2 - i) / 3))).fill(role),
  )
  for (const role of roles) {
    const launch = (place: Place) => startProcess({ ...options, ...place, role })
    await world.addSlot(launch, role === 'writer' ? world.writers : undefined)
  }
  for (const slot of world.slots) world.join(slot)
  await until(() => world.slots.every(({ member }) => member.said.has('ready')), {
    timeoutMs: 240_000,
    what: `${roles.length} processes to begin`,
  })
}

/**
 * The end of a run, without faults: the writers end, one last event is written to each category, and then every event is
 * handled and observed. Returns what went wrong, and how long it took. Without progress it gives up after a minute.
 */
export async function drain(
  world: World<Process>,
  directory: string,
): Promise<{ ms: number; findings: string[] }> {
  const begin = performance.now()
  const findings: string[] = []
  const of = (...roles: string[]) =>
    world.slots.map(({ member }) => member).filter(({ role }) => roles.includes(role))
  for (const { tell } of of('writer')) tell('close')
  await until(() => of('writer').every(({ exit }) => exit !== undefined), {
    timeoutMs: 120_000,
    what: 'the writers to end',
  }).catch((error) => findings.push(error.message))
  await lastEvents(world, directory)

  const left = async () => {
    const undone = await world.sql.query(BEHIND, [JSON.stringify(SUBSCRIPTIONS)])
    const { rows: parked } = await world.sql.query(
      `select distinct subscription as name from ${SCHEMA}.parked_events`,
    )
    for (const { name } of parked) await world.sql.query(`select ${SCHEMA}.replay_parked($1)`, [name])
    const unseen = of('observer').filter(({ said }) => !said.has('end')).length
    const behind = undone.rows.map(({ name, count }) => `${name} is ${count} behind`)
    return [
      ...behind,
      ...parked.map(({ name }) => `${name} has parked streams`),
      ...(unseen ? [`${unseen} observers wait`] : []),
    ]
  }
  let [was, since] = ['', performance.now()]
  for (let what = await left(); what.length > 0; what = await left()) {
    if (`${what}` !== was) [was, since] = [`${what}`, performance.now()]
    if (performance.now() - since > 60_000) {
      findings.push(`nothing went on for a minute, and ${what.join(', ')}`)
      break
    }
    await delay(1_000)
  }
  return { ms: performance.now() - begin, findings }
}

/** Events that are selected above their partitions' checkpoints. */
const BEHIND = `
  select s.name, count(*)::int from json_to_recordset($1) as s (name text, categories json, partitions int)
  join ${SCHEMA}.events e on s.categories is null or e.category in (select json_array_elements_text(s.categories))
  left join ${SCHEMA}.checkpoints c on c.subscription = s.name and c.partition = (hashtextextended(e.stream_id, hashtextextended(e.category, 0)) & 2147483647) % s.partitions
  where c.position is null or c.position < e.position
  group by s.name order by s.name`

async function lastEvents(world: World<Process>, directory: string): Promise<void> {
  const log = openLog(directory, 'chief')
  const { rows } = await world.sql.query('select gen_random_uuid() as id from generate_series(1, $1)', [
    CATEGORIES.length,
  ])
  for (const [n, category] of CATEGORIES.entries()) {
    const { id } = rows[n]
    log({ kind: 'try', n, what: 'the last event', ids: [id] })
    const events = JSON.stringify([{ id, type: 'End', data: {} }])
    await world.sql.query(`select from ${SCHEMA}.append($1, 'end', $2)`, [category, events])
    log({ kind: 'told', n, outcome: 'done' })
  }
  log.close()
}

/** All processes end by themselves, without an error, and leave no connection. */
export async function dismiss(world: World<Process>): Promise<string[]> {
  const findings: string[] = []
  for (const { tell } of world.members) tell('close')
  for (const member of world.members) {
    await until(() => member.exit !== undefined, { timeoutMs: 60_000, what: '' }).catch(() => {})
    const { role, pid, exit, killed, stderr } = member
    if (exit === undefined) findings.push(`${role} ${pid} did not end within a minute of close()`)
    else if (exit !== 0 && !killed) findings.push(`${role} ${pid} ended with ${exit}`)
    if (stderr !== '') findings.push(`${role} ${pid} wrote: ${stderr}`)
  }
  const left = async () => {
    const { rows } = await world.sql.query(
      `select application_name, state, query from pg_stat_activity where application_name like 'meowmx%'`,
    )
    return rows
  }
  await until(async () => (await left()).length === 0, { what: '' }).catch(async () => {
    findings.push(`connections that are left: ${JSON.stringify(await left())}`)
  })
  return findings
}
