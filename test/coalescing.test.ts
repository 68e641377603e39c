// With notification coalescing, every listener learns of every category that has new events, whichever process dies, closes,
// or keeps an append open.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from '../src/core/validate.ts'
import { connectOptionsSchema } from '../src/database/connect-options.ts'
import { Database } from '../src/database/database.ts'
import { Coalescer } from '../src/notify/coalescing/coalescer.ts'
import { seeded } from './support/random.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'
import { theWay } from './support/ways.ts'

const dice = seeded('coalescing')
const children = new Set<Child>()
test.after(async () => {
  await Promise.all([...children].map((child) => child.kill()))
  await closeAll()
})

interface Child {
  publishes: boolean
  /** kill -9 */
  kill(): Promise<unknown>
}

async function startChild(schema: string): Promise<Child> {
  const file = new URL('support/publisher-child.ts', import.meta.url).pathname
  const process_ = spawn(process.execPath, [...program(file), schema], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(process_, 'close')
  let ready = false
  const child: Child = {
    publishes: false,
    kill: () => {
      process_.kill('SIGKILL')
      return exited
    },
  }
  exited.then(() => children.delete(child))
  children.add(child)
  createInterface({ input: process_.stdout }).on('line', (line) => {
    if (line === 'ready') ready = true
    else child.publishes = line === 'begins'
  })
  await until(() => ready, { timeoutMs: 30_000, what: 'a process that may become the publisher' })
  return child
}

/** A listener of another language: what it heard on which channel, from which backend. */
async function listen(channels: readonly string[]): Promise<Map<string, { payload: number; pid: number }>> {
  const heard = new Map<string, { payload: number; pid: number }>()
  const client = await pgClient()
  client.on('notification', ({ channel, payload, processId }) => {
    if (Number(payload) > (heard.get(channel)?.payload ?? 0))
      heard.set(channel, { payload: Number(payload), pid: processId })
  })
  const quoted = channels.map((channel) => `listen ${client.escapeIdentifier(channel)}`)
  while (quoted.length > 0) await client.query(quoted.splice(0, 500).join(';'))
  return heard
}

test('a category for each event, appends that stay open, publishers that are killed: every category is notified', async () => {
  const schema = uniqueName('coalescing')
  await openStore({ schema, listen: false })
  const channels = Array.from({ length: 12_000 }, (_, i) => `${schema}.c${i}`)
  const heard = await listen(channels)
  const writers = await Promise.all(Array.from({ length: 24 }, () => pgClient()))
  const own = new Set(writers.map((client) => (client as unknown as { processID: number }).processID))
  await Promise.all([0, 1].map(() => startChild(schema)))

  const committed = new Map<string, number>()
  let next = 0
  let on = true
  const write = async (client: pg.Client, n: number) => {
    while (on && next < channels.length) {
      const category = `c${next++}`
      await client.query('begin')
      const { rows } = await client.query({
        name: 'append',
        text: `select position from ${schema}.append($1, 'a', '{"type": "T"}')`,
        values: [category],
      })
      if (n < 4 && dice.chance(0.2)) await delay(dice.int(100, 1_500))
      const how = dice.chance(0.05) ? 'rollback' : 'commit'
      await client.query(how)
      if (how === 'commit') committed.set(`${schema}.${category}`, Number(rows[0].position))
    }
  }
  const writing = Promise.all(writers.map(write))

  let killed = 0
  const killing = (async () => {
    while (on) {
      const publisher = [...children].find(({ publishes }) => publishes)
      if (publisher) {
        await delay(dice.int(100, 1_200))
        if (!publisher.publishes) continue
        await publisher.kill()
        killed++
        await startChild(schema)
      } else await delay(10)
    }
  })()
  await Promise.all([
    Promise.race([writing, delay(14_000)]),
    until(() => killed >= 2, { timeoutMs: 60_000, what: 'two publishers to be killed' }),
  ])
  on = false
  await Promise.all([writing, killing])

  const lost = () => [...committed].filter(([channel, at]) => (heard.get(channel)?.payload ?? 0) < at)
  await until(() => lost().length === 0, { timeoutMs: 8_000, what: 'all categories to be notified' }).catch(
    () => {
      assert.unreachable(`${lost().length} of ${committed.size}: ${lost().slice(0, 5).join('; ')}`)
    },
  )
  const published = [...committed].filter(([channel]) => !own.has(heard.get(channel)!.pid)).length
  console.log(
    `${committed.size} categories, ${published} notified by publishers, ${killed} of which were killed: 0 lost`,
  )
  assert.ok(published > 500, `${published} of ${committed.size} notified by publishers`)
})

test('an open append holds back only its own category, and a publisher that closes notifies what is left', async () => {
  const schema = uniqueName('coalescing')
  const meow = await openStore({ schema, listen: false })
  const heard = await listen([schema, `${schema}.open`, `${schema}.free`])
  const [sql, client] = [await pgClient(), await pgClient()]
  const pid = (client as unknown as { processID: number }).processID
  const lease = async () => (await sql.query(`select closed from ${schema}.publisher`)).rows[0]
  const said: string[] = []
  const say = (fields: any, message: string) => void said.push(`${message}: ${fields.err ?? ''}`)
  const logger = { debug: say, info: say, warn: say, error: say }
  const options = theWay({ connectionString: databaseUrl(), schema, logger })
  const db = new Database(parse(connectOptionsSchema, options, 'options'))
  const coalescer = new Coalescer(db, { speed: 0, waiting: 0, checks: 1, leaveMs: 60_000 })
  const first = await meow.append({ category: 'free', streamId: 'a' }, { type: 'T', data: 1 })
  coalescer.saw(first.position)
  await until(async () => (await lease())?.closed === false, { what: 'a publisher' })
  const coalesces = async () =>
    (await sql.query(`select last_value > 0 as coalesces from ${schema}.coalescing_until`)).rows[0].coalesces
  await until(coalesces, { what: 'coalescing' })

  await client.query('begin')
  const open = await meow.append({ category: 'open', streamId: 'a' }, { type: 'T', data: 1 }, { client })
  const free = await meow.append({ category: 'free', streamId: 'b' }, { type: 'T', data: 1 })
  await until(() => heard.get(`${schema}.free`)?.payload === free.position, { what: 'the other category' })
  assert.is(heard.has(`${schema}.open`), false)
  const closing = coalescer.close()
  // Appends notify again, and what was left out before is still notified.
  await until(async () => !(await coalesces()), { what: 'appends that notify again' })
  await client.query('commit')
  await closing
  await until(() => heard.get(`${schema}.open`)?.payload === open.position, { what: 'what was open' })
  assert.is.not(heard.get(`${schema}.open`)!.pid, pid)
  assert.is(heard.get(schema)!.payload, free.position)
  await db.close()
  assert.is((await lease()).closed, true, said.join('\n'))
})

test('a process that closes does not wait for an append that stays open: the next publisher notifies what is left', async () => {
  const schema = uniqueName('coalescing')
  const meow = await openStore({ schema, listen: false })
  const heard = await listen([`${schema}.open`])
  const [sql, client] = [await pgClient(), await pgClient()]
  const rules = { speed: 0, waiting: 0, checks: 1, leaveMs: 1_000 }
  const settings = parse(connectOptionsSchema, theWay({ connectionString: databaseUrl(), schema }), 'options')
  const [db, other] = [new Database(settings), new Database(settings)]
  const coalescer = new Coalescer(db, rules)
  const first = await meow.append({ category: 'a', streamId: 'a' }, { type: 'T', data: 1 })
  coalescer.saw(first.position)
  const coalesces = async () =>
    (await sql.query(`select last_value > 0 as coalesces from ${schema}.coalescing_until`)).rows[0].coalesces
  await until(coalesces, { what: 'a publisher' })
  await client.query('begin')
  const open = await meow.append({ category: 'open', streamId: 'a' }, { type: 'T', data: 1 }, { client })
  await coalescer.close()
  assert.is((await sql.query(`select closed from ${schema}.publisher`)).rows[0].closed, false)
  await client.query('commit')
  const next = new Coalescer(other, { ...rules, waiting: 1_000 })
  next.saw(open.position)
  await until(() => heard.get(`${schema}.open`)?.payload === open.position, { what: 'what was open' })
  await until(async () => (await sql.query(`select closed from ${schema}.publisher`)).rows[0].closed, {
    what: 'an end',
  })
  await next.close()
  await Promise.all([db.close(), other.close()])
})

test('an expiry further ahead than a lease can be is ignored: the clock was set back', async () => {
  const schema = uniqueName('coalescing')
  const meow = await openStore({ schema, listen: false })
  const heard = await listen([`${schema}.c`])
  const sql = await pgClient()
  for (const [aheadMs, isHeard] of [
    [400, false],
    [5_000, true],
    [-1, true],
  ] as const) {
    await sql.query(`select setval('${schema}.coalescing_until', ${schema}.now_ms() + $1::int)`, [aheadMs])
    const { position } = await meow.append({ category: 'c', streamId: 'a' }, { type: 'T', data: 1 })
    await sql.query(`select pg_notify($1, '0')`, [`${schema}.c`])
    if (isHeard) await until(() => heard.get(`${schema}.c`)?.payload === position, { what: 'an append' })
    else assert.is.not(heard.get(`${schema}.c`)?.payload, position)
  }
})

test('publishing is refused in another isolation than read committed', async () => {
  const schema = uniqueName('coalescing')
  await openStore({ schema, listen: false })
  const sql = await pgClient()
  for (const call of [
    `claim_publishing(gen_random_uuid())`,
    `renew_publishing(gen_random_uuid(), 0, true)`,
    `publish('{}', '{}', 0, 0)`,
    `end_publishing(gen_random_uuid())`,
  ]) {
    await sql.query('begin isolation level repeatable read')
    assert.is(
      ((await rejects(sql.query(`select ${schema}.${call}`), Error)) as pg.DatabaseError).code,
      'MW004',
      call,
    )
    await sql.query('rollback')
  }
})

test('appends that wait for NOTIFY are seen', async () => {
  const schema = uniqueName('coalescing')
  await openStore({ schema, listen: false })
  const [sql, ...clients] = await Promise.all(Array.from({ length: 9 }, () => pgClient()))
  let most = 0
  const append = `select ${schema}.append('c', gen_random_uuid()::text, '{"type": "T"}')`
  const appending = clients.map(async (client) => {
    while (most < 2) await client.query(append)
  })
  const look = async () => {
    const { rows } = await sql!.query(`select ${schema}.waiting_for_notify() as waiting`)
    most = Math.max(most, rows[0].waiting)
    return most >= 2
  }
  await until(look, { timeoutMs: 20_000, what: 'two that wait' }).finally(() => {
    most = 9
  })
  await Promise.all(appending)
})

test('a process whose appends are sent together causes no coalescing', async () => {
  const schema = uniqueName('coalescing')
  const meow = await openStore({ schema, listen: false })
  const sql = await pgClient()
  const ends = performance.now() + 1_500
  const append = async (_: unknown, n: number) => {
    while (performance.now() < ends)
      await meow.append({ category: 'c', streamId: `s${n}` }, { type: 'T', data: 1 })
  }
  await Promise.all(Array.from({ length: 64 }, append))
  assert.equal((await sql.query(`select * from ${schema}.publisher`)).rows, [])
})

test.run()
