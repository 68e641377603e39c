// An inline projection is part of the append: what its handler writes is committed with the events, or not at all.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { PendingEvents, RecordedEvent } from '../src/index.ts'
import {
  DuplicateEventError,
  defineCategory,
  UpcastError,
  ValidationError,
  VersionConflictError,
} from '../src/index.ts'
import { event, of, projecting } from './support/projecting.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, storeSchema, uniqueName } from './support/store.ts'

const { meow, sql, write, written, noting, data } = await projecting()
test.after.each(async () => {
  await sql.query('rollback') // what a failed test left open
})
test.after(closeAll)

test('what a handler writes is committed with the append, and the handler gets the events as they are recorded', async () => {
  const { name, seen } = await noting()
  const { events } = await meow.append(of(name), [event(1), event(2)])
  assert.equal(await written(name), ['1', '2'])
  assert.equal(seen, [events])
  assert.equal(await meow.load(of(name)), events)
})

test('neither the events nor the writes are visible before the handler has finished; a handler may be synchronous', async () => {
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

test('what a handler throws rejects its append unchanged, and undoes no other append of the same batch', async () => {
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

test('a deferred constraint that is violated at the end rejects the append', async () => {
  const name = uniqueName('deferred')
  const table = `${storeSchema}.${name}`
  await sql.query(`create table ${table} (n int unique deferrable initially deferred)`)
  meow.project(name, (_, client) => client.query(`insert into ${table} values (1)`))
  await meow.append(of(name), event(1))
  const error = await rejects(meow.append(of(name), event(2)), Error)
  assert.is((error as pg.DatabaseError).code, '23505')
  assert.equal(await data(name), [1])
})

test('projections are called in the order of their registration, once for each append, until they are removed', async () => {
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

test('appendAll writes everything, or nothing', async () => {
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

test('a conflict, a duplicate and a deduplicated retry call no handler', async () => {
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

test('if two stores append to one stream, each event is projected once', async () => {
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

test('decide and saveAggregate run projections like any append', async () => {
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

test('a pool of the user with one connection is enough', async () => {
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

test('with a zod category the handler gets typed and upcast events; with a name it gets what is stored', async () => {
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
  // If the projection can not read an event, it is not appended.
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

test('events that raw SQL or another store appends are not projected', async () => {
  const { name, seen } = await noting()
  const other = await openStore({ listen: false })
  await other.append(of(name), event(1))
  await sql.query(`select * from ${storeSchema}.append($1, 'a', '{"type": "T"}')`, [name])
  assert.is(seen.length, 0)
})

test('invalid arguments are refused', async () => {
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
