// @direct
// The statements of SECURITY.md, to the letter: each role can do all of its work through the library, and nothing else.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { ConnectionError, connect, defineProjection } from '../src/index.ts'
import { copyIn } from './support/copy.ts'
import { rejects } from './support/rejects.ts'
import { dropRoles, loginOf, statementsOf } from './support/roles.ts'
import { databaseUrl, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { decide, execute, manage, read, write } from './support/work.ts'

const schema = uniqueName('rights')
const [roles, grants, login, erasure] = statementsOf(schema)
const event = { type: 'T', data: 1 }

/** A store and a connection of one login. */
interface Role {
  readonly meow: Meow
  readonly sql: pg.Client
}
const members = new Map<string, Role>()
const of = (name: string): Role => members.get(name)!
const admin = new pg.Client({ connectionString: databaseUrl() })

async function enter(role: string): Promise<Role> {
  const connectionString = await loginOf(admin, role)
  const sql = new pg.Client({ connectionString })
  await sql.connect()
  const entered = { sql, meow: await connect({ connectionString, schema }) }
  members.set(role.slice(schema.length + 1), entered)
  return entered
}

let written: RecordedEvent[]
let subscription: string
async function prepare(): Promise<void> {
  await admin.connect()
  await admin.query(roles)
  // Where new functions are not everybody's, the grants do, too.
  await admin.query(
    `alter default privileges for role ${schema}_migrator revoke execute on functions from public`,
  )
  const migrator = await enter(`${schema}_migrator`)
  assert.ok((await migrator.meow.migrate()).applied.length > 0)
  assert.equal(await migrator.meow.migrate(), { applied: [] })
  await migrator.sql.query(grants)
  await migrator.sql.query(grants) // as after each update
  await admin.query(login)
  await enter(`${schema}_shop`)
  for (const role of ['reader', 'writer', 'executor', 'projector', 'publisher', 'manager', 'eraser']) {
    await admin.query(`create role ${schema}_a_${role} login in role ${schema}_${role}`)
    await enter(`${schema}_a_${role}`)
  }
  written = await write(of('a_writer').meow, of('a_writer').sql)
  subscription = await execute(of('a_executor').meow, written)
}
test.after.each(async () => {
  for (const { sql } of members.values()) await sql.query('rollback') // what a failed test left open
})
async function cleanUp(): Promise<void> {
  for (const { meow, sql } of members.values()) await Promise.all([meow.close(), sql.end()])
  await admin.query(`drop schema if exists ${schema} cascade`)
  await dropRoles(admin, schema)
  await admin.end()
}
test.before(async () => {
  await prepare().catch((error) => cleanUp().finally(() => Promise.reject(error)))
})
test.after(cleanUp)

test('each role can do its work', async () => {
  for (const name of [
    'a_reader',
    'a_writer',
    'a_executor',
    'a_projector',
    'a_publisher',
    'a_manager',
    'a_eraser',
    'shop',
    'migrator',
  ]) {
    const { meow, sql } = of(name)
    await read(meow, written, sql)
    assert.equal(await meow.migrate(), { applied: [] })
    const late = await meow
      .waitFor(subscription, written.at(-1)!.position, { timeoutMs: 50 })
      .catch((error) => error)
    assert.is(late.code, 'ERR_TIMEOUT', name)
    await meow.parked(subscription)
  }
  for (const name of ['a_writer', 'a_eraser', 'shop']) await decide(of(name).meow, of(name).sql)
  const shop = of('shop')
  await execute(shop.meow, await write(shop.meow, shop.sql))
  await manage(of('a_manager').meow, await execute(of('a_manager').meow, written))
})

const hints = ['delete waiters', 'insert waiters', 'update waiters']
const executing = [
  'delete executors delete parked_events insert checkpoints insert executors insert parked_events insert subscriptions',
  'update checkpoints update executors update parked_events update subscriptions',
  'delete process_instances insert process_instances update process_instances',
  'delete process_timers insert process_timers update process_timers',
].flatMap((words) => words.match(/\w+ \w+/g)!)
const timing = ['delete timers', 'insert timers', 'update timers']
const writes: [name: string, rights: string[]][] = [
  ['reader', hints],
  [
    'writer',
    [...hints, ...timing, 'insert events', 'insert event_tags', 'insert snapshots', 'update snapshots'],
  ],
  ['executor', [...hints, ...executing]],
  ['projector', [...hints, ...executing, 'insert projections', 'update projections']],
  [
    'manager',
    [
      ...hints,
      ...executing,
      ...['delete checkpoints', 'delete subscriptions', 'update retired_epoch', 'insert discarded_events'],
      ...['insert projections', 'update projections', 'delete projections'],
    ],
  ],
  [
    'eraser',
    [
      ...hints,
      ...timing,
      ...[
        'insert events',
        'insert event_tags',
        'delete event_tags',
        'update events',
        'update parked_events',
        'update discarded_events',
      ],
      ...['insert snapshots', 'update snapshots', 'delete snapshots', 'insert tombstones'],
    ],
  ],
  ['publisher', [...hints, 'insert publisher', 'update publisher', 'update coalescing_until']],
  ['public', []],
]
for (const [name, rights] of writes) {
  test(`of all tables and sequences, ${name} may change ${rights.length ? rights.join(', ') : 'none'}`, async () => {
    // A role that has a privilege may not grant it: PostgreSQL takes that for a warning, and does nothing.
    if (name !== 'public')
      await of(`a_${name}`).sql.query(`grant all on all tables in schema ${schema} to public`)
    const { rows } = await admin.query(
      `select array_agg(lower(kind) || ' ' || relname order by kind, relname) as rights
       from pg_class, unnest('{INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER,REFERENCES,USAGE}'::text[]) as kind
       where relnamespace = $1::regnamespace and case
         when relkind = 'S' then kind in ('UPDATE', 'USAGE') and has_sequence_privilege($2, oid, kind)
         when relkind = 'r' and kind in ('DELETE', 'TRUNCATE', 'TRIGGER') then has_table_privilege($2, oid, kind)
         when relkind = 'r' and kind <> 'USAGE' then has_any_column_privilege($2, oid, kind)
       end`,
      [schema, name === 'public' ? name : `${schema}_${name}`],
    )
    assert.equal(rows[0].rights ?? [], rights.toSorted())
  })
}

const everybody = [
  `update ${schema}.events set type = 'U'`,
  `update ${schema}.events set type = type where false`,
  `update ${schema}.events set version = 1, data = '{}', metadata = '{"erased":true}'`,
  `delete from ${schema}.events`,
  `truncate ${schema}.events`,
  `delete from ${schema}.snapshots`,
  `insert into ${schema}.events (version, category, stream_id, type, data) values (0, 'c', 's', 'T', '1')
   on conflict (id) do update set data = '1'`,
  `insert into ${schema}.events (position, version, category, stream_id, type, data) overriding system value
   values (1000000, 0, 'c', 's', 'T', '1')`,
  `alter table ${schema}.events disable trigger append_only`,
  `drop trigger appended on ${schema}.events`,
  `create trigger mine before insert on ${schema}.events for each row execute function pg_catalog.suppress_redundant_updates_trigger()`,
  `create rule mine as on insert to ${schema}.events do instead nothing`,
  `create index on ${schema}.events (type)`,
  `drop table ${schema}.events`,
  `lock table ${schema}.events in exclusive mode`,
  `alter table ${schema}.events owner to current_user`,
  `set session_replication_role = replica`,
  `select setval('${schema}.events_position_seq', 1)`,
  `select nextval('${schema}.events_position_seq')`,
  `alter sequence ${schema}.events_position_seq cache 20`,
  `delete from ${schema}.publisher`,
  `insert into ${schema}.migrations (id, name) values (999, 'mine')`,
  `update ${schema}.migrations set name = 'mine'`,
  `create table ${schema}.mine ()`,
  `create function ${schema}.announce(varchar) returns void language sql as ''`,
  `create or replace function ${schema}.read_announcement() returns text language sql as 'select null::text'`,
  `alter function ${schema}.horizons(bigint) set search_path = public`,
  `drop schema ${schema} cascade`,
]
const appending = [
  `select ${schema}.append('c', 's', '{"type": "T"}')`,
  `insert into ${schema}.events (version, category, stream_id, type, data) values (0, 'c', 's', 'T', '1')`,
]
const consuming = [
  `select ${schema}.subscribe('mine', null, null, null, 1, 0)`,
  `update ${schema}.checkpoints set position = 0`,
  `update ${schema}.subscriptions set created_at = now()`,
  `insert into ${schema}.checkpoints (subscription, partition, position) values ('s', 7, 0)`,
  `insert into ${schema}.executors (subscription, owner, alive_until) values ('s', 'me', now())`,
  `insert into ${schema}.parked_events (subscription, category, stream_id, position, attempts, error) values ('s', 'c', 's', 1, 1, '')`,
  `delete from ${schema}.parked_events`,
  `delete from ${schema}.executors`,
  `select * from ${schema}.subscriptions for update`,
]
const scheduling = [
  `select ${schema}.schedule_timer('k', null, 0, 'c', 's', '{}')`,
  `delete from ${schema}.timers`,
  `select * from ${schema}.claim_timers(1, null)`,
]
const remembering = [
  `insert into ${schema}.snapshots (category, stream_id, name, snapshot_version, version, event_id, state) values ('c', 's', 'd', 1, 0, gen_random_uuid(), '1')`,
  `update ${schema}.snapshots set state = '1'`,
]
const managing = [
  `update ${schema}.subscriptions set partitions = 7`,
  `delete from ${schema}.subscriptions`,
  `delete from ${schema}.checkpoints`,
  `select setval('${schema}.retired_epoch', 7)`,
]
const publishing = [
  `select ${schema}.claim_publishing('00000000-0000-0000-0000-000000000000')`,
  `select ${schema}.renew_publishing('00000000-0000-0000-0000-000000000000', 0, true)`,
  `select ${schema}.end_publishing('00000000-0000-0000-0000-000000000000')`,
  `insert into ${schema}.publisher values (true, '00000000-0000-0000-0000-000000000000', 0, 0, false)`,
  `update ${schema}.publisher set closed = true`,
  `select setval('${schema}.coalescing_until', 9)`,
  `select nextval('${schema}.coalescing_until')`,
]
const refusals: [name: string, statements: string[]][] = [
  [
    'a_reader',
    [...everybody, ...appending, ...scheduling, ...remembering, ...consuming, ...managing, ...publishing],
  ],
  ['a_writer', [...everybody, ...consuming, ...managing, ...publishing]],
  ['a_executor', [...everybody, ...appending, ...remembering, ...managing, ...publishing]],
  ['a_publisher', [...everybody, ...appending, ...remembering, ...consuming, ...managing]],
  ['a_manager', [...everybody, ...appending, ...remembering, ...publishing]],
  // Those two he may, within limits, which are another test's.
  [
    'a_eraser',
    [
      ...everybody.filter((s) => !/from \S+snapshots|on conflict/.test(s)),
      ...consuming,
      ...managing,
      ...publishing,
    ],
  ],
  ['shop', [...everybody, ...managing]],
  ['migrator', ['create schema mine', 'create role mine', 'set session_replication_role = replica']],
]
for (const [name, statements] of refusals) {
  test(`${name} is refused ${statements.length} statements, with the administrator's setting too`, async () => {
    const { sql } = of(name)
    for (const setting of ['off', 'on']) {
      await sql.query('select set_config($1, $2, false)', ['meowmx.maintenance', setting])
      for (const statement of statements) {
        await sql.query('begin')
        const error = (await rejects(sql.query(statement), Error).catch((error) => {
          throw new Error(`${statement}: ${error.message}`)
        })) as pg.DatabaseError
        assert.is(error.code, '42501', `${statement}: ${error.message}`)
        await sql.query('rollback')
      }
    }
    await sql.query('reset meowmx.maintenance')
  })
}

const appends = (meow: Meow) => [
  meow.append({ category: 'c', streamId: 's' }, event),
  meow.append({ category: 'c', streamId: 's' }, [event, event]),
  meow.appendAll([{ stream: { category: 'c', streamId: 's' }, events: event }]),
]
const subscribes = (meow: Meow) => [
  meow
    .subscription(subscription, { category: written[0]!.category, types: ['T'], partitions: 2 })
    .process(() => {}).ready,
  meow.subscription(uniqueName('new'), {}).process(() => {}).done,
  meow.replayParked(subscription),
  meow.resetSubscription(subscription, 'start'),
]
const manages = (meow: Meow) => [
  meow.alterSubscription(subscription, { partitions: 3 }),
  meow.deleteSubscription(subscription),
]
const calls: [name: string, calls: ((meow: Meow) => Promise<unknown>[])[]][] = [
  ['a_reader', [appends, subscribes, manages]],
  ['a_writer', [subscribes, manages]],
  ['a_executor', [appends, manages]],
  ['a_manager', [appends]],
]
for (const [name, kinds] of calls) {
  test(`${name} hears from the library which right is missing`, async () => {
    const { meow } = of(name)
    const before = await of('a_reader').meow.subscriptions()
    for (const promise of kinds.flatMap((kind) => kind(meow)))
      assert.match(
        (await rejects(promise, ConnectionError)).message,
        /^missing rights: permission denied .*; grant/,
      )
    assert.equal(await of('a_reader').meow.subscriptions(), before)
  })
}

test('a projector runs projections; a manager that is a member of its login can switch, rebuild and drop them', async () => {
  const [projector, manager] = [of('a_projector'), of('a_manager')]
  const define = (version: number) =>
    defineProjection({
      name: 'r',
      version,
      category: written[0]!.category,
      setup: `create table ${schema}_seen (position bigint primary key, version int default ${version})`,
      handle: (events, { client }) =>
        client.query(`insert into ${schema}_seen select unnest($1::bigint[])`, [
          events.map(({ position }) => position),
        ]),
    })
  const refused = of('a_executor').meow.projection(define(1)).start()
  await rejects(refused.ready, Error)
  const first = projector.meow.projection(define(1))
  const workers = [first.start()]
  await first.waitFor(written.at(-1)!.position)
  await admin.query(`grant select on public.${schema}_seen to ${schema}_a_reader`)
  workers.push(projector.meow.projection(define(2)).start())
  const isLive = async () =>
    (await manager.meow.projections()).some(({ version, state }) => version === 2 && state === 'live')
  await until(isLive, { what: 'version 2' })
  assert.equal((await of('a_reader').sql.query(`select distinct version from ${schema}_seen`)).rows, [
    { version: 2 },
  ])
  await rejects(manager.meow.activateProjection('r', 1), ConnectionError)
  await admin.query(`grant ${schema}_a_projector to ${schema}_a_manager`)
  await manager.meow.activateProjection('r', 1)
  await manager.meow.rebuildProjection('r')
  await manager.meow.dropProjection('r', 2)
  await Promise.all(workers.map((worker) => worker.stop()))
  await admin.query(`revoke ${schema}_a_projector from ${schema}_a_manager`)
})

test('a publisher may take each step; a writer’s appends leave notifications out meanwhile, and notify again afterwards', async () => {
  const { sql } = of('a_publisher')
  const listener = of('a_reader').sql
  const category = uniqueName('published')
  const heard: string[] = []
  listener.on('notification', ({ payload }) => heard.push(payload!))
  await listener.query(`listen "${schema}.${category}"`)
  const append = async (streamId: string) => {
    const { position } = await of('a_writer').meow.append({ category, streamId }, event)
    await listener.query('select')
    return String(position)
  }
  const owner = randomUUID()
  const run = async (call: string) => (await sql.query(`select * from ${schema}.${call}`)).rows[0]
  const { claim_publishing: from } = await run(`claim_publishing('${owner}')`)
  assert.equal(await run(`renew_publishing('${owner}', 0, true)`), { renew_publishing: true })
  const leftOut = await append('a')
  assert.equal(heard, [])
  assert.is((await run(`publish('{}', '{}', ${from}, 0)`)).commits, 1)
  await listener.query('select')
  assert.equal(heard, [leftOut])
  assert.equal(await run(`renew_publishing('${owner}', ${leftOut}, false)`), { renew_publishing: true })
  const notified = await append('b')
  assert.equal(heard, [leftOut, notified])
  assert.equal(await run(`end_publishing('${owner}')`), { end_publishing: true })
})

test('a writer can not choose positions by COPY; nor, by any setting, leave out the checks', async () => {
  const { sql, meow } = of('a_writer')
  const columns = 'version, category, stream_id, type, data'
  const positions = copyIn(
    sql,
    `copy ${schema}.events (position, ${columns}) from stdin`,
    `9\t0\tc\ts\tT\t1\n`,
  )
  assert.is(((await rejects(positions, Error)) as pg.DatabaseError).code, '42501')
  const { rows } = await sql.query(`select ${schema}.announcement_setting() as mark`)
  const unannounced = [[rows[0].mark, '!']]
  for (const [settings, version, code] of [
    [unannounced, 0, 'MW002'],
    [[], 7, 'MW003'],
  ] as const) {
    await sql.query('begin')
    for (const [name, value] of [...settings, ['meowmx.maintenance', 'on']])
      await sql.query('select set_config($1, $2, true)', [name, value])
    const insert = `insert into ${schema}.events (${columns}) values (${version}, 'forged', 's', 'T', '1')`
    assert.is(((await rejects(sql.query(insert), Error)) as pg.DatabaseError).code, code)
    await sql.query('rollback')
  }
  assert.equal(await meow.load({ category: 'forged', streamId: 's' }), [])
})

test('a writer who forges an announcement harms the delivery of his own events alone', async () => {
  const { sql } = of('a_writer')
  const { meow } = of('shop')
  const category = uniqueName('forged')
  const { rows } = await sql.query(
    `select ${schema}.announcement_setting() as mark, ${schema}.category_key($1)::text as key,
            last_value as head from ${schema}.events_position_seq`,
    [category],
  )
  const { mark, key, head } = rows[0]
  await sql.query('begin')
  await sql.query(
    `select set_config($1, '!#' || pg_current_xact_id() || '#|' || $2::text || '=' || $3::bigint || '|', true)`,
    [mark, key, head],
  )
  await sql.query(
    `insert into ${schema}.events (version, category, stream_id, type, data) values (7, $1, 'forged', 'T', '1')`,
    [category],
  )
  const honest = await meow.append({ category, streamId: 'honest' }, [event, event])
  const position = (await meow.read({ category })).position
  await sql.query('commit')
  const later = await meow.append({ category, streamId: 'honest' }, event)
  assert.equal((await meow.read({ category }, { after: position })).events, later.events)
  const all = (await meow.read({ category })).events
  assert.equal(all.slice(1), [...honest.events, ...later.events])
})

test('an eraser can erase, with the library and in SQL; no other role can; and an eraser can’t rewrite events', async () => {
  const { meow } = of('shop')
  const stream = { category: 'customer', streamId: '42' }
  const named = { type: 'Named', data: { name: 'Ada' }, metadata: { ip: '::1' } }
  const { events } = await meow.append(stream, named)
  for (const name of ['a_reader', 'a_writer', 'a_executor', 'a_publisher', 'a_manager', 'shop']) {
    const { sql, meow } = of(name)
    const { message } = await rejects(meow.eraseStream(stream), ConnectionError)
    assert.match(message, /^missing rights: permission denied to erase: .*; grant/)
    await sql.query('begin; set local meowmx.maintenance = on')
    assert.is(((await rejects(sql.query(erasure), Error)) as pg.DatabaseError).code, '42501')
    await sql.query('rollback')
  }
  assert.equal(await meow.load(stream), events)

  const eraser = of('a_eraser')
  const rewriting = [
    `update ${schema}.events set data = '{"name": "Bob"}'`,
    `update ${schema}.events set data = '{}', metadata = '{}'`,
    `update ${schema}.events set metadata = '{"erased":true}'`,
    `insert into ${schema}.events (id, version, category, stream_id, type, data) values ('${events[0]!.id}', 0, 'c', 's', 'T', '1')
     on conflict (id) do update set data = '1'`,
  ]
  for (const [setting, code] of [
    ['off', 'MW001'],
    ['on', 'MW001'],
  ] as const) {
    for (const statement of rewriting) {
      await eraser.sql.query(`begin; set local meowmx.maintenance = ${setting}`)
      assert.is(
        ((await rejects(eraser.sql.query(statement), Error)) as pg.DatabaseError).code,
        code,
        statement,
      )
      await eraser.sql.query('rollback')
    }
  }
  assert.equal(await meow.load(stream), events)

  await eraser.sql.query(erasure)
  await meow.append(stream, named)
  assert.is((await eraser.meow.eraseStream(stream)).events, 1)
  const gone = { data: {}, metadata: { erased: true } }
  assert.equal(
    (await meow.load(stream)).map(({ type, data, metadata }) => ({ type, data, metadata })),
    [
      { type: 'Named', ...gone },
      { type: '$erased', data: { events: 1, reason: 'ticket 4711' }, metadata: { tombstone: true } },
      { type: 'Named', ...gone },
      { type: '$erased', data: { events: 1 }, metadata: { tombstone: true } },
    ],
  )
})

test.run()
