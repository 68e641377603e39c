// What makes a condition of an append fail and what does not; a failed append writes nothing.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConditionFailedError, SchemaError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

test.after(closeAll)

const event = (type: string, ...tags: string[]) => ({ type, data: {}, tags })

test('an event that was not seen fails the condition; one that was seen does not', async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('c'), streamId: '1' }
  const tag = uniqueName('t')
  const query = { tags: [tag] } as const
  const none = await meow.query(query)
  assert.equal(none.events, [])
  const first = await meow.append(stream, event('A', tag), { failIf: { query, after: none.seen } })
  const error = await rejects(
    meow.append(stream, event('B', tag), { failIf: { query, after: none.seen } }),
    ConditionFailedError,
  )
  const { id, position } = first.events[0]!
  assert.equal(error.event, { id, position, type: 'A', stream })
  assert.equal(error.query, query)
  assert.is(error.code, 'ERR_CONDITION_FAILED')
  assert.is(
    (await rejects(meow.append(stream, event('B', tag), { failIf: { query } }), ConditionFailedError)).event
      .id,
    id,
  )
  const now = await meow.query(query)
  assert.equal(now.events, first.events)
  await meow.append(stream, event('B', tag), { failIf: { query, after: now.seen } })
  assert.is((await meow.load(stream)).length, 2)
})

test('only events with all tags and one of the types count, of any of the items', async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('c'), streamId: '1' }
  const [a, b, c] = [uniqueName('t'), uniqueName('t'), uniqueName('t')]
  await meow.append(stream, [event('A', a), event('B', b), event('A', b, c)])
  const append = (query: any) => meow.append(stream, event('X'), { failIf: { query } })
  await append({ tags: [a, b] })
  await append({ tags: [a], types: ['B', 'C'] })
  await append([
    { tags: [a], types: ['B'] },
    { tags: [c], types: ['B'] },
  ])
  await rejects(append({ tags: [b, c] }), ConditionFailedError)
  await rejects(append({ tags: [a], types: ['B', 'A'] }), ConditionFailedError)
  await rejects(append([{ tags: [uniqueName('t')] }, { tags: [c], types: ['A'] }]), ConditionFailedError)
})

test('appendAll is all or nothing under its condition', async () => {
  const meow = await openStore()
  const [one, two] = ['1', '2'].map((streamId) => ({ category: uniqueName('c'), streamId })) as [any, any]
  const tag = uniqueName('t')
  const writes = [
    { stream: one, events: event('A', tag) },
    { stream: two, events: [event('A'), event('B', tag)] },
  ]
  const query = { tags: [tag] } as const
  await meow.appendAll(writes, { failIf: { query } })
  await rejects(meow.appendAll(writes, { failIf: { query } }), ConditionFailedError)
  assert.is((await meow.load(one)).length + (await meow.load(two)).length, 3)
})

test('a repeat with known ids returns the first result, whatever the condition says', async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('c'), streamId: '1' }
  const tag = uniqueName('t')
  const failIf = { query: { tags: [tag] as [string] } }
  const events = { ...event('A', tag), id: crypto.randomUUID() }
  const first = await meow.append(stream, events, { failIf })
  const again = await meow.append(stream, events, { failIf })
  assert.equal(again, { ...first, deduplicated: true })
  const keyed = () =>
    meow.append(stream, event('B', tag), {
      failIf: { query: { tags: [tag], types: ['B'] } },
      idempotencyKey: tag,
    })
  assert.is((await keyed()).deduplicated, false)
  assert.is((await keyed()).deduplicated, true)
})

test('conditions that run together: one of them wins', async () => {
  const meow = await openStore()
  const category = uniqueName('c')
  const tag = uniqueName('t')
  const tries = Array.from({ length: 40 }, (_, i) =>
    meow
      .append({ category, streamId: String(i) }, event('A', tag), { failIf: { query: { tags: [tag] } } })
      .then(
        () => true,
        (error) => {
          assert.instance(error, ConditionFailedError)
          return false
        },
      ),
  )
  assert.is((await Promise.all(tries)).filter(Boolean).length, 1)
})

