// An inline projection is part of the append: what its handler writes is committed with the events, or not at all.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { AppendResult, ConnectOptions, Meow, PendingEvents, RecordedEvent } from '../src/index.ts'
import {
  ClosedError,
  DuplicateEventError,
  defineCategory,
  MeowError,
  OutcomeUnknownError,
  TimeoutError,
  UpcastError,
  ValidationError,
  VersionConflictError,
  withMetadata,
} from '../src/index.ts'
import { startFaultProxy } from './faults/proxy.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore({ listen: false })
const sql = await pgClient()
const notes = `${storeSchema}.notes`
await sql.query(`create table ${notes} (category text, note text)`)
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

const event = (data: unknown = {}, more: object = {}) => ({ type: 'T', data, ...more })
const of = (category: string, streamId = 'a') => ({ category, streamId })

function write(client: pg.ClientBase, category: string, note: unknown): Promise<unknown> {
  return client.query(`insert into ${notes} values ($1, $2)`, [category, String(note)])
}

/** What is written, as everybody else sees it. */
async function written(category: string): Promise<string[]> {
  const { rows } = await sql.query(`select note from ${notes} where category = $1 order by note`, [category])
  return rows.map(({ note }) => note)
}

/** A category of which each event's data is noted, and those of a store's own settings. */
async function noting(options?: ConnectOptions, name = uniqueName('noted')) {
  const store = options ? await openStore({ listen: false, ...options }) : meow
  const seen: RecordedEvent[][] = []
  const forget = store.project(name, async (events, client) => {
    seen.push(events)
    for (const { data } of events) {
      await write(client, name, data)
      if (data === 'poison') throw new Error('poison')
    }
  })
  return { name, store, seen, forget }
}

const data = async (category: string) => (await meow.read({ category })).events.map((one) => one.data)

test('what a handler writes is there when the append is; it gets the events as they are recorded', async () => {
  const { name, seen } = await noting()
  const { events } = await meow.append(of(name), [event(1), event(2)])
  assert.equal(await written(name), ['1', '2'])
  assert.equal(seen, [events])
  assert.equal(await meow.load(of(name)), events)
})

test('until the handler is done there is neither; a handler need not be asynchronous', async () => {
  const name = uniqueName('open')
  const before: unknown[] = []
  meow.project(name, async (_, client) => {
    await write(client, name, 'x')
    before.push(await written(name), await meow.load(of(name)))
  })
  const order: string[] = []
  meow.project(name, ([first]) => order.push(first!.streamId))
  await meow.append(of(name), event())
  assert.equal(before, [[], []])
  assert.equal([await written(name), order], [['x'], ['a']])
})

test('what a handler throws rejects its append, as it is, and undoes nothing else that was appended with it', async () => {
  const { name } = await noting()
  const plain = uniqueName('plain')
  const error = new RangeError('why', { cause: 'because' })
  for (const thrown of [error, 'text', undefined, null]) {
    const throwing = uniqueName('throwing')
    meow.project(throwing, async (_, client) => {
      await write(client, throwing, 'gone')
      throw thrown
    })
    const results = await Promise.allSettled([
      ...Array.from({ length: 20 }, (_, n) => meow.append(of(plain, `${n}`), event(n))),
      meow.append(of(throwing), event()),
      meow.append(of(throwing), [event(), event()]),
      meow.append(of(name, 'good'), event('good')),
      meow.append(of(name, 'bad'), event('poison')),
      meow.append(of(name, 'good'), event('better')),
    ])
    const failed = results.flatMap((result, i) => (result.status === 'rejected' ? [[i, result.reason]] : []))
    assert.equal(
      failed.map(([i]) => i),
      [20, 21, 23],
    )
    assert.is(failed[0]![1], thrown)
    assert.is(failed[2]![1].message, 'poison')
    assert.equal([await data(throwing), await written(throwing)], [[], []])
  }
  assert.is((await data(plain)).length, 80)
  assert.equal(await data(name), Array(4).fill(['good', 'better']).flat())
  assert.equal(
    (await written(name)).toSorted(),
    [...Array(4).fill('better'), ...Array(4).fill('good')].toSorted(),
  )
})

