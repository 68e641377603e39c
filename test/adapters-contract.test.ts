// An append inside a transaction of Drizzle, Kysely, Knex, Prisma, TypeORM or postgres.js commits or rolls back together with
// what they write, and a conflict or a duplicate leaves their transaction usable.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Decider, NewEvent, RecordedEvent, SqlClient } from '../src/index.ts'
import { DuplicateEventError, SchemaError, ValidationError, VersionConflictError } from '../src/index.ts'
import { drizzleOverPg, drizzleOverPostgresJs } from './adapters/drizzle.ts'
import { knex } from './adapters/knex.ts'
import { kysely } from './adapters/kysely.ts'
import type { Library, Transaction } from './adapters/library.ts'
import { postgresJs } from './adapters/postgres-js.ts'
import { hasPrisma, prisma } from './adapters/prisma.ts'
import { typeOrm } from './adapters/typeorm.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, directUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const observer = await pgClient()
const rival = await pgClient()
await observer.query(`create table ${storeSchema}.notes (name text primary key)`)

const place = { url: directUrl(), schema: storeSchema }
const libraries: Library[] = [
  drizzleOverPg(place),
  drizzleOverPostgresJs(place),
  kysely(place),
  knex(place),
  await typeOrm(place),
  postgresJs(place),
  ...(hasPrisma ? [await prisma(place)] : []),
]
if (!hasPrisma) console.log('Prisma is skipped: prisma and @prisma/client have different versions')

test.after(async () => {
  await Promise.all(libraries.map((library) => library.close()))
  await closeAll()
})

const event = (data: unknown, id?: string): NewEvent => ({ type: 'T', data, ...(id ? { id } : {}) })
const newStream = () => ({ category: uniqueName('tx'), streamId: 'a' })
const dataOf = (events: readonly { data: unknown }[]) => events.map(({ data }) => data)
const AT_ONCE = 100

async function notes(...names: string[]): Promise<number> {
  const { rowCount } = await observer.query(`select from ${storeSchema}.notes where name = any ($1)`, [names])
  return rowCount!
}

/** Values that a library could take for something of its own. */
const HOSTILE = [
  null,
  'text',
  '{"json": "in text"}',
  'question ? marks ?? and \\? $1 :name ::text @name {0} %s -- no comment',
  '2026-01-31T12:00:00.000Z',
  { nested: [{ a: 1.5e300, b: Number.MAX_SAFE_INTEGER, c: '9007199254740993' }], "it's": '"quoted" \\ ☃ 😀' },
  [],
  true,
  Array.from({ length: 2_000 }, (_, i) => `a long one ${i}`),
]

