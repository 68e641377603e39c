// @direct
// If the role of a store lacks a lock, a connection or a privilege for a while, consumers try again and continue afterwards.
import pg from 'pg'
import { firstValueFrom, lastValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, Meow } from '../src/index.ts'
import { ConnectionError } from '../src/index.ts'
import { consumersOf } from './support/consumers.ts'
import { keepLog } from './support/log.ts'
import { rejects } from './support/rejects.ts'
import { current } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const schema = uniqueName('refusals')
const { logged, logger } = keepLog()
const meow = await openStore({ schema, listen: false })
const sql = await pgClient()
const event = { type: 'T', data: {} }
const roles: string[] = []
test.after(async () => {
  await closeAll()
  const admin = new pg.Client({ connectionString: databaseUrl() })
  await admin.connect()
  for (const role of roles) await admin.query(`drop owned by ${role}; drop role ${role}`)
  await admin.end()
})

/** A role with all rights in the schema, and with settings of its own. */
async function roleWith(...settings: string[]): Promise<{ role: string; url: string }> {
  const role = uniqueName('role')
  roles.push(role)
  await sql.query(`create role ${role} login password 'let me in'`)
  await sql.query(`grant usage on schema ${schema} to ${role}`)
  await sql.query(`grant all on all tables in schema ${schema} to ${role}`)
  await sql.query(`grant all on all sequences in schema ${schema} to ${role}`)
  for (const setting of settings) await sql.query(`alter role ${role} set ${setting}`)
  const url = new URL(databaseUrl())
  ;[url.username, url.password] = [role, 'let me in']
  return { role, url: url.href }
}

/** Locks a table until the store has waited for it longer than `lock_timeout` of its role. */
async function locked(table: string, role: string, meanwhile: () => Promise<unknown>): Promise<void> {
  await sql.query('begin')
  await sql.query(`lock table ${schema}.${table} in access exclusive mode`)
  try {
    await meanwhile()
    const admin = await pgClient()
    const waits = async () =>
      (
        await admin.query(`select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'`, [
          role,
        ])
      ).rowCount
    await until(waits, { what: `${role} to wait for ${table}` })
    await sql.query('select pg_sleep(0.5)')
    await admin.end()
  } finally {
    await sql.query('commit')
  }
}

test("a lock_timeout of the role does not fail the store's own statements", async () => {
  const { role, url } = await roleWith(`lock_timeout = '200ms'`)
  const store = await openStore({ connectionString: url, schema, listen: false, pollIntervalMs: 100, logger })
  const all = await consumersOf(store, meow)
  await (await all.append()).all()
  logged.length = 0
  for (const table of ['checkpoints', 'events']) {
    const locking = locked(table, role, async () => {})
    if (table === 'events') {
      const appending = store.append({ category: uniqueName('locked'), streamId: 'a' }, event)
      await locking
      await appending
    } else {
      const appended = await all.append()
      await locking
      await appended.all()
    }
  }
  assert.equal(all.ended, [])
  assert.equal(
    logged.filter(({ text }) => text.includes('trying again')),
    [],
  )
  await all.stop()
  await store.close()
})

/** Calls that begin while the server refuses their statements, and that end once they have got what they need. */
const beginnings: Record<string, (store: Meow, name: string, position: number) => Promise<unknown>> = {
  'waitFor()': (store, name, position) => store.waitFor(name, position, { timeoutMs: 60_000 }),
  'watch()': async (store, name) => {
    const count: Decider<never, unknown, number> = {
      category: name,
      initial: 0,
      evolve: (n) => n + 1,
      decide: () => [],
    }
    assert.equal(await firstValueFrom(store.watch(count, 'a')), { state: 1, version: 0 })
  },
  'events()': (store, category) => firstValueFrom(store.events({ category })),
  'events() after a position': (store, category, position) =>
    firstValueFrom(store.events({ category }, { from: { after: position - 1 } })),
  'events() up to now': (store, category) => lastValueFrom(store.events({ category }, { live: false })),
  'events() from the end': (store, category) =>
    lastValueFrom(store.events({ category }, { from: 'end', live: false }), { defaultValue: undefined }),
  'iterate()': async (store, category) => {
    for await (const _ of store.iterate({ category })) break
  },
}