test('a deferred constraint that does not hold at the end rejects the append', async () => {
  const name = uniqueName('deferred')
  const table = `${storeSchema}.${name}`
  await sql.query(`create table ${table} (n int unique deferrable initially deferred)`)
  meow.project(name, (_, client) => client.query(`insert into ${table} values (1)`))
  await meow.append(of(name), event(1))
  const error = await rejects(meow.append(of(name), event(2)), Error)
  assert.is((error as pg.DatabaseError).code, '23505')
  assert.equal(await data(name), [1])
})

test('several are called in the order of their registration, once a call, until they are taken back', async () => {
  const [a, b, c] = [uniqueName('a'), uniqueName('b'), uniqueName('c')]
  const calls: [string, string[]][] = []
  const call = (what: string) => (events: RecordedEvent[]) => {
    calls.push([what, events.map(({ category, data }) => `${category.slice(0, 1)}${data}`)])
  }
  const forget = [
    meow.project([b, a], call('first')),
    meow.project(b, call('second')),
    meow.project(a, call('third')),
  ]
  const writes = [
    { stream: of(a), events: [event(1), event(2)] },
    { stream: of(c), events: event(3) },
    { stream: of(b), events: event(4) },
    { stream: of(a), events: event(5) },
  ]
  await meow.appendAll(writes)
  const expected = [
    ['first', ['a1', 'a2', 'b4', 'a5']],
    ['second', ['b4']],
    ['third', ['a1', 'a2', 'a5']],
  ]
  assert.equal(calls, expected)
  await meow.append(of(c), event())
  assert.is(calls.length, 3)
  forget[0]!()
  forget[0]!()
  await meow.appendAll(writes)
  assert.equal(calls.slice(3), expected.slice(1))
})

test('of appendAll all is written, or nothing', async () => {
  const { name } = await noting()
  const [other, plain] = [uniqueName('other'), uniqueName('plain')]
  meow.project(other, async (events, client) => {
    for (const { data } of events) await write(client, other, data)
  })
  const writes = (last: unknown) => [
    { stream: of(other), events: event(1) },
    { stream: of(plain), events: event(2) },
    { stream: of(name), events: event(last) },
  ]
  const results = await meow.appendAll(writes('fine'))
  assert.equal(
    results.map(({ version }) => version),
    [0, 0, 0],
  )
  assert.is((await rejects(meow.appendAll(writes('poison')), Error)).message, 'poison')
  const conflict = meow.appendAll([
    ...writes('late'),
    { stream: of(plain, 'b'), events: event(), expectedVersion: 3 },
  ])
  await rejects(conflict, VersionConflictError)
  assert.equal([await written(other), await written(name)], [['1'], ['fine']])
  assert.equal([await data(other), await data(plain), await data(name)], [[1], [2], ['fine']])
})

test('a conflict, a duplicate and a retry that is deduplicated call no handler', async () => {
  const { name, seen } = await noting()
  const id = crypto.randomUUID()
  const first = await meow.append(of(name), event(1, { id }))
  const again = await meow.append(of(name), event(1, { id }))
  assert.equal(again, { ...first, deduplicated: true })
  assert.equal((await meow.appendAll([{ stream: of(name), events: event(1, { id }) }]))[0], again)
  await rejects(meow.append(of(name), event(2, { id })), DuplicateEventError)
  await rejects(meow.append(of(name), event(3), { expectedVersion: 'no-stream' }), VersionConflictError)
  assert.is(seen.length, 1)
  assert.equal(await written(name), ['1'])
})

test('concurrent appends to one stream keep their order', async () => {
  const { name, seen } = await noting()
  const count = 30
  await Promise.all(Array.from({ length: count }, (_, n) => meow.append(of(name), event(n))))
  assert.equal(
    seen.flat().map(({ version, data }) => [version, data]),
    Array.from({ length: count }, (_, n) => [n, n]),
  )
})

test('two processes that append to one stream: each event is projected once', async () => {
  const { name, store } = await noting({})
  await noting({}, name).then(async (other) => {
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => (n % 2 ? store : other.store).append(of(name), event(n))),
    )
  })
  assert.is((await data(name)).length, 40)
  assert.equal(
    (await written(name)).map(Number).toSorted((a, b) => a - b),
    Array.from({ length: 40 }, (_, n) => n),
  )
})

