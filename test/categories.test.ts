// categories() tells what each category holds.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { CategoriesOptions } from '../src/index.ts'
import { ValidationError } from '../src/index.ts'
import { CategoryCounts } from '../src/studio/category-counts.ts'
import { memoryStore } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient } from './support/store.ts'

const meow = await openStore({ listen: false })
const client = await pgClient()
const event = { type: 'T', data: null }
test.after.each(async () => {
  await client.query('rollback') // what a failed test left open
})
test.after(closeAll)

test('none in an empty store; then each by name, with its streams, events and last position', async () => {
  assert.equal(await meow.categories(), [])
  await meow.append({ category: 'b', streamId: '1' }, [event, event, event])
  const b = await meow.append({ category: 'b', streamId: '2' }, event)
  assert.equal(await meow.categories(), [{ category: 'b', streams: 2, events: 4, lastPosition: b.position }])

  const names = ['a', 'B', ' ', 'ä', '🐈', '"', '%', 'x'.repeat(255)]
  const results = await Promise.all(
    names.map((category, i) =>
      meow.append(
        { category, streamId: 's' },
        Array.from({ length: i + 1 }, () => event),
      ),
    ),
  )
  const expected = [
    { category: 'b', streams: 2, events: 4, lastPosition: b.position },
    ...names.map((category, i) => ({
      category,
      streams: 1,
      events: i + 1,
      lastPosition: results[i]!.position,
    })),
  ]
  const byName = (x: { category: string }, y: { category: string }) => (x.category < y.category ? -1 : 1)
  const found = await meow.categories()
  assert.equal(found.toSorted(byName), expected.toSorted(byName))
  const { rows } = await client.query(
    'select name from unnest($1::text[]) as name order by name collate "C"',
    [expected.map(({ category }) => category)],
  )
  assert.equal(
    found.map(({ category }) => category),
    rows.map(({ name }) => name),
  )
})

test('what is not committed is not counted', async () => {
  const before = await meow.categories()
  await client.query('begin')
  await meow.append({ category: 'open', streamId: 's' }, event, { client })
  await meow.append({ category: 'b', streamId: 's' }, event, { client })
  assert.equal(await meow.categories(), before)
  await client.query('rollback')
})

for (const [kind, store] of Object.entries({ PostgreSQL: meow, memory: memoryStore() })) {
  test(`names alone, and what lies between two positions, in ${kind}`, async () => {
    const append = (category: string, streamId: string, count: number) =>
      store.append(
        { category, streamId },
        Array.from({ length: count }, () => event),
      )
    await append('x', '1', 2)
    await append('y', '1', 1)
    const { position } = await append('x', '2', 3)
    const mine = ['x', 'y', 'z']
    const of = async (options?: CategoriesOptions) =>
      (await store.categories(options as { counts?: true })).filter(({ category }) => mine.includes(category))
    const before = await of()
    assert.equal(await of({ until: position }), before)
    await append('z', '1', 1)
    await append('x', '2', 1)
    const last = await append('x', '3', 1)
    const since = await of({ after: position })
    assert.equal(
      since.map(({ category, streams, events }) => [category, streams, events]),
      [
        ['x', 1, 2],
        ['z', 1, 1],
      ],
    )
    assert.equal(await of({ until: position }), before)
    assert.equal(await of({ after: last.position }), [])
    assert.equal(
      (await store.categories({ counts: false })).filter(({ category }) => mine.includes(category)),
      (await of()).map(({ category, lastPosition }) => ({ category, lastPosition })),
    )
    for (const [options, path] of [
      [{ after: -1 }, 'options.after'],
      [{ until: 'end' }, 'options.until'],
      [{ counts: false, after: 1 }, 'options.counts'],
      [{ count: true }, 'options.count'],
    ] as const)
      assert.is((await rejects(store.categories(options as object), ValidationError)).path, path)
  })
}

test('repeated calls count each event once, and then only the new ones', async () => {
  const asked: CategoriesOptions[] = []
  const recording = {
    categories: (options: CategoriesOptions) => {
      asked.push(options)
      return meow.categories(options as { counts?: true })
    },
  }
  let horizon = (await meow.read({}, { after: Number.MAX_SAFE_INTEGER })).horizon
  const counts = new CategoryCounts(recording as never, async () => horizon)
  const same = async () => {
    const byName = (x: { category: string }, y: { category: string }) => (x.category < y.category ? -1 : 1)
    const all = await meow.categories({ until: horizon })
    assert.equal((await counts.read()).toSorted(byName), all.toSorted(byName))
  }
  await same()
  await same()
  assert.equal(asked, [{ after: 0, until: horizon }])
  const first = horizon
  for (const category of ['b', 'counted']) {
    const { position } = await meow.append({ category, streamId: 'counted' }, [event, event])
    await meow.append({ category, streamId: 'beyond' }, event)
    horizon = position
    await same()
  }
  assert.is(asked[1]!.after, first)
  assert.is(asked.length, 3)
  horizon = first // a server that had not got all took over
  await same()
  assert.is(asked.at(-1)!.after, 0)
})

test.run()