/** Each call begins while the server refuses its statements (`refuse` starts that), and succeeds once that is over. */
async function beginEach(open: () => Promise<Meow>, role: string, refuse: () => Promise<() => unknown>) {
  const { position } = await meow.append({ category: role, streamId: 'a' }, event)
  const worker = meow.subscription(role, { category: role }).process(() => {})
  await meow.waitFor(role, position)
  await worker.stop()
  for (const [what, begin] of Object.entries(beginnings)) {
    const store = await open()
    const end = await refuse()
    logged.length = 0
    let outcome: unknown
    const begun = begin(store, role, position).then(
      () => {
        outcome = 'done'
      },
      (error) => {
        outcome = error
      },
    )
    const refused = () => logged.some(({ text }) => text.includes('trying again'))
    await until(() => outcome || refused(), { what: `${what} to be refused`, timeoutMs: 30_000 })
    await end()
    await begun
    assert.is(outcome, 'done', `${what}: ${outcome}`)
    assert.ok(refused(), what)
    await store.close()
  }
}

test('calls that begin while a lock is not available go on afterwards', async () => {
  const { role, url } = await roleWith(`lock_timeout = '50ms'`)
  const pool = new pg.Pool({ connectionString: url }) // the pool of a user: the store changes no setting of its connections
  const open = () => openStore({ pool, schema, listen: false, pollIntervalMs: 100, logger })
  await beginEach(open, role, async () => {
    await sql.query('begin')
    await sql.query(`lock table ${schema}.events, ${schema}.checkpoints in access exclusive mode`)
    return () => sql.query('commit')
  })
  await pool.end()
})

test('calls that begin while no connection is available go on afterwards', async () => {
  const { role, url } = await roleWith()
  const open = () => openStore({ connectionString: url, schema, listen: false, pollIntervalMs: 100, logger })
  await beginEach(open, role, async () => {
    await sql.query(`alter role ${role} connection limit 0`)
    await sql.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role])
    return () => sql.query(`alter role ${role} connection limit -1`)
  })
})

test('in the pool of a user no setting is changed, and consumers go on all the same', async () => {
  const { role, url } = await roleWith(`lock_timeout = '200ms'`)
  const pool = new pg.Pool({ connectionString: url })
  const store = await openStore({ pool, schema, listen: false, pollIntervalMs: 100, logger })
  const all = await consumersOf(store, meow)
  await (await all.append()).all()
  const appended = await all.append()
  await locked('checkpoints', role, async () => {})
  await appended.all()
  assert.equal(all.ended, [])
  assert.is((await pool.query('show lock_timeout')).rows[0].lock_timeout, '200ms')
  await all.stop()
  await store.close()
  await pool.end()
})

test('consumers go on if a right is missing for a while; if it is missing at the start, that is an error', async () => {
  const { role, url } = await roleWith()
  const store = await openStore({ connectionString: url, schema, listen: false, pollIntervalMs: 100, logger })
  const all = await consumersOf(store, meow)
  await (await all.append()).all()
  const late = await openStore({ connectionString: url, schema, listen: false, logger })
  await sql.query(`revoke usage on schema ${schema} from ${role}`)
  const appended = await all.append()
  await until(() => all.statuses.every((status$) => current(status$).state === 'failing'), {
    what: 'the status to show it',
  })
  assert.instance(current(all.statuses[0]!).error, ConnectionError)
  await rejects(late.subscription(uniqueName('late'), {}).process(() => {}).done, ConnectionError)
  await rejects(firstValueFrom(late.events({ category: uniqueName('late') })), ConnectionError)
  await rejects(store.load({ category: 'c', streamId: 's' }), ConnectionError)
  await sql.query(`grant usage on schema ${schema} to ${role}`)
  await appended.all()
  assert.equal(all.ended, [])
  await all.stop()
  await store.close()
  await late.close()
})

test.run()