test('a lost race of what the handler writes runs it again, in a new transaction', async () => {
  const name = uniqueName('race')
  let runs = 0
  meow.project(name, async (_, client) => {
    await write(client, name, ++runs)
    if (runs < 3) await client.query(`do $$ begin raise serialization_failure; end $$`)
  })
  await meow.append(of(name), event())
  assert.is(runs, 3)
  assert.equal([await written(name), await data(name)], [['3'], [{}]])
})

test('a connection that ends before the commit: all of it is run again, and written once', async () => {
  const name = uniqueName('killed')
  let runs = 0
  meow.project(name, async (_, client) => {
    await write(client, name, ++runs)
    if (runs === 1) await client.query('select pg_terminate_backend(pg_backend_pid())')
  })
  const { version, deduplicated } = await meow.append(of(name), event())
  assert.equal([version, deduplicated, runs], [0, false, 2])
  assert.equal([await written(name), await data(name)], [['2'], [{}]])
})

test('the answer to COMMIT is lost: it is looked up, and nothing is projected twice', async () => {
  const proxy = await startFaultProxy(databaseUrl())
  const { name, store, seen } = await noting({ connectionString: proxy.url })
  store.project(name, () => proxy.loseAnswers(1))
  const { version, deduplicated } = await store.append(of(name), event('once'))
  assert.equal([version, deduplicated, seen.length], [0, false, 1])
  assert.equal([await written(name), await data(name)], [['once'], ['once']])
  await store.close()
  await proxy.close()
})

test('no answer is to be had: the outcome is unknown, and decided by the same ids', async () => {
  const proxy = await startFaultProxy(databaseUrl())
  const { name, store } = await noting({ connectionString: proxy.url, queryTimeoutMs: 1_500 })
  store.project(name, () => proxy.loseAnswers(1_000_000))
  const unknown = await rejects(store.append(of(name), event('once')), OutcomeUnknownError)
  proxy.loseAnswers(0)
  const again = await meow.append(unknown.stream, unknown.events)
  assert.is(again.deduplicated, true)
  assert.equal([await written(name), await data(name)], [['once'], ['once']])
  await store.close()
  await proxy.close()
})

test("in a caller's transaction: it stands or falls with that, and a failure leaves it usable", async () => {
  const { name, seen } = await noting()
  const plain = uniqueName('plain')
  const options = { client: sql }
  await sql.query('begin')
  await write(sql, name, 'mine')
  await meow.append(of(name), event(1), options)
  assert.is((await rejects(meow.append(of(name), event('poison'), options), Error)).message, 'poison')
  await rejects(meow.append(of(name), event(2), { ...options, expectedVersion: 7 }), VersionConflictError)
  await rejects(
    meow.appendAll(
      [
        { stream: of(plain), events: event() },
        { stream: of(name), events: event('poison') },
      ],
      options,
    ),
    Error,
  )
  await meow.append(of(name), [event(3), event(4)], { ...options, expectedVersion: 0 })
  assert.is(seen.length, 4)
  await sql.query('commit')
  assert.equal(await written(name), ['1', '3', '4', 'mine'])
  assert.equal([await data(name), await data(plain)], [[1, 3, 4], []])

  await sql.query('begin')
  await meow.append(of(name), event('undone'), options)
  await sql.query('rollback')
  assert.equal(await written(name), ['1', '3', '4', 'mine'])
  assert.is((await rejects(meow.append(of(name), event(), options), ValidationError)).path, 'options.client')
})

test("concurrent appends in one caller's transaction: none is undone by the failure of another", async () => {
  const { name } = await noting()
  const plain = uniqueName('plain')
  await sql.query('begin')
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, n) =>
      meow.append(of(n % 3 ? name : plain, `${n}`), event(n % 4 ? n : 'poison'), { client: sql }),
    ),
  )
  await sql.query('commit')
  const good = results.flatMap((result) => (result.status === 'fulfilled' ? result.value.events : []))
  assert.is(good.length, 25)
  const events = (await meow.read({ category: [name, plain] })).events
  assert.equal(events.map(({ id }) => id).toSorted(), good.map(({ id }) => id).toSorted())
  const noted = good.filter(({ category }) => category === name).map(({ data }) => String(data))
  assert.equal(await written(name), noted.toSorted())
})

