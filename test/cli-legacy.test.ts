// @direct
// The command meowmx import-legacy: the tables of the original library, old and new, and of its predecessor.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cli, parsed } from './support/cli.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const store = ['--schema', storeSchema]
const meow = await openStore()
const sql = await pgClient()
const schemas: string[] = []
test.after(async () => {
  for (const schema of schemas) await sql.query(`drop schema ${schema} cascade`)
  await closeAll()
})

/** Tables as the original's migrations leave them, with names and types of their own in each of its versions. */
async function legacySchema({ plural = false, id = 'uuid', transaction = 'xid8' } = {}): Promise<string> {
  const schema = uniqueName('legacy')
  schemas.push(schema)
  const s = plural ? 's' : ''
  await sql.query(`create schema ${schema}; set search_path = ${schema};
    create table es_aggregate${s} (id ${id} primary key, version integer not null, aggregate_type text not null);
    create table es_event${s} (
      id bigserial primary key, transaction_id ${transaction} not null, aggregate_id ${id} not null references es_aggregate${s} (id),
      version integer not null, event_type text not null, json_data json not null, unique (aggregate_id, version)
    );
    create table es_aggregate_snapshot (
      aggregate_id ${id} not null references es_aggregate${s} (id), version integer not null, json_data json not null,
      primary key (aggregate_id, version)
    );
    create table es_event_subscription${s} (
      subscription_name text primary key, last_transaction_id ${transaction} not null, last_event_id bigint not null
    )`)
  return schema
}

const [a, b] = ['b5ce6861-1572-4900-9a88-e05fce485c54', '0a6f1c52-9c51-4a4e-8f0c-1f2d3c4b5a69']

test('the old original: versions from 0, ordered by transaction and id; a second import writes nothing, a later one only new events', async () => {
  const schema = await legacySchema()
  const [user, cart] = [uniqueName('user'), uniqueName('cart')]
  await sql.query(`insert into es_aggregate values ('${a}', 2, '${user}'), ('${b}', 1, '${cart}')`)
  // Transaction 90 began early and appended last: a's version 1 is of 100, its version 2 of 90.
  await sql.query(`insert into es_event (id, transaction_id, aggregate_id, version, event_type, json_data) values
    (1, '80', '${a}', 0, 'Created', '{"n": 12345678901234567890, "s": "\\u0000"}'), (2, '95', '${b}', 0, 'Opened', '[1]'),
    (3, '100', '${a}', 1, 'Renamed', 'null'), (4, '90', '${a}', 2, 'Deleted', '{}')`)
  await sql.query(`insert into es_event_subscription values ('mailer', '95', 2), ('fresh', '0', 0)`)

  const words = [
    'import-legacy',
    '--from-schema',
    schema,
    '--subscription',
    `mailer=${user}`,
    '--subscription',
    `fresh=${cart}`,
  ]
  const first = await cli([...words, ...store])
  const { events } = await meow.read({ category: [user, cart] })
  const [created, opened, renamed, deleted] = events
  assert.is(first.stderr, '')
  assert.equal(first.stdout.split('\n'), [
    `${schema}.es_event: 4 events written, 0 were already there`,
    `subscription "mailer" continues after position ${renamed!.position - 1}`,
    `subscription "fresh" continues after position ${opened!.position - 1}`,
    '',
  ])
  assert.equal(
    events.map(({ category, streamId, version, type, metadata }) => [
      category,
      streamId,
      version,
      type,
      metadata,
    ]),
    [
      [user, a, 0, 'Created', { legacy: { id: 1, transactionId: 80, version: 0 } }],
      [cart, b, 0, 'Opened', { legacy: { id: 2, transactionId: 95, version: 0 } }],
      [user, a, 1, 'Renamed', { legacy: { id: 3, transactionId: 100, version: 1 } }],
      [user, a, 2, 'Deleted', { legacy: { id: 4, transactionId: 90, version: 2 } }],
    ],
  )
  const { rows } = await sql.query(`select data::text from ${storeSchema}.events where id = $1`, [
    created!.id,
  ])
  assert.is(rows[0].data, '{"n": 12345678901234567890, "s": "\\u0000"}')
  const mailer = (await meow.subscriptions()).find(({ name }) => name === 'mailer')!
  assert.equal([mailer.selector, mailer.lag], [{ category: user }, 2])

  await sql.query(`insert into es_event values (5, '110', '${b}', 1, 'Paid', '{}')`)
  const later = await cli([...words, '--json', ...store])
  assert.equal(parsed(later.stdout), [{ from: `${schema}.es_event`, written: 1, known: 4 }])
  assert.is(
    later.stderr,
    'subscription "mailer" already exists in this store: it was not changed\nsubscription "fresh" already exists in this store: it was not changed\n',
  )
  const [paid] = (await meow.read({ category: cart }, { after: deleted!.position })).events
  assert.equal([paid!.streamId, paid!.version, paid!.type], [b, 1, 'Paid'])
  assert.is(
    (await meow.append({ category: cart, streamId: b }, { type: 'Next', data: 1 }, { expectedVersion: 1 }))
      .version,
    2,
  )
})

test('the current original: other table names, ids of any type; a gap is closed and reported', async () => {
  const schema = await legacySchema({ plural: true, id: 'text' })
  const category = uniqueName('cat')
  await sql.query(`insert into es_aggregates values ('tom/1', 9, '${category}')`)
  await sql.query(`insert into es_events (transaction_id, aggregate_id, version, event_type, json_data)
    select '7', 'tom/1', v, 'T', to_json(v) from unnest(array[0, 1, 9]) as v`)
  const { code, stdout, stderr } = await cli(['import-legacy', '--from-schema', schema, ...store])
  assert.equal([code, stdout], [0, `${schema}.es_events: 3 events written, 0 were already there\n`])
  assert.is(
    stderr,
    '1 event came after gaps in the versions of their aggregates: their new versions have no gaps\n',
  )
  const events = await meow.load({ category, streamId: 'tom/1' })
  assert.equal(
    events.map(({ version, data, metadata }) => [version, data, metadata.legacy.version]),
    [
      [0, 0, 0],
      [1, 1, 1],
      [2, 9, 9],
    ],
  )
})

test("its predecessor: versions from 1, and SQLAlchemy's transactions are numbers; which tables, where there are several", async () => {
  const schema = await legacySchema({ transaction: 'bigint' })
  const category = uniqueName('order')
  await sql.query(`insert into es_aggregate values ('${a}', 2, '${category}')`)
  await sql.query(`insert into es_event (transaction_id, aggregate_id, version, event_type, json_data)
    values (7, '${a}', 1, 'Placed', '{}'), (7, '${a}', 2, 'Paid', '{}')`)
  const several = await cli(['import-legacy', ...store])
  assert.equal([several.code, several.stdout], [2, ''])
  assert.match(
    several.stderr,
    /^meowmx: there are several such tables: legacy_.*choose a schema with --from-schema\n$/,
  )
  const none = await cli(['import-legacy', '--from-schema', 'public', ...store])
  assert.match(
    none.stderr,
    /^meowmx: no tables es_event and es_aggregate, nor .* in schema public: choose another database with --from <url>/,
  )
  const { stdout } = await cli(['import-legacy', '--from-schema', schema, ...store])
  assert.is(stdout, `${schema}.es_event: 2 events written, 0 were already there\n`)
  const events = await meow.load({ category, streamId: a })
  assert.equal(
    events.map(({ version, type, metadata }) => [version, type, metadata.legacy.version]),
    [
      [0, 'Placed', 1],
      [1, 'Paid', 2],
    ],
  )
})

test.run()
