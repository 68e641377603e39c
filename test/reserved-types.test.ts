// @direct
// Types that begin with $ are the store's own: nobody can append one, in any way. A store with erased streams can be copied by
// a role that may erase.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { NewEvent, RecordedEvent } from '../src/index.ts'
import { defineCategory, EventBuffer, ValidationError } from '../src/index.ts'
import { given, memoryStore, stored } from '../src/testing/index.ts'
import { cli, parsed } from './support/cli.ts'
import { rejects } from './support/rejects.ts'
import { dropRoles, loginOf, statementsOf } from './support/roles.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
const roles = uniqueName('reserved') // a store of its own, with the roles of SECURITY.md
const dir = mkdtempSync(join(tmpdir(), 'meowmx-reserved-'))
test.before(async () => {
  const [make, grants] = statementsOf(roles)
  await sql.query(make)
  await openStore({ schema: roles })
  await sql.query(grants)
})
test.after.each(async () => void (await sql.query('rollback')))
test.after(async () => {
  const admin = await pgClient()
  await admin.query(`drop schema ${roles} cascade`)
  await dropRoles(admin, roles)
  await closeAll()
  rmSync(dir, { recursive: true })
})

const TYPES = ['$erased', '$', '$timer', '$Ordered']
const looks: NewEvent[] = TYPES.map((type) => ({ type, data: { events: 1 }, metadata: { tombstone: true } }))
const fine: NewEvent = { type: 'Fine', data: 1 }
const stream = () => ({ category: uniqueName('reserved'), streamId: '42' })
const decider = (category: string, decided: NewEvent) => ({
  category,
  initial: 0,
  evolve: (n: number) => n + 1,
  decide: () => [fine, decided],
})
class Thing {
  readonly category: string
  readonly streamId = '42'
  readonly buffer = new EventBuffer<NewEvent>({
    load: (event: RecordedEvent) => event as NewEvent,
    apply: () => {},
    toNewEvent: (event: NewEvent) => event,
  })
  constructor(category: string) {
    this.category = category
  }
  collectPendingEvents() {
    return this.buffer.collectPendingEvents()
  }
}

async function refused(promise: Promise<unknown>, path: string, type: string): Promise<void> {
  const error = await rejects(promise, ValidationError)
  assert.equal([error.path, error.value], [path, type])
  assert.match(error.message, /reserved/)
}

for (const store of ['PostgreSQL', 'memory']) {
  test(`append, appendAll, decide and saveAggregate refuse them, with nothing written: ${store}`, async () => {
    const target = store === 'memory' ? memoryStore() : meow
    for (const event of looks) {
      const to = stream()
      const { type } = event
      await refused(target.append(to, event), 'events.type', type)
      await refused(target.append(to, [fine, event]), 'events[1].type', type)
      await refused(
        target.appendAll([
          { stream: { ...to, streamId: '43' }, events: fine },
          { stream: to, events: [fine, event] },
        ]),
        'writes[1].events[1].type',
        type,
      )
      await refused(target.decide(decider(to.category, event), '42', undefined), 'events[1].type', type)
      const thing = new Thing(to.category)
      thing.buffer.emit(event)
      await refused(target.saveAggregate(thing as never), 'events[0].type', type)
      assert.equal((await target.read({ category: to.category })).events, [])
    }
  })
}

test('in a transaction of the caller, in a transactional handler and in an inline projection, likewise', async () => {
  for (const event of looks) {
    const to = stream()
    await sql.query('begin')
    await refused(meow.append(to, [fine, event], { client: sql }), 'events[1].type', event.type)
    await meow.append(to, fine, { client: sql })
    await sql.query('commit')

    const failures: unknown[] = []
    const worker = meow.subscription(uniqueName('handler'), { category: to.category }).process(
      async (_, { client }) => {
        await meow
          .append({ ...to, category: `${to.category}-effects` }, event, { client: client! })
          .catch((error) => failures.push(error))
      },
      { transactional: true },
    )
    await until(() => failures.length === 1, { what: 'the handler' })
    await worker.stop()
    assert.is((failures[0] as ValidationError).value, event.type)

    const projecting = await openStore({ listen: false })
    const projected = stream()
    projecting.project(projected.category, async (_, client) => {
      await projecting.append({ ...projected, category: `${projected.category}-effects` }, event, { client })
    })
    await refused(projecting.append(projected, fine), 'events.type', event.type)
    assert.equal(await meow.load(projected), [])
    await projecting.close()
  }
})

