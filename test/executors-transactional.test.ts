// @serial
// Effects exactly once: what handlers write in their transactions is there once for each event, and each stream in version
// order, whatever becomes of the executors: failing handlers, SIGKILL, frozen past the lease, terminated connections.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { owners } from './support/audit.ts'
import { seeded } from './support/random.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import type { Member, TeamOptions } from './support/team.ts'
import { appendAtRandom, describe, join, killTeam, takenOver } from './support/team.ts'
import { until } from './support/until.ts'

const schema = storeSchema
const partitions = 8
const leaseMs = 2_000
const EVENTS = 10_000

let meow: Meow
test.before(async () => {
  meow = await openStore()
})
test.after(async () => {
  await killTeam()
  await closeAll()
})

async function run(batchSize: number, failures: number): Promise<void> {
  const dice = seeded(`transactional, batches of ${batchSize}`)
  const [category, name] = [uniqueName('exactly'), uniqueName('exactly')]
  const table = `${schema}.${uniqueName('effects')}`
  const sql = await pgClient()
  // No unique index, so that a repeated effect is visible.
  await sql.query(
    `create table ${table} (n bigint generated always as identity, position bigint, stream text, version int, executor int)`,
  )
  const options: TeamOptions = {
    schema,
    name,
    subscription: { category, partitions, leaseMs, maxInFlight: 256 },
    process: { transactional: true, batchSize, retry: { maxAttempts: 30, minDelayMs: 1, maxDelayMs: 20 } },
    handlerMs: [0, 1],
    table,
    failures,
  }
  const team: Member[] = []
  const count = async () => (await sql.query(`select count(*)::int as n from ${table}`)).rows[0].n as number
  const comes = async (least: number) => {
    let n = 0
    await until(
      async () => {
        n = await count()
        return n >= least
      },
      { timeoutMs: 60_000, what: `${least} effects` },
    ).catch((error) => {
      throw new Error(`${error.message}, there are ${n}\n${describe(team)}`)
    })
  }

  const events = await appendAtRandom(meow, category, EVENTS / 2, dice)
  team.push(...(await Promise.all([join(options, dice), join(options, dice), join(options, dice)])))
  const [first, second, third] = team as [Member, Member, Member]
  // Connections, the listeners' too, are terminated one after the other: in the middle of a transaction, or at random.
  let terminated = 0
  const terminate = async () => {
    const { rowCount } = await sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = any ($1)
       order by (state like 'idle in transaction%' and $2) desc, random() limit 1`,
      [[`meowmx ${schema}`, `meowmx listener ${schema}`], dice.chance(0.5)],
    )
    terminated += rowCount!
  }

  await comes(500)
  for (let at = 1_000; at <= 2_000; at += 100) {
    await comes(at)
    await terminate()
  }
  const killed = await takenOver(name, first, 'SIGKILL')
  assert.is(await first.exited, 'SIGKILL')
  await comes(3_500)
  const frozen = await takenOver(name, second, 'SIGSTOP')
  await comes(4_500)
  second.kill('SIGCONT')
  await until(async () => (await owners(name)).get(second.pid)?.length === partitions / 2, {
    what: 'the zombie to have its share again',
  })
  events.push(...(await appendAtRandom(meow, category, EVENTS / 2, dice)))
  for (let at = 5_500; at <= 9_000; at += 250) {
    await comes(at)
    await terminate()
  }
  await comes(EVENTS)
  await until(async () => (await meow.subscriptions()).find((it) => it.name === name)?.lag === 0, {
    timeoutMs: 60_000,
    what: 'the end',
  })
  for (const member of [second, third]) {
    assert.is(member.ended, undefined, 'its worker is at work')
    assert.is(await member.close(), 0)
  }

  const effects = await sql.query(`select position::int, stream, version, executor from ${table} order by n`)
  const times = new Map<number, number>()
  for (const { position } of effects.rows) times.set(position, (times.get(position) ?? 0) + 1)
  assert.equal(
    events.map(({ position }) => position).filter((position) => times.get(position) !== 1),
    [],
    'each event exactly once',
  )
  assert.is(effects.rows.length, EVENTS, 'and nothing else')
  const next = new Map<string, number>()
  for (const { stream, version } of effects.rows) {
    assert.is(version, next.get(stream) ?? 0, `stream ${stream} out of order`)
    next.set(stream, version + 1)
  }
  const { rows: parked } = await sql.query(`select * from ${schema}.parked_events where subscription = $1`, [
    name,
  ])
  assert.equal(parked, [], 'nothing is set aside')
  const by = (member: Member) => effects.rows.filter(({ executor }) => executor === member.pid).length
  const begun = team.reduce((sum, member) => sum + member.begun.length, 0)
  console.log(
    `batches of ${batchSize}: ${JSON.stringify({ killed: killed.took, frozen: frozen.took, terminated, begun, by: team.map(by) })}`,
  )
  assert.ok(killed.took < leaseMs + 1_000, `taken over ${killed.took} ms after a SIGKILL`)
  assert.ok(frozen.took < leaseMs + 1_000, `taken over ${frozen.took} ms after a SIGSTOP`)
}

test('small transactions', () => run(5, 0.01))
test('large transactions', () => run(100, 0.003))

test.run()
