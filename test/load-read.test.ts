// load and read return exactly the events asked for: compared with a filter over all that was appended.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LoadOptions, ReadOptions, RecordedEvent, Selector } from '../src/index.ts'
import { SchemaError } from '../src/index.ts'
import { countingPool } from './support/counting-pool.ts'
import { seeded } from './support/random.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const meow = await openStore({ listen: false })
const client = await pgClient()
test.after.each(async () => {
  await client.query('rollback') // what a failed test left open
})
test.after(closeAll)

// 600 events of 25 categories, each with streams of the same names, in runs of several lengths.
const random = seeded('load and read')
const pick = (n: number) => random.int(0, n - 1)
const categories = Array.from({ length: 25 }, (_, i) => uniqueName(`c${i}`))
const types = ['A', 'B', 'C', 'rare']
const all: RecordedEvent[] = []
const appends = Array.from({ length: 300 }, (_, i) =>
  meow.append(
    { category: categories[Math.min(pick(25), pick(25))]!, streamId: `s${pick(3)}` },
    Array.from({ length: 1 + pick(3) }, (_, n) => ({
      type: i === 150 ? 'rare' : types[pick(3)]!,
      data: [i, n],
    })),
  ),
)
for (const { events } of await Promise.all(appends)) all.push(...events)
all.sort((a, b) => a.position - b.position)
// Gaps: positions that never commit.
await client.query('begin')
for (let i = 0; i < 20; i++)
  await meow.append({ category: categories[0]!, streamId: 'gone' }, { type: 'A', data: i }, { client })
await client.query('rollback')
for (let i = 0; i < 3; i++) {
  const { events } = await meow.append(
    { category: categories[i]!, streamId: 'last' },
    { type: 'A', data: 'last' },
  )
  all.push(...events)
}
const head = all.at(-1)!.position

function matches({ category, types, streamId }: Selector) {
  const wanted = category === undefined ? undefined : [category].flat()
  return (event: RecordedEvent) =>
    (!wanted || wanted.includes(event.category)) &&
    (!types || types.includes(event.type)) &&
    (streamId === undefined || event.streamId === streamId)
}

function expectedPage(
  selector: Selector,
  { after = 0, until = head, limit = 512, direction = 'forward' }: ReadOptions,
) {
  const end = Math.min(until, head)
  const range = all.filter((e) => e.position > after && e.position <= end).filter(matches(selector))
  const events = (direction === 'forward' ? range : range.reverse()).slice(0, limit)
  const last = events.length === limit ? events.at(-1) : undefined
  const position =
    direction === 'forward' ? (last?.position ?? Math.max(after, end)) : last ? last.position - 1 : after
  return { events, position, horizon: head }
}

const selectors: [name: string, Selector][] = [
  ['every event', {}],
  ['one category', { category: categories[0]! }],
  ['one category in a list', { category: [categories[1]!] }],
  ['2 categories', { category: categories.slice(0, 2) }],
  ['8 categories', { category: categories.slice(0, 8) }],
  ['9 categories', { category: categories.slice(0, 9) }],
  ['20 categories', { category: categories.slice(3, 23) }],
  ['a category twice', { category: [categories[2]!, categories[2]!] }],
  ['an unknown category', { category: uniqueName('none') }],
  [
    'an unknown category among known ones',
    { category: [uniqueName('none'), categories[0]!, categories[5]!] },
  ],
  ['one stream', { category: categories[0]!, streamId: 's1' }],
  ['an unknown stream', { category: categories[0]!, streamId: 'none' }],
  ['one type', { types: ['B'] }],
  ['several types', { types: ['C', 'A', 'A'] }],
  ['a rare type', { types: ['rare'] }],
  ['an unknown type', { types: ['none'] }],
  ['types of a category', { category: categories[0]!, types: ['A', 'rare'] }],
  ['types of 2 categories', { category: categories.slice(0, 2), types: ['B'] }],
  ['types of 9 categories', { category: categories.slice(0, 9), types: ['B', 'C'] }],
  ['types of a stream', { category: categories[0]!, streamId: 's1', types: ['A'] }],
]

for (const [name, selector] of selectors) {
  test(`read ${name}`, async () => {
    assert.equal(await meow.read(selector), expectedPage(selector, {}))
    const positions = [
      0,
      1,
      head - 1,
      head,
      head + 1,
      head + 1_000,
      ...all.filter((_, i) => i % 90 === 0).map((e) => e.position),
    ]
    for (let i = 0; i < 60; i++) {
      const options: ReadOptions = {
        ...(i % 4 ? { after: positions[pick(positions.length)]! + pick(2) } : {}),
        ...(i % 3 ? { until: positions[pick(positions.length)]! + pick(2) } : {}),
        ...(i % 5 ? { limit: [1, 2, 7, 512, 100_000][pick(5)]! } : {}),
        ...(i % 2 ? { direction: 'backward' as const } : {}),
      }
      assert.equal(
        await meow.read(selector, options),
        expectedPage(selector, options),
        JSON.stringify(options),
      )
    }
  })

  test(`page through ${name}, both ways`, async () => {
    const whole = all.filter(matches(selector))
    for (const limit of [1 + Math.ceil(whole.length / 6), Math.max(1, whole.length)]) {
      const forward: RecordedEvent[] = []
      for (let after = 0; after < head; ) {
        const page = await meow.read(selector, { after, limit })
        assert.ok(page.position > after)
        forward.push(...page.events)
        after = page.position
      }
      assert.equal(forward, whole)
      const backward: RecordedEvent[] = []
      for (let until = head; until > 0; ) {
        const page = await meow.read(selector, { until, limit, direction: 'backward' })
        assert.ok(page.position < until)
        backward.push(...page.events)
        until = page.position
      }
      assert.equal(backward, whole.toReversed())
    }
  })
}

