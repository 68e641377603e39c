// @direct
// Whatever the server refuses for a while: workers of every kind, Observables and iterations, and whoever waits go on behind it,
// and meanwhile say so, in the log and in their status. What surely needs a person ends them, with its error.
import pg from 'pg'
import { firstValueFrom, lastValueFrom } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, Meow } from '../src/index.ts'
import { ConnectionError, SchemaError, SubscriptionNotFoundError, TimeoutError } from '../src/index.ts'
import { relay } from '../src/relay/index.ts'
import type { Refusal } from './support/refuse.ts'
import { met, refuse } from './support/refuse.ts'
import { rejects } from './support/rejects.ts'
import { current } from './support/status.ts'
import { closeAll, databaseUrl, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const schema = uniqueName('refusals')
const logged: { level: string; text: string; code: unknown }[] = []
const log = (level: string) => (fields: unknown, text?: string) => {
  const { err } = fields as { err?: { code?: unknown } }
  logged.push({ level, text: text ?? String(fields), code: err?.code })
}
const logger = { debug: () => {}, info: log('info'), warn: log('warn'), error: log('error') }
const meow = await openStore({
  schema,
  listen: false,
  logger: { ...logger, info: () => {}, warn: () => {}, error: () => {} },
})
const sql = await pgClient()
const roles: string[] = []
test.after(async () => {
  await closeAll()
  const admin = new pg.Client({ connectionString: databaseUrl() })
  await admin.connect()
  for (const role of roles) await admin.query(`drop owned by ${role}; drop role ${role}`)
  await admin.end()
})

const event = { type: 'T', data: {} }
const quick = { leaseMs: 900 }

/** Everything that goes on for ever, on one category: what each of them has seen, and whether it has ended. */
async function everything(store: Meow) {
  const category = uniqueName('all')
  const seen: Record<string, number[]> = {}
  const ended: string[] = []
  const stops: (() => unknown)[] = []
  const note = (way: string) => {
    seen[way] = []
    return ({ position }: { position: number }) => void seen[way]!.push(position)
  }
  const end = (way: string) => (error?: unknown) => void ended.push(`${way}: ${error}`)
  const subscription = (way: string) => store.subscription(`${category}_${way}`, { category, ...quick })
  const statuses = ['plain', 'transactional'].map((way) => {
    const subscribed = subscription(way)
    const worker = subscribed.process(note(way), { transactional: way === 'transactional' })
    worker.done.then(end(way), end(way))
    stops.push(() => worker.stop())
    return subscribed.status$
  })
  const deliveries = note('deliveries')
  const consuming = subscription('deliveries')
    .deliveries()
    .subscribe({
      next: (delivery) => {
        deliveries(delivery.event)
        delivery.ack().catch(() => {})
      },
      error: end('deliveries'),
    })
  const observing = store.events({ category }).subscribe({ next: note('events'), error: end('events') })
  const iterated = note('iterate')
  const stop = new AbortController()
  const iterating = (async () => {
    for await (const one of store.iterate({ category }, { signal: stop.signal })) iterated(one)
  })().catch(end('iterate'))
  const published = note('relay')
  const relaying = relay(store, `${category}_relay`, {
    category,
    leaseMs: 900,
    broker: {
      open: async () => {},
      publish: async ({ event }) => published(event),
      close: async () => {},
    },
  })
  relaying.done.then(end('relay'), end('relay'))
  stops.push(
    () => consuming.unsubscribe(),
    () => observing.unsubscribe(),
    () => {
      stop.abort()
      return iterating
    },
    () => relaying.stop(),
  )
  return {
    category,
    ended,
    statuses,
    /** Appends an event, by another store, and says when all have got it. */
    append: async () => {
      const { position } = await meow.append({ category, streamId: uniqueName('s') }, event)
      return {
        position,
        all: () =>
          until(
            () =>
              Object.values(seen).every(
                (positions) => positions.length > 0 && Math.max(...positions) >= position,
              ),
            {
              what: `all to get ${position}`,
              timeoutMs: 60_000,
            },
          ).catch((error) => {
            throw new Error(`${error.message}: ${JSON.stringify(seen)} ${ended}`)
          }),
      }
    },
    stop: async () => {
      ended.push('stopping')
      await Promise.all(stops.map((stop) => stop()))
    },
  }
}

const READING = ['horizons']
const WRITING = ['claim', 'advance', 'await_position', 'parked_streams']
const CODES = [
  '55P03',
  '53100',
  '53200',
  '53400',
  '54000',
  '58030',
  '55000',
  '55006',
  'XX000',
  '0A000',
  '42501',
  '25P04',
]
// Others of the same kind: out of connections, out of stack, an index that is damaged, a trigger or a constraint of others, a
// deadlock, a function in another language that fails, a function that does not find a table because the role may not use the
// schema any more, what nobody knows.
const MORE = [
  '53000',
  '54001',
  'XX002',
  'P0001',
  '23514',
  '40P01',
  '57014',
  '38000',
  '22012',
  '42P01',
  'ZZ999',
]

test('all goes on behind what is refused for a while', async () => {
  const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
  const all = await everything(store)
  await (await all.append()).all()
  for (const code of [...CODES, ...MORE])
    for (const names of [READING, WRITING]) {
      logged.length = 0
      const refusal = await refuse(sql, schema, names, code)
      const appended = await all.append()
      const waiting = store.waitFor(`${all.category}_plain`, appended.position, { timeoutMs: 60_000 })
      waiting.catch(() => {})
      await met(refusal, 4, `${code} to be met`)
      const failing = all.statuses.map((status$) =>
        until(() => current(status$).state === 'failing', { what: `the status to tell of ${code}` }),
      )
      await Promise.all(failing)
      for (const status$ of all.statuses) {
        const { error, since } = current(status$)
        assert.ok(since instanceof Date)
        assert.match(String((error as Error).message), /not now/)
      }
      const { error, retryingSince } = current(store.status$)
      assert.match(String((error as Error)?.message), /not now/)
      assert.ok(retryingSince! <= new Date())
      await refusal.end()
      await appended.all()
      await waiting
      assert.equal(all.ended, [], code)
      await until(
        () =>
          all.statuses.every((status$) => current(status$).state !== 'failing') &&
          !current(store.status$).error,
        { what: 'the status to tell that it is over', timeoutMs: 30_000 },
      )
      const words = logged.filter(({ text }) => text.includes('trying again'))
      const level = code === '40P01' ? 'warn' : 'error'
      const tries = await refusal.tries()
      assert.ok(
        words.some((word) => word.level === level),
        `${code} is not logged: ${JSON.stringify(logged)}`,
      )
      assert.ok(words.length < tries, 'not once a try')
      assert.ok(
        logged.some(({ level, text }) => level === 'info' && text.includes('again')),
        `that ${code} is over is not logged`,
      )
    }
  await all.stop()
  await store.close()
})

test('the same at the start of a worker, an Observable and an iteration', async () => {
  const category = uniqueName('start')
  const { position } = await meow.append({ category, streamId: 'a' }, event)
  for (const code of ['54000', '53200', '55P03']) {
    const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
    const refusal = await refuse(sql, schema, ['subscribe', 'claim', 'horizons', 'channel'], code)
    const handled: number[] = []
    const workers = [false, true].map((transactional) =>
      store
        .subscription(uniqueName('start'), { category })
        .process((event) => void handled.push(event.position), { transactional }),
    )
    const first = firstValueFrom(store.events({ category }))
    await met(refusal, 4, code)
    await refusal.end()
    await Promise.all(workers.map(({ ready }) => ready))
    assert.is((await first).position, position)
    await until(() => handled.length === 2, { what: 'both workers' })
    await store.close()
  }
})

test('what needs a person ends them', async () => {
  const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
  const deleted = uniqueName('deleted')
  const worker = store.subscription(deleted, { category: deleted, ...quick }).process(() => {})
  await worker.ready
  await meow.deleteSubscription(deleted)
  await rejects(worker.done, SubscriptionNotFoundError)
  const refusal = await refuse(sql, schema, ['horizons'], 'MW013')
  const ended = await Promise.allSettled([
    firstValueFrom(store.events({ category: deleted })),
    (async () => {
      for await (const _ of store.iterate({ category: deleted })) break
    })(),
  ]).finally(() => refusal.end())
  for (const outcome of ended) assert.instance((outcome as PromiseRejectedResult).reason, SchemaError)
  await store.close()
})

test('a call of the user fails at once, with what the server says', async () => {
  const category = uniqueName('once')
  let refusal: Refusal | undefined
  try {
    refusal = await refuse(sql, schema, ['append_one', 'horizons'], '53100')
    for (const call of [
      () => meow.append({ category, streamId: 'a' }, event),
      () => meow.read({ category }),
    ]) {
      assert.is(((await rejects(call(), Error)) as { code?: string }).code, '53100')
      assert.ok((await refusal.tries()) <= 2, 'once each')
    }
  } finally {
    await refusal?.end()
  }
})

test('who waits in vain is told what was refused', async () => {
  const name = uniqueName('vain')
  const worker = meow.subscription(name, { category: name }).process(() => {})
  await worker.ready
  const { position } = await meow.append({ category: name, streamId: 'a' }, event)
  await worker.stop()
  const refusal = await refuse(sql, schema, ['await_position', 'waiting_channel'], '53100')
  const error = await rejects(meow.waitFor(name, position + 1, { timeoutMs: 1_000 }), TimeoutError).finally(
    () => refusal.end(),
  )
  assert.match(String((error.cause as Error)?.message), /not now/)
})

test('what a handler throws is its own, whatever it looks like', async () => {
  const category = uniqueName('own')
  await meow.append({ category, streamId: 'a' }, event)
  const store = await openStore({ schema, listen: false, pollIntervalMs: 100, logger })
  for (const transactional of [false, true]) {
    const name = uniqueName('own')
    let calls = 0
    const worker = store.subscription(name, { category }).process(
      () => {
        calls++
        throw Object.assign(new Error('as if'), { code: '53100', severity: 'FATAL' })
      },
      { transactional, retry: { maxAttempts: 2, minDelayMs: 0, maxDelayMs: 0 } },
    )
    await worker.ready
    await until(async () => (await meow.parked(name))[0]?.attempts === 2, { what: 'it to be parked' })
    assert.is(calls, 2)
    await worker.stop()
  }
  await store.close()
})

/** A role that may do all in the schema; `settings` are its own. */
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

/** Keeps a table locked until the store waits for it, and for longer than its role may. */
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

test("a role's lock_timeout does not fail our own statements", async () => {
  const { role, url } = await roleWith(`lock_timeout = '200ms'`)
  const store = await openStore({ connectionString: url, schema, listen: false, pollIntervalMs: 100, logger })
  const all = await everything(store)
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

/** What begins while the server refuses what it is asked, and ends once it has got what it wants. */
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

/** Each begins while `refuse` has the server refuse what it is asked, and is done once that is over. */
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

test('the same at the start of what else goes on for ever: a lock that is not to be had', async () => {
  const { role, url } = await roleWith(`lock_timeout = '50ms'`)
  const pool = new pg.Pool({ connectionString: url }) // one that is lent, for which nothing is set
  const open = () => openStore({ pool, schema, listen: false, pollIntervalMs: 100, logger })
  await beginEach(open, role, async () => {
    await sql.query('begin')
    await sql.query(`lock table ${schema}.events, ${schema}.checkpoints in access exclusive mode`)
    return () => sql.query('commit')
  })
  await pool.end()
})

test('the same, without a connection left', async () => {
  const { role, url } = await roleWith()
  const open = () => openStore({ connectionString: url, schema, listen: false, pollIntervalMs: 100, logger })
  await beginEach(open, role, async () => {
    await sql.query(`alter role ${role} connection limit 0`)
    await sql.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role])
    return () => sql.query(`alter role ${role} connection limit -1`)
  })
})

test('in a pool that is lent nothing is set, and all goes on all the same', async () => {
  const { role, url } = await roleWith(`lock_timeout = '200ms'`)
  const pool = new pg.Pool({ connectionString: url })
  const store = await openStore({ pool, schema, listen: false, pollIntervalMs: 100, logger })
  const all = await everything(store)
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

test('a right that is taken away for a moment; one that is missing from the beginning is an error', async () => {
  const { role, url } = await roleWith()
  const store = await openStore({ connectionString: url, schema, listen: false, pollIntervalMs: 100, logger })
  const all = await everything(store)
  await (await all.append()).all()
  const late = await openStore({ connectionString: url, schema, listen: false, logger })
  await sql.query(`revoke usage on schema ${schema} from ${role}`)
  const appended = await all.append()
  await until(() => all.statuses.every((status$) => current(status$).state === 'failing'), {
    what: 'the status to tell of it',
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
