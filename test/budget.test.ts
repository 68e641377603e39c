// A budget of bytes: the fuller it is, the less is kept, read ahead and handed out, but every consumer always gets something.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/events/event.ts'
import { Feed } from '../src/live/feed.ts'
import { PageCache } from '../src/live/page-cache.ts'
import { Budget } from '../src/read/budget.ts'
import type { Page } from '../src/read/page.ts'

/** A page with one event of this many bytes. */
const page = (after: number, bytes: number): Page => ({
  events: [{ position: after + 1 } as RecordedEvent],
  hashes: [0],
  sizes: [bytes],
  bytes,
  after,
  position: after + 1,
})

test('a page has a quarter of what is left, and never less than 1/128', async () => {
  const budget = new Budget(12_800)
  const bounds: number[] = []
  const read = () => budget.page(async (maxBytes) => bounds.push(maxBytes))
  await read()
  assert.is(budget.used, 0, 'what was read is counted by whoever has it')
  await Promise.all(Array.from({ length: 20 }, read))
  assert.is(bounds[0], 3_200)
  assert.equal(bounds.slice(1, 4), [3_200, 2_400, 1_800], 'what is on its way counts as a whole')
  assert.is(Math.min(...bounds), 100)
  assert.is(budget.used, 0)
  await budget.page(() => Promise.reject(new Error('lost'))).catch(() => {})
  assert.is(budget.used, 0)
})

test('if space is needed, the oldest pages of the largest selection are dropped first', () => {
  const budget = new Budget(1_000)
  const [small, large] = [new PageCache(100, budget), new PageCache(100, budget)]
  for (let i = 0; i < 10; i++) small.push(page(i, 10))
  for (let i = 0; i < 10; i++) large.push(page(i, 100))
  assert.is(small.bytes, 100)
  assert.is(large.bytes, 400)
  assert.is(budget.used, 500, 'half of the whole')
  assert.ok(small.read(0))
  assert.is(large.read(5), undefined)
  assert.ok(large.read(6))
  large.push(page(10, 10_000))
  assert.is(large.bytes, 0, 'too large to be kept')
  large.push(page(11, 1))
  assert.ok(large.read(11))
  for (const ring of [small, large]) ring.clear()
  assert.is(budget.used, 0)
})

test('a full budget stops reading ahead, but still answers who asks; consumed pages are freed', async () => {
  const budget = new Budget(1_000)
  const asked: number[] = []
  const read = async (after: number) => {
    asked.push(after)
    return page(after, 600)
  }
  const feed = new Feed(read, 0, () => true, budget)
  await feed.next()
  assert.equal(asked, [0, 1], 'there was room')
  await feed.next()
  assert.equal(asked, [0, 1, 2])
  const other = new Feed(read, 100, () => true, budget)
  await other.next()
  assert.equal(
    asked,
    [0, 1, 2, 100],
    'full: 600 are consumed, 600 are read ahead, and 600 are consumed by another',
  )
  await other.next()
  assert.equal(asked, [0, 1, 2, 100, 101])
  other.close()
  feed.close()
  assert.is(budget.used, 0)
})

test('deliveries have a quarter, less when it is full, and one is always allowed', () => {
  const budget = new Budget(12_800)
  assert.ok(budget.allows(0, 1_000_000))
  assert.ok(budget.allows(3_000, 200))
  assert.not(budget.allows(3_000, 201))
  budget.add(12_800)
  assert.ok(budget.allows(50, 50), '1/128')
  assert.not(budget.allows(50, 51))
  assert.ok(budget.allows(0, 51))
})

test.run()