test('decide and saveAggregate are appends like any other', async () => {
  const { name } = await noting()
  const counter = {
    category: name,
    initial: 0,
    evolve: (sum: number, { data }: RecordedEvent) => sum + data,
    decide: (n: number | string) => event(n),
    snapshotEvery: 1,
  }
  const both = await Promise.all([meow.decide(counter, 'a', 1), meow.decide(counter, 'a', 2)])
  assert.equal(
    both.map(({ state }) => state),
    [1, 3],
  )
  await rejects(meow.decide(counter, 'a', 'poison'), Error)
  await sql.query('begin')
  await meow.decide(counter, 'a', 3, { client: sql })
  await sql.query('rollback')
  let saved = 0
  const aggregate = (...pending: unknown[]) => ({
    category: name,
    streamId: 'b',
    collectPendingEvents: (): PendingEvents => ({
      events: pending.map((one) => event(one)),
      expectedVersion: -1,
      saved: () => void saved++,
    }),
  })
  await rejects(meow.saveAggregate(aggregate(4, 'poison')), Error)
  assert.is(saved, 0)
  await meow.saveAggregate(aggregate(5, 6))
  assert.is(saved, 1)
  assert.equal(await written(name), ['1', '2', '5', '6'])
  assert.equal(await meow.state(counter, 'a'), { state: 3, version: 1 })
})

for (const maxConnections of [1, 10]) {
  test(`a handler appends through its client, to projected categories too; ${maxConnections} connections`, async () => {
    const { name, store } = await noting({ maxConnections })
    const [from, plain] = [uniqueName('from'), uniqueName('plain')]
    store.project(from, async ([first], client) => {
      const { category, streamId } = first!
      await store.append(of(plain, streamId), event('plain'), { client })
      await store.append(of(name, streamId), event(first!.data), { client }).catch((error) => {
        if (first!.data !== 'poison') throw error
      })
      if (first!.data === 3) await store.append({ category, streamId }, event(4), { client }) // itself, once more
    })
    const appends = [1, 2, 3, 'poison'].map((n) => store.append(of(from, `s${n}`), event(n)))
    await Promise.all(appends)
    assert.equal((await data(from)).length, 5)
    assert.equal((await data(plain)).length, 5)
    assert.equal(await written(name), ['1', '2', '3', '4'])
    const cause = (await meow.load(of(from, 's1')))[0]!
    assert.equal((await meow.load(of(plain, 's1')))[0]!.metadata, {
      correlationId: cause.id,
      causationId: cause.id,
    })
  })
}

