// @direct
// A store needs a database in UTF8: migrate refuses others, doctor says so. A store that an old release created in another
// encoding works, and characters of an error that it can't store are escaped, so no partition stops because of them.
import { readdirSync, readFileSync } from 'node:fs'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { server } from '../src/cli/doctor/server.ts'
import { version } from '../src/core/version.ts'
import { connectSettings } from '../src/database/connect-options.ts'
import { Database } from '../src/database/database.ts'
import { definitions, schemaFiles } from '../src/database/definitions.ts'
import type { Meow } from '../src/index.ts'
import { connect, SchemaError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, directUrl, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const ENCODINGS = ['WIN1252', 'LATIN1', 'EUC_JP', 'SQL_ASCII']
const folder = new URL('../sql/', import.meta.url)
const admin = await pgClient()
const databases: string[] = []
test.after(async () => {
  for (const name of databases) await admin.query(`drop database ${name} with (force)`)
  await closeAll()
})

async function databaseOf(encoding: string): Promise<string> {
  const name = uniqueName('encoding')
  await admin.query(
    `create database ${name} encoding '${encoding}' template template0 lc_collate 'C' lc_ctype 'C'`,
  )
  databases.push(name)
  const url = new URL(directUrl())
  url.pathname = `/${name}`
  return url.href
}

/** As releases did that did not ask for the encoding. */
async function migrateAnyway(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  await client.query('create schema meowmx; set search_path = meowmx, pg_temp')
  await client.query(
    'create table migrations (id int primary key, name text not null, applied_at timestamptz not null default clock_timestamp())',
  )
  for (const { id, name, text } of schemaFiles) {
    await client.query(text)
    await client.query('insert into migrations (id, name) values ($1, $2)', [id, name])
  }
  for (const { name, text, md5 } of definitions) {
    await client.query(text)
    await client.query('insert into functions (name, md5, version) values ($1, $2, $3)', [name, md5, version])
  }
  await client.end()
}

const failing = [
  ['a', () => new Error('9 € 🤡 é')],
  ['b', () => 'ü\u0000\ud800'],
] as const

/** Handlers that fail with texts that the database may not hold, and others behind them that succeed. */
async function parks(meow: Meow, transactional: boolean): Promise<string[]> {
  const category = uniqueName('parks')
  const name = uniqueName('parks')
  for (const streamId of ['a', 'b', 'c', 'a'])
    await meow.append({ category, streamId }, { type: 'T', data: 1 })
  const handled: string[] = []
  const worker = meow.subscription(name, { category }).process(
    ({ streamId }) => {
      const fails = failing.find(([id]) => id === streamId)
      if (fails) throw fails[1]()
      handled.push(streamId)
    },
    { transactional, retry: { maxAttempts: 1 }, outage: false },
  )
  await until(async () => (await meow.parked(name)).length === 3 && handled.length === 1, {
    what: 'three events that are parked',
    timeoutMs: 30_000,
  })
  await worker.stop()
  assert.equal(handled, ['c'])
  return (await meow.parked(name)).map(({ error }) => error?.split('\n', 1)[0] ?? '-')
}

for (const encoding of ENCODINGS)
  test(`${encoding}: migrate refuses it, doctor reports it; errors of parked events are escaped`, async () => {
    const connectionString = await databaseOf(encoding)
    const meow = await connect({ connectionString, pollIntervalMs: 100 })
    const error = await rejects(meow.migrate(), SchemaError)
    assert.match(
      error.message,
      new RegExp(`${encoding}.*UTF8.*create database .* encoding 'UTF8' template template0`),
    )
    assert.is((await admin.query(`select 1 from pg_namespace where nspname = 'meowmx'`)).rowCount, 0)
    await meow.close()

    await migrateAnyway(connectionString)
    const old = await connect({ connectionString, pollIntervalMs: 100 })
    assert.equal(await old.migrate(), { applied: [] })
    for (const transactional of [false, true])
      assert.equal(await parks(old, transactional), [
        'Error: 9 \\u20ac \\ud83e\\udd21 \\u00e9',
        '-',
        '\\u00fc\\ufffd\\ufffd',
      ])
    await old.close()

    const db = new Database(connectSettings({ connectionString, listen: false }))
    const findings = [await server.run({ db, listenUrl: undefined, longMs: 0, may: [] })].flat()
    assert.ok(
      findings.some(({ state, found }) => state === 'problem' && found.includes(encoding)),
      JSON.stringify(findings),
    )
    await db.close()
  })

test('UTF8: the text of an error is kept as it is', async () => {
  const meow = await connect({ connectionString: await databaseOf('UTF8'), pollIntervalMs: 100 })
  await meow.migrate()
  for (const transactional of [false, true])
    assert.equal(await parks(meow, transactional), ['Error: 9 € 🤡 é', '-', 'ü\ufffd\ufffd'])
  await meow.close()
})

test('SQL files are ASCII, so that every encoding takes them', () => {
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    if (!name.endsWith('.sql')) continue
    assert.is(/[^\n -~]/.exec(readFileSync(new URL(name, folder), 'utf8'))?.[0], undefined, name)
  }
})

test.run()