for (const library of libraries) {
  const { name } = library

  test(`${name}: events and rows commit together`, async () => {
    const stream = { category: uniqueName('tx'), streamId: `it's "a" \\ {b,NULL} ? $1 :c %s -- ☃` }
    const results = await library.transaction(async ({ client, note }) => {
      await note(stream.category)
      const first = await meow.append(stream, event(HOSTILE[0]), { client })
      const others = await meow.append(
        stream,
        HOSTILE.slice(1).map((data) => event(data)),
        {
          client,
          expectedVersion: 0,
        },
      )
      const [last, nothing] = await meow.appendAll(
        [
          { stream, events: { ...event('last'), metadata: { note: 'with metadata' } } },
          { stream, events: [] },
        ],
        { client },
      )
      assert.is(nothing!.version, HOSTILE.length)
      assert.equal(dataOf(await meow.load(stream, { client })), [...HOSTILE, 'last'])
      assert.equal(await meow.load(stream), [])
      return [...first.events, ...others.events, ...last!.events]
    })
    assert.equal(await meow.load(stream), results)
    assert.is(await notes(stream.category), 1)
  })

  test(`${name}: a rollback leaves nothing`, async () => {
    const stream = newStream()
    const failed = new Error('changed my mind')
    const given = await rejects(
      library.transaction(async ({ client, note }) => {
        await note(stream.category)
        await meow.append(stream, [event(1), event(2)], { client })
        throw failed
      }),
      Error,
    )
    assert.is(given, failed)
    assert.equal(await meow.load(stream), [])
    assert.is(await notes(stream.category), 0)
    assert.is((await meow.append(stream, event(3))).version, 0)
  })

  test(`${name}: a conflict or a duplicate leaves the transaction usable`, async () => {
    const stream = newStream()
    const id = crypto.randomUUID()
    await meow.append(stream, event(0, id))
    await library.transaction(async ({ client, note }) => {
      const expected = { client, expectedVersion: 'no-stream' } as const
      for (const events of [event(1), [event(1), event(2)]]) {
        const conflict = await rejects(meow.append(stream, events, expected), VersionConflictError)
        assert.equal([conflict.stream, conflict.actual], [stream, 0])
        await rejects(
          meow.appendAll([{ stream, events, expectedVersion: 4 }], { client }),
          VersionConflictError,
        )
      }
      await rejects(meow.append(stream, event('other', id), { client }), DuplicateEventError)
      await rejects(meow.append(stream, [event(1), event(0, id)], { client }), DuplicateEventError)
      const again = await meow.append(stream, event(0, id), { client })
      assert.equal([again.deduplicated, dataOf(again.events)], [true, [0]])
      await note(stream.category)
      await meow.append(stream, event('end'), { client, expectedVersion: 0 })
    })
    assert.equal(dataOf(await meow.load(stream)), [0, 'end'])
    assert.is(await notes(stream.category), 1)
  })

  test(`${name}: so does a race that is lost to another transaction`, async () => {
    const stream = newStream()
    for (const [expectedVersion, events] of [
      ['no-stream', event('mine')],
      [0, [event('mine'), event('mine')]],
    ] as const) {
      await rival.query('begin')
      await meow.append(stream, event('rival'), { client: rival })
      await library.transaction(async ({ client, note }) => {
        const { rows } = await client.query('select pg_catalog.pg_backend_pid()::text as pid', [])
        const refused = rejects(
          meow.append(stream, events, { client, expectedVersion }),
          VersionConflictError,
        )
        await until(
          async () => {
            const activity = 'select wait_event_type as waits from pg_stat_activity where pid = $1'
            return (await observer.query(activity, [rows[0]!.pid])).rows[0].waits === 'Lock'
          },
          { what: 'the append to wait for the other transaction' },
        )
        await rival.query('commit')
        await refused
        await note(`${stream.category} ${expectedVersion}`)
      })
    }
    assert.equal(dataOf(await meow.load(stream)), ['rival', 'rival'])
    assert.is(await notes(`${stream.category} no-stream`, `${stream.category} 0`), 2)
  })

  test(`${name}: ${AT_ONCE} transactions at once`, async () => {
    const category = uniqueName('many')
    const names = Array.from({ length: AT_ONCE }, (_, i) => `${category} ${i}`)
    const outcomes = await Promise.allSettled(
      names.map((streamId, i) =>
        library.transaction(async ({ client, note }) => {
          await note(streamId)
          await meow.append({ category, streamId }, event(i), { client, expectedVersion: 'no-stream' })
          await meow.append({ category, streamId: 'shared' }, event(i), { client })
          if (i % 10 === 9) throw new Error('rolled back')
        }),
      ),
    )
    const committed = names.filter((_, i) => i % 10 !== 9)
    assert.is(outcomes.filter(({ status }) => status === 'fulfilled').length, committed.length)
    const { events } = await meow.read({ category })
    const own = events.filter(({ streamId }) => streamId !== 'shared')
    assert.equal(new Set(own.map(({ streamId }) => streamId)), new Set(committed))
    assert.is(events.length - own.length, committed.length)
    assert.is(await notes(...names), committed.length)
  })

  test(`${name}: everything that takes a client takes this one`, async () => {
    const { category } = newStream()
    const counter: Decider<number, { type: string; data: number }, number> = {
      category,
      initial: 0,
      evolve: (state, { data }) => state + data,
      decide: (command) => ({ type: 'Added', data: command }),
      name: 'counter',
      snapshotEvery: 2,
    }
    class Counter {
      static readonly category = category
      readonly category = category
      readonly streamId = 'a'
      readonly recorded: RecordedEvent[]
      readonly pending: NewEvent[] = []
      constructor(recorded: RecordedEvent[]) {
        this.recorded = recorded
      }
      collectPendingEvents() {
        return { events: this.pending, expectedVersion: this.recorded.length - 1 }
      }
    }
    await library.transaction(async ({ client }) => {
      for (const command of [1, 2, 3]) await meow.decide(counter, 'a', command, { client })
      assert.equal(await meow.state(counter, 'a', { client }), { state: 6, version: 2 })
      assert.equal(await meow.state(counter, 'a', { client, toVersion: 1 }), { state: 1, version: 0 })
      const aggregate = await meow.loadAggregate(Counter, 'a', { client })
      assert.equal(dataOf(aggregate.recorded), [1, 2, 3])
      aggregate.pending.push({ type: 'Added', data: 4 })
      await meow.saveAggregate(aggregate, { client })
      assert.equal(await meow.state(counter, 'a'), { state: 0, version: -1 })
      // What is not committed is above the horizon.
      assert.equal((await meow.read({ category, types: ['Added'] }, { client })).events, [])
      await meow.append({ category, streamId: 'b' }, event('personal'), { client })
      const { events, tombstone } = await meow.eraseStream({ category, streamId: 'b' }, { client })
      assert.equal([events, tombstone?.type], [1, '$erased'])
      assert.equal((await meow.eraseStream({ category, streamId: 'c' }, { client })).tombstone, null)
    })
    assert.equal(await meow.state(counter, 'a'), { state: 10, version: 3 })
    await library.transaction(async ({ client }) => {
      for (const direction of ['forward', 'backward'] as const) {
        const { events } = await meow.read({ category: [category, 'none'] }, { client, direction })
        const data = dataOf(events.filter(({ type }) => type === 'Added'))
        assert.equal(data, direction === 'forward' ? [1, 2, 3, 4] : [4, 3, 2, 1])
        const loaded = await meow.load({ category, streamId: 'a' }, { client, direction, limit: 2 })
        assert.equal(dataOf(loaded), data.slice(0, 2))
      }
    })
    const { rows } = await observer.query(`select state from ${storeSchema}.snapshots where category = $1`, [
      category,
    ])
    assert.equal(rows, [{ state: 3 }]) // by the second command, because the third folded one event
  })

  test(`${name}: inline projections write in it, and one that fails undoes only its own append`, async () => {
    const { category } = newStream()
    const remove = meow.project(category, async (events, client) => {
      for (const { data, streamId } of events) {
        const { rows } = await client.query(
          `insert into ${storeSchema}.notes values ($1) returning name as written`,
          [`${category} ${data}`],
        )
        assert.equal(rows, [{ written: `${category} ${data}` }])
        if (streamId === 'fails') throw new Error('not this one')
        if (streamId === 'nested')
          await meow.append({ category: `${category}2`, streamId }, event(1), { client })
      }
    })
    const append = (streamId: string, { client }: Pick<Transaction, 'client'>) =>
      meow.append({ category, streamId }, event(streamId), { client })
    await library.transaction(async (transaction) => {
      const outcomes = await Promise.allSettled([
        append('a', transaction),
        append('fails', { client: transaction.again() }),
        append('b', transaction),
        append('nested', transaction),
      ])
      assert.equal(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
      )
    })
    remove()
    const { events } = await meow.read({ category: [category, `${category}2`] })
    assert.equal(dataOf(events), ['a', 'b', 'nested', 1])
    assert.is(await notes(...['a', 'fails', 'b', 'nested'].map((name) => `${category} ${name}`)), 3)
  })

  test(`${name}: a query of a projection that fails is the error, and what it needs of pg is said`, async () => {
    const { category } = newStream()
    const calls: ((client: any) => unknown)[] = [
      (client) => client.query({ text: 'select 1', rowMode: 'array' }),
      (client) => client.query('select 1', () => {}),
      (client) => client.escapeIdentifier('a'),
    ]
    let call = calls[0]!
    const remove = meow.project(category, (_, client) => call(client))
    const outcome = library.transaction(async ({ client }) => {
      const append = (streamId: string) => meow.append({ category, streamId }, event(0), { client })
      for (call of calls) {
        const error = await rejects(append('a'), ValidationError)
        assert.is(error.path, 'options.client')
        assert.match(error.message, /a client of pg/)
      }
      call = (client) => client.query(`select 'no number'::int`)
      assert.is(((await rejects(append('b'), Error)) as { code?: string }).code, '22P02')
      call = (client) => client.query({ text: 'select $1::int', values: [1] })
      await append('c')
    })
    const isUsable = await outcome.then(
      () => true,
      () => false,
    )
    remove()
    assert.is(isUsable, !library.keepsFailures)
    const { events } = await meow.read({ category })
    assert.equal(
      events.map(({ streamId }) => streamId),
      isUsable ? ['c'] : [],
    )
  })

  test(`${name}: an error of the server says the same as over pg`, async () => {
    const stop = new Error('enough')
    const aborted = library.transaction(async ({ client }) => {
      await client.query('set transaction isolation level repeatable read', [])
      const error = await rejects(meow.read(newStream(), { client }), SchemaError)
      assert.match(error.message, /needs isolation level read committed/)
      throw stop
    })
    assert.is(await rejects(aborted, Error), stop)
  })

  test(`${name}: one transaction has one client, and anything else is refused`, async () => {
    await library.transaction(async ({ own, client, again }) => {
      assert.is(again(), client)
      const append = meow.append(newStream(), event(0), { client: own as SqlClient })
      const error = await rejects(append, ValidationError)
      assert.is(error.path, 'options.client')
      assert.match(error.message, /meowmx\/adapters/)
    })
    assert.is((await rejects(Promise.resolve().then(library.refuse), ValidationError)).path, 'tx')
  })
}

test.run()