test('a category has no schema for them, but for tombstones, which are only read', async () => {
  for (const type of TYPES.filter((type) => type !== '$erased')) {
    const error = await rejects(
      Promise.resolve().then(() => defineCategory('c', { [type]: z.object({}) })),
      ValidationError,
    )
    assert.equal([error.path, error.value], [`schemas.${type}`, type])
  }
  const name = uniqueName('reserved')
  const Reading = defineCategory(name, { Fine: z.number(), $erased: z.object({ events: z.number() }) })
  await refused(meow.append(Reading.stream('42'), Reading.$erased({ events: 1 })), 'events.type', '$erased')
  await meow.append(Reading.stream('42'), Reading.Fine(1))
  await meow.eraseStream({ category: name, streamId: '42' })
  const known = (await meow.load(Reading.stream('42'))).filter((event) => event.known)
  assert.equal(
    known.map(({ type, data }) => [type, data]),
    [['$erased', { events: 1 }]],
  )
})

test('a test of a decider can be given one that is stored, and none that is appended', () => {
  const one = { type: '$erased', data: { events: 1 } }
  given(decider('c', fine), [stored(one), fine]).thenState(2)
  assert.throws(() => given(decider('c', fine), [stored(one), one]), /given\.events\[1\]\.type .*reserved/)
  given(decider('c', one), [])
    .when(undefined)
    .thenThrows(/reserved/)
})