test("through a pool of the user's, of one connection", async () => {
  const pool = new pg.Pool({ connectionString: databaseUrl(), max: 1 })
  const { name, store } = await noting({ pool })
  const appends = ['a', 'poison', 'b'].map((data) => store.append(of(name, data), event(data)))
  const results = await Promise.allSettled(appends)
  assert.equal(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal(await written(name), ['a', 'b'])
  await store.close()
  await pool.end()
})

test('a handler that appends past its client, to a category with projections, is told so at once', async () => {
  const { name } = await noting()
  const from = uniqueName('from')
  meow.project(from, ([first]) => meow.append(of(name, first!.streamId), event('outside')))
  const error = await rejects(meow.append(of(from), event()), ValidationError)
  assert.is(error.path, 'options.client')
  assert.equal([await data(from), await data(name)], [[], []])
})

test('a handler appends nothing: through its client it is told how the stream stands, past it that it must not', async () => {
  const { name, seen } = await noting()
  const from = uniqueName('from')
  const results: AppendResult[] = []
  const paths: string[] = []
  meow.project(from, async ([first], client) => {
    const { category, streamId } = first!
    for (const target of [category, name, uniqueName('plain')]) {
      const writes = [{ stream: of(target, streamId), events: [] }]
      results.push(await meow.append(of(target, streamId), [], { client, expectedVersion: 7 }))
      results.push(...(await meow.appendAll(writes, { client })))
      for (const past of [() => meow.append(of(target, streamId), []), () => meow.appendAll(writes)])
        paths.push((await rejects(past(), ValidationError)).path)
    }
    results.push(...(await meow.appendAll([], { client })))
  })
  const { position } = await meow.append(of(from), event())
  const there = { events: [], version: 0, position }
  const none = { events: [], version: -1, position: 0 }
  assert.equal(
    results.map(({ events, version, position }) => ({ events, version, position })),
    [there, there, none, none, none, none],
  )
  assert.equal(paths, Array(6).fill('options.client'))
  assert.equal([(await data(from)).length, await data(name), seen], [1, [], []])
})

test('a handler reads what is there, its own events too; afterwards its client is of no use', async () => {
  const name = uniqueName('reading')
  const loaded: number[] = []
  let kept: pg.ClientBase | undefined
  meow.project(name, async (_, client) => {
    kept = client
    loaded.push((await meow.load(of(name), { client })).length)
  })
  await meow.append(of(name), event())
  await meow.append(of(name), [event(), event()])
  assert.equal(loaded, [1, 3])
  assert.throws(() => kept!.query('select 1'), /the handler has ended/)
})

test('a zod category narrows what the handler gets, and upcasts it; a name beside it gets what is stored', async () => {
  const name = uniqueName('order')
  const Order = defineCategory(name, {
    Placed: {
      schema: z.object({ cents: z.number() }),
      version: 2,
      upcast: { 1: (old) => ({ cents: old.price * 100 }) },
    },
  })
  const cents: number[] = []
  const types: [string, boolean][] = []
  meow.project(Order, (events) => {
    for (const event of events) {
      if (event.known) cents.push(event.data.cents)
      types.push([event.type, event.known])
    }
  })
  const plain: unknown[] = []
  meow.project(name, (events) => plain.push(...events.map(({ data }) => data)))
  await meow.append(Order.stream('a'), Order.Placed({ cents: 150 }))
  await meow.append(of(name), [{ type: 'Placed', data: { price: 2 } }, event('unknown')])
  assert.equal(cents, [150, 200])
  assert.equal(types, [
    ['Placed', true],
    ['Placed', true],
    ['T', false],
  ])
  assert.equal(plain, [{ cents: 150 }, { price: 2 }, 'unknown'])
  // What the projection can't read is not appended.
  const Broken = defineCategory(name, {
    Placed: {
      schema: z.object({}),
      version: 2,
      upcast: {
        1: () => {
          throw new Error('no')
        },
      },
    },
  })
  const forget = meow.project(Broken, () => {})
  await rejects(meow.append(of(name), { type: 'Placed', data: { price: 2 } }), UpcastError)
  forget()
  assert.is((await data(name)).length, 3)
})

test('a handler that hides a failed query, or ends the transaction, can not pretend that all is well', async () => {
  const bad: [string, (client: pg.ClientBase) => unknown, RegExp][] = [
    ['hides', (client) => client.query('select 1 / 0').catch(() => {}), /kept to itself/],
    ['floats', (client) => void client.query('select 1 / 0').catch(() => {}), /kept to itself/],
    ['rolls back', (client) => client.query('rollback'), /ended the transaction/],
    ['begins anew', (client) => client.query('rollback; begin'), /ended the transaction/],
  ]
  for (const [what, handler, message] of bad) {
    const name = uniqueName('bad')
    meow.project(name, (_, client) => handler(client))
    const error = await rejects(meow.append(of(name), event()), MeowError)
    assert.is(error.code, 'ERR_PROJECTION', what)
    assert.match(error.message, message)
    await sql.query('begin')
    const inside = await rejects(meow.append(of(name), event(), { client: sql }), MeowError)
    assert.is(inside.code, 'ERR_PROJECTION', what)
    await sql.query('rollback')
    assert.equal(await data(name), [])
  }
})

test('a handler that hangs fails after queryTimeoutMs; nobody else waits for it', async () => {
  const { store, name: slow } = await noting({ queryTimeoutMs: 1_000 })
  const [stuck, plain] = [uniqueName('stuck'), uniqueName('plain')]
  let hung = 0
  store.project(stuck, async (_, client) => {
    hung++
    await write(client, stuck, 'gone')
    await new Promise(() => {})
  })
  const late = Array.from({ length: 6 }, (_, n) => store.append(of(stuck, `${n}`), event()))
  const outcomes = Promise.all(late.map((append) => rejects(append, TimeoutError)))
  await until(() => hung >= 4, { what: 'each lane to hang' })
  await store.append(of(plain), event()) // through lanes of its own
  assert.match((await outcomes)[0]!.message, /an inline projection took longer than 1000 ms/)
  await store.append(of(slow), event('then'))
  assert.equal(
    [await data(stuck), await written(stuck), await written(slow), await data(plain)],
    [[], [], ['then'], [{}]],
  )
})

test('a query of a handler that hangs: the append fails, and its transaction ends', async () => {
  const { store } = await noting({ queryTimeoutMs: 1_000 })
  const name = uniqueName('waiting')
  await sql.query(`begin; lock table ${notes}`)
  store.project(name, (_, client) => write(client, name, 'late'))
  await rejects(store.append(of(name), event()), Error)
  await sql.query('rollback')
  await until(async () => (await meow.stallers()).every(({ category }) => category !== name), {
    what: 'the transaction to end',
  })
  assert.equal([await data(name), await written(name)], [[], []])
  await store.append(of(name), event())
  assert.equal(await written(name), ['late'])
})

test('a handler runs in the context of its append, whoever it travels behind', async () => {
  const name = uniqueName('context')
  const storage = new AsyncLocalStorage<number>()
  const seen: [unknown, unknown][] = []
  meow.project(name, async ([first], client) => {
    const { events } = await meow.append(of(`${name} effect`), event(), { client })
    seen.push([first!.data, storage.getStore()])
    assert.is(events[0]!.metadata.correlationId, `c${first!.data}`)
  })
  await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      storage.run(n, () =>
        withMetadata({ correlationId: `c${n}` }, () => meow.append(of(name, `s${n % 3}`), event(n))),
      ),
    ),
  )
  assert.is(seen.length, 20)
  for (const [data, context] of seen) assert.is(context, data)
})

