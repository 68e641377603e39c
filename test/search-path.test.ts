// @direct
// A stranger who may create in `public` sets traps there: operators and functions with the names that the library uses,
// for all types it uses. PostgreSQL prefers one that fits exactly to its own that takes any type, or needs a conversion.
// None of them ever runs when others migrate, append, read, subscribe or manage.
import { readdirSync, readFileSync } from 'node:fs'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import { connect } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { databaseUrl, uniqueName } from './support/store.ts'
import { decide, execute, manage, read, write } from './support/work.ts'

const types = `text varchar name int4 int8 float8 numeric bool uuid json timestamptz oid regclass text[] int4[] int8[]`
const ones = types.split(' ')
const pairs = ones.flatMap((a) => ones.map((b) => `${a}, ${b}`))
const operators = '= <> < > <= >= + - * / % & | || -> ->> ? @>'.split(' ')

const database = uniqueName('trapped')
const stranger = uniqueName('stranger')
const clients: pg.Client[] = []
let meow: Meow

function url(name: string, user?: string): string {
  const url = new URL(databaseUrl())
  url.pathname = `/${name}`
  if (user) [url.username, url.password] = [user, 'stranger']
  return url.href
}

async function open(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  clients.push(client)
  return client
}

/** The name of every function that the library's files call. */
function called(): string[] {
  const texts = ['sql/', 'src/'].flatMap((folder) => {
    const at = new URL(`../${folder}`, import.meta.url)
    const files = readdirSync(at, { recursive: true, encoding: 'utf8' })
    return files
      .filter((name) => /\.(sql|ts)$/.test(name))
      .map((name) => readFileSync(new URL(name, at), 'utf8'))
  })
  return [...texts.join('\n').matchAll(/\b([a-z]\w*)\(/g)].map(([, name]) => name!)
}

const admin = await open(databaseUrl())
test.before(async () => {
  await admin.query(`create database ${database}`)
  await admin.query(`create role ${stranger} login password 'stranger'`)
  const owner = await open(url(database))
  await owner.query(`grant create on schema public to ${stranger}`)
  const { rows } = await owner.query(
    `select proname as name, bool_or(pronargs = 1 or provariadic <> 0) as one, bool_or(pronargs = 2) as two
     from pg_proc where proname = any ($1) and pronamespace = 'pg_catalog'::regnamespace and pronargs > 0 group by 1`,
    [called()],
  )
  assert.ok(rows.length > 30, `${rows.length} functions`)
  const client = await open(url(database, stranger))
  const trap = (name: string, args: string) =>
    `create function public."${name}" (${args}) returns bool language plpgsql as 'begin raise ''hijacked: ${name}(${args})''; end'`
  await client.query(pairs.map((pair) => trap('trap', pair)).join(';'))
  for (const operator of operators) {
    const make = (pair: string) => {
      const [left, right] = pair.split(', ')
      return `create operator public.${operator} (leftarg = ${left}, rightarg = ${right}, function = public.trap)`
    }
    await client.query(pairs.map(make).join(';'))
  }
  for (const { name, one, two } of rows)
    await client.query(
      [...(one ? ones : []), ...(two ? pairs : [])].map((args) => trap(name, args)).join(';'),
    )
})
test.after(async () => {
  await meow?.close()
  await Promise.all(clients.slice(1).map((client) => client.end()))
  await admin.query(`drop database if exists ${database} with (force)`)
  await admin.query(`drop role if exists ${stranger}`)
  await admin.end()
})

test('all that the library does', async () => {
  const client = await open(url(database))
  for (const caught of ['1::float8 * 1', `unnest('{1}'::int4[])`])
    assert.match((await rejects(client.query(`select ${caught}`), Error)).message, 'hijacked')
  meow = await connect({ connectionString: url(database) })
  await meow.migrate()
  const events = await write(meow, client)
  await read(meow, events, client)
  await decide(meow, client)
  await manage(meow, await execute(meow, events))
})

test("PostgreSQL's own come last, and temporary tables first: the functions, and appends by a caller's client", async () => {
  const client = await open(url(database))
  for (const table of [
    'events',
    'subscriptions',
    'checkpoints',
    'pg_locks',
    'pg_database',
    'events_position_seq',
    'publisher',
    'coalescing_until',
  ])
    await client.query(`create temp table ${table} (mine int)`)
  await client.query('set search_path = pg_temp, public, pg_catalog')
  assert.match((await rejects(client.query('select 1 = 1'), Error)).message, 'hijacked')
  assert.ok((await write(meow, client)).length > 0)
  const run = async (statement: string) => (await client.query(statement)).rows
  await run(`select meowmx.subscribe('s', '{c}', null, null, 2, 0)`)
  const me = '00000000-0000-0000-0000-000000000000'
  const [{ epoch }] = await run(`select * from meowmx.claim('s', 'me', 60000, '{}', '{}')`)
  const held = `'{0,1}', '{${epoch},${epoch}}'`
  for (const statement of [
    `select * from meowmx.append('c', 'a', '{"type": "T", "data": 1}', 'no-stream')`,
    `select * from meowmx.append('c', 'a', '[{"type": "T"}, {"type": "T", "data": 2}]', '0')`,
    `insert into meowmx.events (version, category, stream_id, type, data) values (0, 'c', 'raw', 'T', '1')`,
    `select meowmx.horizon('c', 'd'), meowmx.horizon(), meowmx.channel('c'), meowmx.wake_channel('s')`,
    `select meowmx.claim('s', 'me', 60000, ${held})`,
    `select meowmx.await_position('s', 1, '00000000-0000-0000-0000-000000000000', 60000)`,
    `select meowmx.advance('s', 60000, ${held}, '{1,1}')`,
    `select meowmx.park('s', 0, ${epoch}, 'c', 'a', 1, 1, 'why', false)`,
    `select meowmx.park('s', 1, ${epoch}, 'c', 'raw', 1, 1, 'why', false)`,
    `select meowmx.parked_streams('s', '{0,1}'), meowmx.counts_of(s, 99), meowmx.version_at('c', 'a', 1) from meowmx.subscriptions s`,
    `select * from meowmx.parked('s')`,
    `select meowmx.replay_parked('s')`,
    `select meowmx.replayed('s', 0, ${epoch}, 'c', 'a', 2)`,
    `select meowmx.replayed('s', 1, ${epoch}, 'c', 'raw', null)`,
    `select meowmx.release('s', 'me', ${held}, '{2,2}', true)`,
    `select meowmx.alter_subscription('s', '{"categories": ["c", "d"], "types": ["T"], "partitions": 3}')`,
    `select meowmx.reset_subscription('s', 0)`,
    `select meowmx.delete_subscription('s')`,
    `select meowmx.waiting_for_notify(), meowmx.claim_publishing('${me}')`,
    `select meowmx.renew_publishing('${me}', 1, true)`,
    `select settled, commits from meowmx.publish('{1}', '{1}', 1, 1)`,
    `select meowmx.renew_publishing('${me}', 1, false)`,
    `select meowmx.end_publishing('${me}')`,
  ]) {
    const rows = await run(statement)
    assert.ok(!JSON.stringify(rows).includes('false'), `${statement}: ${JSON.stringify(rows)}`)
  }
  await client.query('set search_path = pg_catalog')
  assert.is((await meow.load({ category: 'c', streamId: 'a' })).length, 3)
})

test.run()
