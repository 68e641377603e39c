// categories() tells what each category holds.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
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

test.run()
