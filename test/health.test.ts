// health() says what is wrong, and does not reject because of it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ClosedError, connect, ValidationError } from '../src/index.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'

const schema = uniqueName('health')
const meow = await openStore({ schema })
test.after(closeAll)

test('a store that works; without listening too', async () => {
  const { ok, checks } = await meow.health({ maxLag: 0 })
  assert.ok(ok, JSON.stringify(checks))
  assert.equal(Object.keys(checks), ['database', 'schema', 'push', 'lag'])
  const polling = await openStore({ schema, listen: false })
  const { ok: works, checks: found } = await polling.health()
  assert.ok(works)
  assert.equal(Object.keys(found), ['database', 'schema', 'push'])
  assert.match(found.push.message, /^polling since /)
})

test('a subscription that is further behind than maxLag', async () => {
  const name = uniqueName('late')
  const worker = meow.subscription(name, { category: name }).process(() => {})
  await worker.ready
  await worker.stop()
  await meow.append(
    { category: name, streamId: 'a' },
    [1, 2, 3].map((data) => ({ type: 'T', data })),
  )
  assert.ok((await meow.health({ maxLag: 3 })).ok)
  const { ok, checks } = await meow.health({ maxLag: 2 })
  assert.not.ok(ok)
  assert.equal(checks.lag!.behind, [{ name, lag: 3 }])
  assert.match(checks.lag!.message, `"${name}" by 3`)
  assert.ok((await meow.health()).ok)
  await meow.deleteSubscription(name)
})

test('a schema that is not migrated, or could lose events', async () => {
  const empty = await connect({ connectionString: databaseUrl(), schema: uniqueName('none'), logger: false })
  const { ok, checks } = await empty.health({ maxLag: 1 })
  assert.not.ok(ok)
  assert.ok(checks.database.ok)
  assert.match(checks.schema.message, /not migrated.*migrate\(\)/)
  await empty.close()

  const sql = await pgClient()
  await sql.query(`alter table ${schema}.events disable trigger announce`)
  const { checks: found } = await meow.health()
  assert.not.ok(found.schema.ok)
  assert.match(found.schema.message, /announce/)
  await sql.query(`alter table ${schema}.events enable always trigger announce`)
  assert.ok((await meow.health()).ok)
})

test('a database that does not answer: within the time, and again when it is back', async () => {
  const proxy = await startProxy(databaseUrl())
  const far = await openStore({ schema, connectionString: proxy.url, listen: false, logger: false })
  assert.ok((await far.health()).ok)
  proxy.blackhole()
  const { ok, checks } = await far.health({ timeoutMs: 100, maxLag: 1 })
  assert.not.ok(ok)
  assert.match(checks.database.message, '100 ms')
  assert.equal(checks.lag!.behind, [])
  await far.close({ timeoutMs: 0 })
  await proxy.close()
})

test('wrong options; a closed store', async () => {
  for (const [options, path] of [
    [{ maxLag: -1 }, 'options.maxLag'],
    [{ timeoutMs: 0 }, 'options.timeoutMs'],
    [{ lag: 1 }, 'options.lag'],
  ] as const)
    assert.is((await rejects(meow.health(options as never), ValidationError)).path, path)
  const closed = await openStore({ schema, listen: false })
  await closed.close()
  await rejects(closed.health(), ClosedError)
})

test.run()
