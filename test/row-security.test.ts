// @direct
// A store whose row security lets a role read nothing says so, instead of looking empty or not migrated: connect() and
// migrate() reject, and doctor names the table and the role.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConnectionError, connect } from '../src/index.ts'
import { cli, parsed } from './support/cli.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'

const schema = uniqueName('guarded')
const role = uniqueName('reader')
const sql = await pgClient()
const stream = { category: 'order', streamId: '1' }
const as = new URL(databaseUrl())
as.username = role
as.password = 's3cret'

test.before(async () => {
  const meow = await openStore({ schema })
  await meow.append(stream, { type: 'Happened', data: 1 })
  await sql.query(`create role ${role} login password 's3cret'`)
  await sql.query(
    `grant usage on schema ${schema} to ${role}; grant all on all tables in schema ${schema} to ${role};
     grant all on all sequences in schema ${schema} to ${role}`,
  )
})
test.after(async () => {
  await sql.query(`drop owned by ${role}; drop role ${role}`)
  await closeAll()
})

const open = () => connect({ connectionString: as.href, schema })

async function doctor(): Promise<{ state: string; found: string; todo: string }[]> {
  const { stdout } = await cli(['doctor', '--json', '--schema', schema, '--url', as.href])
  return parsed(stdout).filter(({ check }) => check === 'row security')
}

for (const table of ['events', 'migrations']) {
  test(`of ${table}`, async () => {
    const at = `"${schema}".${table}`
    await sql.query(`alter table ${at} enable row level security`)
    try {
      const error = await rejects(open(), ConnectionError)
      for (const words of ['row security', table, role, 'create policy']) assert.match(error.message, words)
      const [found] = await doctor()
      assert.is(found!.state, 'problem')
      assert.match(found!.found, table)
      assert.match(found!.found, role)
      const { code, stderr } = await cli(['migrate', '--schema', schema, '--url', as.href])
      assert.is(code, 1)
      assert.match(stderr, 'row security')

      for (const [policy, isEnough] of [
        [`for insert to ${role} with check (true)`, false],
        [`for select to postgres using (true)`, false],
        [`as restrictive for select to ${role} using (true)`, false],
        [`for select to ${role} using (true)`, true],
        [`using (true)`, true],
      ] as const) {
        await sql.query(`create policy one on ${at} ${policy}`)
        if (isEnough) {
          const meow = await open()
          assert.is((await meow.load(stream)).length, 1)
          await meow.close()
        } else await rejects(open(), ConnectionError)
        await sql.query(`drop policy one on ${at}`)
      }
    } finally {
      await sql.query(`alter table ${at} disable row level security`)
    }
    assert.equal(await doctor(), [])
  })
}

test('the owner is meant too, where it is forced', async () => {
  const owned = uniqueName('owned')
  await sql.query(`create schema ${owned} authorization ${role}`)
  const first = await connect({ connectionString: as.href, schema: owned })
  await first.migrate()
  await first.close()
  const again = async () => (await connect({ connectionString: as.href, schema: owned })).close()
  await sql.query(`alter table ${owned}.events enable row level security`)
  await again()
  await sql.query(`alter table ${owned}.events force row level security`)
  assert.match((await rejects(again(), ConnectionError)).message, 'row security')
})

test('other tables do not keep anybody from reading events, but doctor names them', async () => {
  await sql.query(`alter table ${schema}.subscriptions enable row level security`)
  await sql.query(`alter table ${schema}.checkpoints enable row level security`)
  await sql.query(`create policy few on ${schema}.checkpoints using (partition = 0)`)
  try {
    await (await open()).close()
    assert.equal(
      (await doctor()).map(({ state }) => state),
      ['warning', 'problem'],
    )
  } finally {
    await sql.query(`alter table ${schema}.subscriptions disable row level security`)
    await sql.query(`alter table ${schema}.checkpoints disable row level security`)
  }
})

test.run()
