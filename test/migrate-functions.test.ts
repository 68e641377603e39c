// Functions and triggers of a store are those of the package: migrate() installs the ones whose text has changed and drops
// those that the package no longer has. Until then a store with other functions is refused; functions of a newer package stay.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { definitions, functionNames, functionOf } from '../src/database/definitions.ts'
import { inInstallOrder } from '../src/database/install-order.ts'
import { connect, SchemaError } from '../src/index.ts'
import { cli, parsed } from './support/cli.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'

const sql = await pgClient()
const event = { type: 'T', data: 1 }
const stream = { category: 'c', streamId: 's' }
const silent = { debug() {}, info() {}, warn() {}, error() {} }
test.after(closeAll)

const open = (schema: string) => openStore({ schema, listen: false, logger: silent })

/** A store whose function `now_ms` is of another package, with a grant of its own. */
async function storeOfAnother(version: string): Promise<string> {
  const schema = uniqueName('functions')
  await openStore({ schema, listen: false })
  await sql.query(`
    create or replace function ${schema}.now_ms() returns bigint language sql return 7;
    revoke execute on function ${schema}.now_ms from public;
    update ${schema}.functions set md5 = 'another', version = '${version}' where name = 'now_ms'`)
  return schema
}

const stateOf = async (schema: string) =>
  (
    await sql.query(
      `select name, md5, version, installed_at::text as at from ${schema}.functions order by name`,
    )
  ).rows as { name: string; md5: string; version: string; at: string }[]

test('a function whose text has changed is refused until migrate() has installed it; others are left as they are', async () => {
  const schema = await storeOfAnother('0.0.9')
  const before = await stateOf(schema)
  const meow = await open(schema)
  for (const attempt of [() => meow.append(stream, event), () => meow.load(stream), () => meow.read({})]) {
    const error = await rejects(attempt(), SchemaError)
    for (const words of ['not those of this version', 'now_ms', 'call await meow.migrate() once'])
      assert.match(error.message, words)
  }
  const { stdout } = await cli(['doctor', '--json', '--schema', schema])
  const { state, found, todo } = parsed(stdout).find(({ check }) => check === 'migration')
  assert.equal([state, todo], ['problem', `meowmx migrate --schema ${schema}`])
  assert.match(found, 'now_ms')

  assert.equal(await meow.migrate(), { applied: ['functions'] })
  assert.equal(await meow.migrate(), { applied: [] })
  await meow.append(stream, event)
  const { rows } = await sql.query(
    `select ${schema}.now_ms() > 7 as ours, has_function_privilege('public', '${schema}.now_ms()', 'execute') as granted`,
  )
  assert.equal(rows, [{ ours: true, granted: false }])
  const changed = (await stateOf(schema)).filter(({ at }, i) => at !== before[i]!.at)
  assert.equal(
    changed.map(({ name, md5 }) => [name, md5]),
    definitions.filter(({ name }) => name === 'now_ms').map(({ name, md5 }) => [name, md5]),
  )
})

test('functions that the package no longer has are dropped, with their triggers; those of the user stay', async () => {
  const schema = uniqueName('gone')
  await openStore({ schema, listen: false })
  await sql.query(`
    create function ${schema}.gone() returns trigger language plpgsql as 'begin return null; end';
    create function ${schema}.gone(int) returns int language sql return 1;
    create trigger "gone too" after insert on ${schema}.events execute function ${schema}.gone();
    create function ${schema}.mine() returns int language sql return 1;
    insert into ${schema}.functions (name, md5, version) values ('gone', '', '0.0.1'), ('events.gone too', '', '0.0.1')`)
  const meow = await open(schema)
  assert.match((await rejects(meow.append(stream, event), SchemaError)).message, 'gone')
  assert.equal(await meow.migrate(), { applied: ['functions'] })
  const { rows } = await sql.query(
    `select proname as name from pg_proc where pronamespace = $1::text::regnamespace and not proname = any ($2)
     union all select tgname from pg_trigger where tgrelid = ($1::text || '.events')::regclass and tgname like 'gone%'`,
    [schema, functionNames],
  )
  assert.equal(rows, [{ name: 'mine' }])
  assert.equal(await meow.migrate(), { applied: [] })
})