test('close() lets handlers finish, what they append too', async () => {
  const store: Meow = await openStore({ listen: false })
  const [name, effect] = [uniqueName('closing'), uniqueName('effect')]
  let go = () => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  let begun = 0
  store.project(name, async (_, client) => {
    begun++
    await gate
    await write(client, name, 'x')
    await store.append(of(effect), event(), { client })
  })
  const appends = [store.append(of(name, '1'), event()), store.append(of(name, '2'), event())]
  await sql.query('begin')
  const inside = store.append(of(name, '3'), event(), { client: sql })
  await until(() => begun === 3, { what: 'the handlers to begin' })
  let closed = false
  const closing = store.close().then(() => {
    closed = true
  })
  await rejects(store.append(of(name), event()), ClosedError)
  await delay(1)
  assert.is(closed, false)
  go()
  // The effects go to one stream, and the caller's transaction is the last to end.
  await until(() => inside.then(() => true), { what: 'the append inside' }).catch(() => {})
  await sql.query('commit')
  await Promise.all([...appends, closing])
  assert.equal(await written(name), ['x', 'x', 'x'])
  assert.is((await data(effect)).length, 3)
})

test('what raw SQL or another store object appends passes it by', async () => {
  const { name, seen } = await noting()
  const other = await openStore({ listen: false })
  await other.append(of(name), event(1))
  await sql.query(`select * from ${storeSchema}.append($1, 'a', '{"type": "T"}')`, [name])
  assert.is(seen.length, 0)
})

test('what can not be right is refused', async () => {
  const one = () => defineCategory('order', { A: z.object({}) })
  const handler = () => {}
  const cases: [category: any, handler: any, path: string][] = [
    [undefined, handler, 'category'],
    ['', handler, 'category'],
    [[], handler, 'category'],
    [['a', 7], handler, 'category[1]'],
    [{ category: 'a' }, handler, 'category'],
    [[one(), one()], handler, 'project.category'],
    ['a', undefined, 'handler'],
    ['a', { handler }, 'handler'],
  ]
  for (const [category, given, path] of cases) {
    assert.throws(
      () => meow.project(category, given),
      (error: unknown) => error instanceof ValidationError && error.path === path,
      path,
    )
  }
  assert.not(Object.isFrozen(handler))
})

test.run()
