// @direct
// The command meowmx doctor: it finds real problems, and the advice that it prints repairs them.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { CliOptions } from './support/cli.ts'
import { cli, parsed } from './support/cli.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const store = ['--schema', storeSchema]
const meow = await openStore()
const sql = await pgClient()
const { who, database } = (await sql.query('select current_user as who, current_database() as database'))
  .rows[0]
test.after(closeAll)

interface Finding {
  readonly check: string
  readonly state: string
  readonly found: string
  readonly todo?: string
}

async function doctor(
  words: string[],
  options: CliOptions = {},
): Promise<{ code: number | null; findings: Finding[] }> {
  const { code, stdout } = await cli(['doctor', '--json', ...words], options)
  return { code, findings: parsed(stdout) }
}

const problems = (findings: readonly Finding[]) => findings.filter(({ state }) => state === 'problem')

/** The only problem that is found. */
async function diagnosis(words: string[], options: CliOptions = {}): Promise<Finding> {
  const { code, findings } = await doctor(words, options)
  const found = problems(findings)
  assert.is(found.length, 1, JSON.stringify(found))
  assert.is(code, 3)
  return found[0]!
}

test('a healthy store: a line for each check, exit code 0', async () => {
  await meow.append({ category: 'a', streamId: '1' }, { type: 'T', data: 1 })
  const { code, stdout, stderr } = await cli(['doctor', ...store])
  assert.equal([code, stderr], [0, 'no problem found\n'])
  const lines = stdout.split('\n').filter((line) => !/^warning|^ +to do/.test(line)) // the tests' server has no fsync
  const said = lines.map((line) =>
    line
      .replaceAll(/\d+(\.\d+)? m?s\b/g, '<time>')
      .replaceAll(/ {2,}/g, ' ')
      .replaceAll(/\d+ of \d+/g, '<n>'),
  )
  assert.equal(
    said.filter((line) => !line.startsWith('ok server')),
    [
      `ok connection connected as ${who} to database ${database}; a query takes <time>`,
      'ok clock the clocks differ by at most <time>',
      `ok rights ${who} may read, append, subscribe, manage, publish, migrate`,
      `ok migration schema "${storeSchema}" is up to date`,
      'ok health triggers and sequence are correct',
      'ok objects functions, triggers, indexes and privileges are those of this version',
      'ok push a notification takes <time>',
      'ok queue the queue of NOTIFY is 0% full',
      'ok transactions none is open for longer than <time>',
      'ok stallers there are no blocking transactions',
      'ok bloat no table has many dead rows',
      'ok subscriptions there are no subscriptions',
      '',
    ],
  )
})

test('not migrated', async () => {
  const schema = uniqueName('nothing')
  const { check, found, todo } = await diagnosis(['--schema', schema])
  assert.equal([check, todo], ['migration', `meowmx migrate --schema ${schema}`])
  assert.match(found, new RegExp(`^schema "${schema}" is not migrated: 001_events.sql to 0`))
})

test('a disabled trigger and a sequence that is too low: the advice that it prints repairs them', async () => {
  const events = `${storeSchema}.events`
  await sql.query(
    `alter table ${events} disable trigger appended; select setval('${events}_position_seq', 1, false)`,
  )
  const { code, findings } = await doctor(store)
  const found = problems(findings)
  assert.is(code, 3)
  assert.equal(
    found.map(({ check, found }) => `${check}: ${found}`),
    [
      'health: events could be lost: triggers of events are missing or not ENABLE ALWAYS (appended)',
      'health: events could be lost: position 1 is above its sequence (0)',
    ],
  )
  for (const { todo } of found) await sql.query(todo!)
  assert.equal(problems((await doctor(store)).findings), [])
})

test('functions, triggers, indexes and privileges that are not those of this version', async () => {
  const schema = uniqueName('objects')
  await openStore({ schema, listen: false })
  const role = uniqueName('role')
  await sql.query(`create role ${role}; grant usage on schema ${schema} to ${role};
    grant select on all tables in schema ${schema} to ${role}; grant select on all sequences in schema ${schema} to ${role}`)
  assert.equal(problems((await doctor(['--schema', schema])).findings), [])
  const { rows } = await sql.query(`select pg_get_functiondef('${schema}.wake_channel'::regproc) as text`)
  await sql.query(`drop index ${schema}.events_correlation; drop function ${schema}.position_at(timestamptz);
    drop function ${schema}.append(varchar, text, jsonb, text, jsonb);
    drop trigger forget_erased on ${schema}.snapshots;
    alter table ${schema}.parked_events disable trigger wake_waiters_of_parked;
    revoke select on ${schema}.discarded_events from ${role}`)
  await sql.query(rows[0].text.replace("'!'", "'?'"))
  const { code, findings } = await doctor(['--schema', schema])
  assert.is(code, 3)
  assert.equal(
    findings.filter(({ check, state }) => check === 'objects' && state !== 'ok').map(({ found }) => found),
    [
      'function append is missing',
      'function position_at is missing',
      'function wake_channel is not as this version installs it',
      'index events_correlation is missing',
      `role ${role} may read events, and lacks select on discarded_events`,
      'trigger parked_events.wake_waiters_of_parked is off',
      'trigger snapshots.forget_erased is missing',
    ],
  )
  await sql.query(`drop owned by ${role}; drop role ${role}`)
})