for (const [version, isNewer] of [
  ['0.1.1', true],
  ['0.10.0', true],
  ['1.0.0-beta.1', true],
  ['0.1.0', false],
  ['0.1.0-rc.1', false],
  ['0.0.99', false],
] as const) {
  test(`a function that version ${version} installed: ${isNewer ? 'left as it is' : 'taken along'}`, async () => {
    const schema = await storeOfAnother(version)
    const before = await stateOf(schema)
    if (isNewer) {
      for (const words of [/newer meowmx/, /now_ms/, /update this package/])
        assert.match((await rejects(open(schema), SchemaError)).message, words)
      assert.equal(await stateOf(schema), before)
    } else {
      assert.equal(await (await open(schema)).migrate(), { applied: ['functions'] })
    }
  })
}

test('of 20 that install functions at once, one does', async () => {
  const schema = await storeOfAnother('0.0.9')
  const all = await Promise.all(Array.from({ length: 20 }, () => open(schema)))
  const results = await Promise.all(all.map((meow) => meow.migrate()))
  assert.is(results.filter(({ applied }) => applied.length > 0).length, 1)
  for (const meow of all) await meow.append(stream, event)
})

test('a role that may only read connects, migrates nothing, and says what a stale store needs', async () => {
  const schema = await storeOfAnother('0.0.9')
  const role = uniqueName('role')
  await sql.query(`create role ${role} login; grant usage on schema ${schema} to ${role};
    grant select on all tables in schema ${schema} to ${role}; grant select on all sequences in schema ${schema} to ${role}`)
  const url = new URL(databaseUrl())
  url.username = role
  const meow = await connect({ connectionString: url.href, schema, listen: false, logger: silent })
  assert.match((await rejects(meow.load(stream), SchemaError)).message, 'as the role that owns it')
  await (await open(schema)).migrate()
  assert.equal(await meow.migrate(), { applied: [] })
  assert.equal(await meow.load(stream), [])
  await meow.close()
  await sql.query(`drop owned by ${role}; drop role ${role}`)
})

const one = (name: string, text: string) => ({ name, text })

test('what a function needs when it is created is installed before it', () => {
  const trigger = one('t.a', 'create or replace trigger a after insert on t execute function tell();')
  const early = one('b', 'create or replace function b() returns int\nlanguage sql\nreturn c() + 1;')
  const needed = one('c', 'create or replace function c() returns int\nlanguage sql\nreturn 1; -- b()')
  const late = one(
    'tell',
    'create or replace function tell() returns trigger\nlanguage plpgsql\nas $$ b() $$;',
  )
  for (const all of [
    [trigger, early, needed, late],
    [late, needed, early, trigger],
    [early, trigger, late, needed],
  ]) {
    const sorted = inInstallOrder(all)
    assert.is(sorted.length, 4)
    assert.ok(sorted.indexOf(needed) < sorted.indexOf(early))
    assert.ok(sorted.indexOf(late) < sorted.indexOf(trigger))
  }
})

test('a file of sql/functions makes one function or one trigger, which has its name before the first dash', () => {
  for (const { name, text } of definitions) {
    const code = text.replaceAll(/^ *--.*\n/gm, '')
    const [table, trigger] = name.split('.')
    const begin = trigger
      ? new RegExp(`^create or replace trigger ${trigger}\\n[^;]*\\bon ${table}\\n`)
      : new RegExp(`^create or replace function ${functionOf(name)}\\(`)
    assert.match(code, begin, name)
    assert.is(code.match(/^create /gm)!.length, 1, name)
  }
})

test.run()
