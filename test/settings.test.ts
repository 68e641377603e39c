// @direct
// Whatever a role or a database sets for its sessions (how SQL is read and written, what PL/pgSQL refuses, which plans are
// taken) changes nothing of what the library does, from migrate() on.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConnectionError, connect } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, pgClient, uniqueName } from './support/store.ts'
import { decide, execute, manage, read, write } from './support/work.ts'

const admin = await pgClient()
const made: string[] = []
test.after(async () => {
  for (const name of made) await admin.query(`drop database if exists ${name} with (force)`)
  await closeAll()
})

/** An empty database with these settings; its address. */
async function database(settings: Readonly<Record<string, string>>): Promise<string> {
  const name = uniqueName('settings')
  made.push(name)
  await admin.query(`create database ${name}`)
  for (const [setting, value] of Object.entries(settings))
    await admin.query(`alter database ${name} set ${setting} = ${value}`)
  return Object.assign(new URL(databaseUrl()), { pathname: `/${name}` }).href
}

const odd = { category: `o'\\ é \u{1f408}`, streamId: `\\'x"` }
const data = { text: `\\ ' " é \u{1f408} \\u0041`, n: 0.1 + 0.2, none: null, list: [null, 'null', ''] }

async function everything(connectionString: string): Promise<void> {
  await using meow = await connect({ connectionString, schema: 'Sé "\\' })
  await meow.migrate()
  const client = await pgClient({ connectionString })
  const notices: string[] = []
  client.on('notice', ({ message, severity }) => severity === 'WARNING' && notices.push(message!))
  await meow.append(odd, [
    { type: `T\\'é`, data, metadata: { by: [`\\`, `'`] } },
    { type: 'T', data },
  ])
  const [event] = await meow.load(odd)
  assert.equal([event!.type, event!.data, event!.metadata], [`T\\'é`, data, { by: [`\\`, `'`] }])
  assert.ok(Math.abs(event!.recordedAt.getTime() - Date.now()) < 600_000)
  const events = await write(meow, client)
  await read(meow, events, client)
  await decide(meow, client)
  await manage(meow, await execute(meow, events))
  const [{ category }] = events as [(typeof events)[0]]
  const reason = `it's \\ "é"`
  const erased = await meow.eraseStream({ category, streamId: 'a' }, { reason })
  assert.equal(erased.tombstone!.data, { events: erased.events, reason })
  const schema = client.escapeIdentifier('Sé "\\')
  for (const expected of ['no-stream', '1', 'any'])
    await client.query(`select * from ${schema}.append('c', 's', '[{"type":"T"},{"type":"T"}]', $1)`, [
      expected,
    ])
  await client.query(
    `insert into ${schema}.events (version, category, stream_id, type, data) values (0, 'd', 's', 'T', '1'), (1, 'd', 's', 'T', '2')`,
  )
  assert.equal(notices, [])
}

test('how SQL is read, and what PL/pgSQL refuses', async () => {
  await everything(
    await database({
      'plpgsql.extra_errors': "'all'",
      'plpgsql.variable_conflict': 'use_column',
      standard_conforming_strings: 'off',
      escape_string_warning: 'off', // what a client sends is not ours
      backslash_quote: 'off',
      quote_all_identifiers: 'on',
      transform_null_equals: 'on',
      array_nulls: 'off',
      check_function_bodies: 'off',
      row_security: 'off',
    }),
  )
  await everything(
    await database({
      'plpgsql.extra_warnings': "'all'",
      'plpgsql.variable_conflict': 'use_variable',
      search_path: "''",
      default_transaction_deferrable: 'on',
    }),
  )
})

test('how values are written', async () => {
  await everything(
    await database({
      DateStyle: 'German, DMY',
      IntervalStyle: 'sql_standard',
      TimeZone: "'Asia/Kathmandu'",
      bytea_output: 'escape',
      extra_float_digits: '-15',
      xmlbinary: 'hex',
      client_encoding: "'LATIN1'",
    }),
  )
})

test('which plans are taken', async () => {
  await everything(
    await database({
      enable_seqscan: 'off',
      enable_indexscan: 'off',
      enable_nestloop: 'off',
      enable_sort: 'off',
      plan_cache_mode: 'force_custom_plan',
      from_collapse_limit: '1',
      join_collapse_limit: '1',
      work_mem: "'64kB'",
      cursor_tuple_fraction: '0.0001',
    }),
  )
})

test('a role that is set to read only gets an error that says so', async () => {
  const connectionString = await database({ default_transaction_read_only: 'on' })
  await using meow = await connect({ connectionString })
  const error = await rejects(meow.migrate(), ConnectionError)
  assert.match(error.message, 'default_transaction_read_only')
})

test.run()