test('what an open append holds back is not mistaken for seen', async () => {
  const meow = await openStore()
  const stream = (streamId: string) => ({ category: uniqueName('c'), streamId })
  const tag = uniqueName('t')
  const query = { tags: [tag] } as const
  const client = await pgClient()
  await client.query('begin')
  await meow.append(stream('slow'), event('A', tag), { client })
  await meow.append(stream('quick'), event('B', tag))
  const { events, seen } = await meow.query(query)
  assert.equal(
    events.map(({ type }) => type),
    ['B'],
  )
  await client.query('commit')
  const failed = await rejects(
    meow.append(stream('x'), event('C', tag), { failIf: { query, after: seen } }),
    ConditionFailedError,
  )
  assert.is(failed.event.type, 'A')
})

test("in the caller's transaction a condition that fails leaves it usable; REPEATABLE READ is refused", async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('c'), streamId: '1' }
  const tag = uniqueName('t')
  const failIf = { query: { tags: [tag] as [string] } }
  const client = await pgClient()
  await client.query('begin')
  await meow.append(stream, event('A', tag), { client, failIf })
  assert.is((await meow.query(failIf.query, { client })).events.length, 1)
  assert.is((await meow.query(failIf.query)).events.length, 0)
  await rejects(meow.append(stream, event('B', tag), { client, failIf }), ConditionFailedError)
  const { seen } = await meow.query(failIf.query, { client })
  await meow.append(stream, event('C', tag), { client, failIf: { ...failIf, after: seen } })
  await client.query('commit')
  assert.equal(
    (await meow.query(failIf.query)).events.map(({ type }) => type),
    ['A', 'C'],
  )
  await client.query('begin isolation level repeatable read')
  const error = await rejects(meow.append(stream, event('D'), { client, failIf }), ValidationError)
  assert.is(error.path, 'options.client')
  assert.match(error.message, 'READ COMMITTED')
  await client.query('rollback')
  await client.query('begin isolation level repeatable read')
  assert.match((await rejects(meow.query(failIf.query, { client }), SchemaError)).message, 'read committed')
  await client.query('rollback')
  assert.is((await meow.load(stream)).length, 2)
})

test('bad conditions are refused, and nothing is written', async () => {
  const meow = await openStore()
  const other = await openStore({ schema: uniqueName('other') })
  const stream = { category: uniqueName('c'), streamId: '1' }
  const { seen } = await meow.query({ tags: ['a'] })
  const foreign = (await other.query({ tags: ['a'] })).seen
  const query = { tags: ['a'] }
  const refused = async (path: string, failIf: unknown) => {
    for (const call of [
      meow.append(stream, event('A'), { failIf } as any),
      meow.appendAll([{ stream, events: event('A') }], { failIf } as any),
    ])
      assert.is((await rejects(call, ValidationError)).path, path)
  }
  await refused('options.failIf', undefined)
  await refused('options.failIf', null)
  await refused('options.failIf.query', {})
  await refused('options.failIf.query.tags', { query: { tags: [] } })
  await refused('options.failIf.query[1].tags', { query: [query, { types: ['A'] }] })
  await refused('options.failIf.query.types', { query: { tags: ['a'], types: undefined } })
  await refused('options.failIf.query.types', { query: { tags: ['a'], types: [] } })
  await refused('options.failIf.query', { query: [] })
  await refused('options.failIf.query', { query: Array(33).fill(query) })
  await refused('options.failIf.query.tags', {
    query: { tags: Array.from({ length: 33 }, (_, i) => `t${i}`) },
  })
  await refused('options.failIf.query.tags[0]', { query: { tags: ['x'.repeat(256)] } })
  await refused('options.failIf.after', { query, after: undefined })
  await refused('options.failIf.after', { query, after: 7 })
  await refused('options.failIf.after', { query, after: foreign })
  await refused('options.failIf.after', { query, after: seen.replace(/^s1\.\d+/, (head) => `${head}9`) })
  await refused('options.failIf.after', { query, after: seen.slice(0, -1) })
  // A value that this store signed before it lost events: a failover to a standby that lacked the last commits.
  const sql = await pgClient()
  const lost = (await sql.query(`select ${storeSchema}.sign_seen(9007199254740991, '{}') as seen`)).rows[0]
    .seen
  await refused('options.failIf.after', { query, after: lost })
  await refused('options.failIf.befor', { query, befor: seen })
  const model = { query: 7, initial: 0, evolve: () => 0, decide: () => [] }
  assert.is((await rejects(meow.decide(model as any, 1), ValidationError)).path, 'model.query')
  assert.equal(await meow.load(stream), [])
})

test.run()