const inserting = [
  (schema: string) =>
    `select ${schema}.append($1, '42', json_build_object('type', $2::text, 'data', json '{"events":1}', 'metadata', json '{"tombstone":true}'))`,
  (schema: string) =>
    `select ${schema}.append($1, '42', json_build_array(json '{"type":"Fine"}', json_build_object('type', $2::text, 'data', json '{"events":1}', 'metadata', json '{"tombstone":true}')))`,
  (schema: string) =>
    `insert into ${schema}.events (version, category, stream_id, type, data, metadata) values (0, $1, '42', $2, '{"events":1}', '{"tombstone":true}')`,
  (schema: string) => `insert into ${schema}.events (version, category, stream_id, type, data, metadata)
           select n, $1, '42', case when n = 2 then $2::text else 'Fine' end, '{"events":1}', '{"tombstone":true}' from generate_series(0, 3) as n`,
]
test('in SQL nobody can write them: no writer with any setting, and no owner without the setting for copies', async () => {
  const login = async (role: string) => {
    await sql.query(`create role ${roles}_a_${role} in role ${roles}_${role}`)
    return pgClient({ connectionString: await loginOf(sql, `${roles}_a_${role}`) })
  }
  const writer = await login('writer')
  const eraser = await login('eraser')
  const parties: [client: pg.Client, settings: string[]][] = [
    [writer, ['off', 'on', 'tombstones']],
    [eraser, ['off', 'on']],
    [sql, ['off']],
  ]
  for (const [client, settings] of parties)
    for (const setting of settings)
      for (const insert of inserting)
        for (const type of TYPES) {
          const category = uniqueName('reserved')
          await client.query('begin')
          await client.query(`select set_config('meowmx.maintenance', $1, true)`, [setting])
          const error = (await rejects(
            client.query(insert(roles), [category, type]),
            Error,
          )) as pg.DatabaseError
          assert.is(error.code, '23514')
          assert.match(error.message, /has the type "\$.*reserved/)
          assert.match(error.hint!, /erase/)
          await client.query('rollback')
        }
  // A role that may erase can copy a tombstone, and no other reserved event, whatever it looks like.
  for (const [type, data, metadata, accepted] of [
    ['$erased', '{"events":1}', '{"tombstone":true}', true],
    ['$erased', '{"events":1,"reason":"ticket 4711"}', '{"tombstone":true}', true],
    ['$erased', '{}', '{"erased":true}', true],
    ['$erased', '{"events":1,"name":"Ada"}', '{"tombstone":true}', false],
    ['$erased', '{"events":"Ada"}', '{"tombstone":true}', false],
    ['$erased', '{"events":"Ada","events":1}', '{"tombstone":true}', false],
    ['$erased', '{"events":1,"reason":{"name":"Ada"}}', '{"tombstone":true}', false],
    ['$erased', '{"events":1,"reason":"Ada\\"s"}', '{"tombstone":true}', true],
    ['$erased', '{"events":1}', '{"tombstone":true,"name":"Ada"}', false],
    ['$erased', '["Ada"]', '{"tombstone":true}', false],
    ['$erased', '{"reason":"Ada"}', '{"tombstone":true}', false],
    ['$timer', '{"events":1}', '{"tombstone":true}', false],
  ] as const) {
    await eraser.query(`begin; set local meowmx.maintenance = 'tombstones'`)
    const inserting = eraser.query(
      `insert into ${roles}.events (version, category, stream_id, type, data, metadata) values (0, $1, '42', $2, $3, $4)`,
      [uniqueName('reserved'), type, data, metadata],
    )
    if (accepted) await inserting
    else assert.is(((await rejects(inserting, Error)) as pg.DatabaseError).code, '23514')
    await eraser.query('rollback')
  }
})

test('the command refuses to append them, or to import others than tombstones', async () => {
  const { category } = stream()
  const appended = await cli(['append', category, '42', '$erased', '{}', '--schema', storeSchema])
  assert.is(appended.code, 2, appended.stderr)
  assert.match(appended.stderr, /reserved/)
  const file = join(dir, 'foreign.ndjson')
  const line = (type: string) =>
    `${JSON.stringify({ category, streamId: '42', type, data: { name: 'Ada' }, metadata: { tombstone: true } })}\n`
  for (const type of TYPES) {
    writeFileSync(file, line('Fine') + line(type))
    const imported = await cli(['import', file, '--schema', storeSchema])
    assert.is(imported.code, 1, imported.stderr)
    assert.match(imported.stderr, /line 1 to line 2: .*has the type "\$.*reserved.*may erase/s)
  }
  assert.equal((await meow.read({ category })).events, [])
})

test('a role that may erase can copy a store with erased streams; another gets an error that says why not', async () => {
  const source = uniqueName('source')
  const from = await openStore({ schema: source })
  const person = { category: 'person', streamId: '42' }
  await from.append(person, [fine, fine])
  await from.eraseStream(person, { reason: 'ticket 4711' })
  await from.append(person, fine)
  await from.append({ ...person, streamId: '43' }, fine)
  const file = join(dir, 'erased.ndjson')
  assert.is((await cli(['export', file, '--schema', source])).code, 0)
  const exported = parsed(readFileSync(file, 'utf8'))
  assert.equal(
    exported.map(({ type }) => type),
    ['Fine', 'Fine', '$erased', 'Fine', 'Fine'],
  )

  const into = async (role: string) => {
    const env = { DATABASE_URL: await loginOf(sql, `${roles}_${role}`) }
    return cli(['import', file, '--schema', roles], { env })
  }
  const refused = await into('writer')
  assert.is(refused.code, 1)
  assert.match(refused.stderr, /has the type "\$erased".*reserved.*may erase/s)
  const copy = await openStore({ schema: roles, listen: false })
  assert.equal((await copy.read({ category: 'person' })).events, [])

  const imported = await into('eraser')
  assert.is(imported.code, 0, imported.stderr)
  const bare = (events: readonly RecordedEvent[]) => events.map(({ position, ...event }) => event)
  const { events } = await copy.read({ category: 'person' })
  assert.equal(bare(events), bare((await from.read({})).events))
  assert.is((await into('eraser')).code, 0) // once more: all is known
  // What was copied counts as what it is.
  assert.is((await copy.eraseStream(person)).events, 1)
  assert.equal(
    (await copy.load(person)).map(({ data }) => data),
    [{}, {}, { events: 2, reason: 'ticket 4711' }, {}, { events: 1 }],
  )
})

test.run()