test('load a range of a stream, both ways, limited or not', async () => {
  for (const streamId of ['s0', 's1', 'none', 'last']) {
    const stream = { category: categories[0]!, streamId }
    const whole = all.filter(matches(stream))
    assert.equal(await meow.load(stream), whole)
    for (let i = 0; i < 100; i++) {
      const options: LoadOptions = {
        ...(i % 2 ? { fromVersion: pick(whole.length + 2) } : {}),
        ...(i % 3 ? { toVersion: pick(whole.length + 2) } : {}),
        ...(i % 5 ? { limit: 1 + pick(whole.length + 2) } : {}),
        ...(i % 7 < 3 ? { direction: 'backward' as const } : {}),
      }
      const { fromVersion = 0, toVersion = Infinity, limit = Infinity, direction = 'forward' } = options
      const range = whole.filter(({ version }) => version >= fromVersion && version < toVersion)
      assert.equal(
        await meow.load(stream, options),
        (direction === 'forward' ? range : range.reverse()).slice(0, limit),
        JSON.stringify(options),
      )
    }
  }
})

test('load a stream longer than one query reads', async () => {
  const stream = { category: uniqueName('long'), streamId: 'a' }
  await client.query(
    `insert into ${storeSchema}.events (version, category, stream_id, type, data)
     select v, $1, 'a', 'T', to_json(v) from generate_series(0, 20499) as v`,
    [stream.category],
  )
  const versions = (events: RecordedEvent[]) => events.map(({ version }) => version)
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
  assert.equal(versions(await meow.load(stream)), range(0, 20_500))
  assert.equal(versions(await meow.load(stream, { direction: 'backward' })), range(0, 20_500).reverse())
  const middle = { fromVersion: 5, toVersion: 20_005 }
  assert.equal(versions(await meow.load(stream, middle)), range(5, 20_005))
  assert.equal(versions(await meow.load(stream, { ...middle, limit: 10_001 })), range(5, 10_006))
  const backward = { ...middle, limit: 15_000, direction: 'backward' as const }
  assert.equal(versions(await meow.load(stream, backward)), range(5_005, 20_005).reverse())

  const { pool, answers } = countingPool()
  const counted = await openStore({ pool, listen: false })
  await counted.load(stream, { limit: 20_001 })
  const pages = answers.filter(({ text }) =>
    /where category = \$1 and stream_id = \$2 and version/.test(text),
  )
  assert.equal(
    pages.map(({ rows }) => rows),
    [...Array.from({ length: 10 }, () => 2_000), 1],
  )
  await counted.close()
  await pool.end()
})

test('an empty store', async () => {
  const empty = await openStore({ schema: uniqueName('empty'), listen: false })
  assert.equal(await empty.read({}), { events: [], position: 0, horizon: 0 })
  assert.equal(await empty.read({ category: 'a' }, { after: 5 }), { events: [], position: 5, horizon: 0 })
  assert.equal(await empty.load({ category: 'a', streamId: 'b' }), [])
})

test('an open append holds back its own category, and load alone sees it, from inside', async () => {
  const [open, quiet] = [uniqueName('open'), uniqueName('quiet')]
  const before = await meow.append({ category: open, streamId: 'a' }, { type: 'T', data: 'before' })
  await client.query('begin')
  const mine = await meow.append({ category: open, streamId: 'a' }, { type: 'T', data: 'mine' }, { client })
  const later = await meow.append({ category: open, streamId: 'b' }, { type: 'T', data: 'later' })
  const other = await meow.append({ category: quiet, streamId: 'a' }, { type: 'T', data: 'other' })

  for (const options of [{}, { client }]) {
    const held = await meow.read({ category: open }, options)
    assert.equal(held.events, before.events)
    assert.ok(held.horizon >= before.position && held.horizon < mine.position)
    assert.is(held.position, held.horizon)
    assert.equal((await meow.read({ category: quiet }, options)).events, other.events)
    assert.ok((await meow.read({ category: [open, quiet] }, options)).horizon < mine.position)
    assert.ok((await meow.read({}, options)).horizon < mine.position)
  }
  assert.equal(await meow.load({ category: open, streamId: 'a' }), before.events)
  assert.equal(await meow.load({ category: open, streamId: 'a' }, { client }), [
    ...before.events,
    ...mine.events,
  ])
  assert.equal(await meow.load({ category: open, streamId: 'b' }), later.events)

  await client.query('commit')
  const released = await meow.read({ category: open })
  assert.equal(released.events, [...before.events, ...mine.events, ...later.events])
  assert.ok(released.horizon >= later.position)
})

test('read in a caller’s transaction needs READ COMMITTED; load does not', async () => {
  const stream = { category: uniqueName('isolation'), streamId: 'a' }
  const { events } = await meow.append(stream, { type: 'T', data: 0 })
  for (const level of ['repeatable read', 'serializable']) {
    await client.query(`begin isolation level ${level}`)
    assert.equal(await meow.load(stream, { client }), events)
    const error = await rejects(meow.read(stream, { client }), SchemaError)
    assert.ok(error.message.includes(level), error.message)
    await client.query('rollback')
  }
  assert.equal((await meow.read(stream, { client })).events, events)
})

test.run()