test('a role without rights', async () => {
  const role = uniqueName('role')
  await sql.query(`create role ${role}`)
  const url = new URL(databaseUrl())
  url.searchParams.set('options', `-c role=${role}`)
  const nothing = await diagnosis(['--url', url.href, ...store])
  assert.equal(
    [nothing.check, nothing.found],
    ['rights', `${role} may not read in schema "${storeSchema}" (the privilege usage is missing too)`],
  )
  assert.match(
    nothing.todo!,
    /^run the grants of SECURITY\.md for a reader as the owner, and grant that role to role_/,
  )
  await sql.query(`grant usage on schema ${storeSchema} to ${role}; grant select on all tables in schema ${storeSchema} to ${role};
    grant select on all sequences in schema ${storeSchema} to ${role}`)
  const reader = await diagnosis(['--url', url.href, '--may', 'append,subscribe', ...store])
  assert.is(reader.found, `${role} may not append, subscribe in schema "${storeSchema}"`)
  await sql.query(`drop owned by ${role}; drop role ${role}`)
})

test('an append that stays open, and the transaction it is of', async () => {
  const client = await pgClient({ application_name: 'batch' })
  await client.query('begin')
  await meow.append({ category: 'a', streamId: '2' }, { type: 'T', data: 1 }, { client })
  const { rows } = await client.query('select pg_backend_pid() as pid, pg_sleep(0.05)')
  const { findings } = await doctor(['--long-ms', '50', ...store])
  const mine = problems(findings).filter(({ found }) => found.startsWith(`process ${rows[0].pid} `))
  const said = mine.map(({ found, todo }) => [found.replace(/\d+(\.\d+)? (m?s|min)/, '<time>'), todo])
  assert.equal(said, [
    [
      `process ${rows[0].pid} (batch, ${who}, idle in transaction) has had a transaction open for <time>: meanwhile dead rows cannot be removed`,
      `find out why it is open; to end it: select pg_terminate_backend(${rows[0].pid})`,
    ],
    [
      `process ${rows[0].pid} (batch) has appended and not committed for <time>: category "a" is not delivered`,
      `let it commit, or end it: select pg_terminate_backend(${rows[0].pid})`,
    ],
  ])
  await client.query('rollback')
})

test('LISTEN that leads elsewhere', async () => {
  const database = uniqueName('elsewhere')
  await sql.query(`create database ${database}`)
  const url = new URL(databaseUrl())
  url.pathname = database
  const { check, found, todo } = await diagnosis(['--listen-url', url.href, ...store])
  assert.is(check, 'push')
  assert.match(
    found,
    new RegExp(`^LISTEN through --listen-url leads to another server or database \\(${database} `),
  )
  assert.match(todo!, /^give --listen-url .* past the pooler$/)
  await sql.query(`drop database ${database} with (force)`)
})

test('parked events, a dead executor, a table that is not vacuumed, and a wrong clock', async () => {
  await sql.query(`alter table ${storeSchema}.checkpoints set (autovacuum_enabled = false)`)
  const failing = meow.subscription('mailer', { category: 'a' }).process(
    () => {
      throw new Error('no')
    },
    { retry: { maxAttempts: 1 } },
  )
  while ((await meow.parked('mailer').catch(() => [])).length === 0) await failing.ready
  await failing.stop()
  await sql.query(`select ${storeSchema}.subscribe('orders', '{a}', null, null, 1, 0)`)
  await sql.query(`select * from ${storeSchema}.claim('orders', 'host:1:dead', 1, '{}', '{}')`) // and is never heard of again
  const shift =
    'const T = Date; globalThis.Date = class extends T { constructor(...v) { super(...(v.length ? v : [T.now() - 3600000])) } static now() { return T.now() - 3600000 } }'
  const NODE_OPTIONS = `--import data:text/javascript,${encodeURIComponent(shift)}`
  const { code, findings } = await doctor(store, { env: { NODE_OPTIONS } })
  assert.is(code, 3)
  assert.equal(
    problems(findings).map(({ check, found, todo }) => [
      check,
      found.replace(/\d+(\.\d+)? (m?s|min) ago/, '<time> ago').replace(/has \d+ dead/, 'has <n> dead'),
      todo,
    ]),
    [
      [
        'clock',
        "the server's clock is 60 min ahead of this machine's: leases use only the server's clock, but recordedAt and your logs will differ",
        'synchronise both with NTP (timedatectl set-ntp true)',
      ],
      [
        'bloat',
        `autovacuum is off for "${storeSchema}".checkpoints, which has <n> dead rows now`,
        `alter table "${storeSchema}".checkpoints reset (autovacuum_enabled)`,
      ],
      [
        'subscriptions',
        '"mailer" has 1 parked events',
        'run meowmx parked mailer to see why; when the cause is corrected: meowmx replay mailer',
      ],
      [
        'subscriptions',
        'executor host:1:dead of "orders" is dead: its lease of 1 partitions expired <time> ago, and no other executor took over',
        'start an executor, and find out why that one ended (out of memory, killed, cut off from the database)',
      ],
    ],
  )
})

test('no server', async () => {
  const { check, found } = await diagnosis(['--url', 'postgres://nobody@127.0.0.1:1/nothing'])
  assert.equal([check, found.split(':')[0]], ['connection', 'no connection to the server'])
})

test.run()
