// Recent events are served from memory: without a gap, without a repeat, and only up to the capacity.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/events/event.ts'
import { PageCache } from '../src/live/page-cache.ts'
import type { Page } from '../src/read/page.ts'
import { random, seeded } from './support/random.ts'

test('keeps nothing at first', () => {
  assert.is(new PageCache(10).read(0), undefined)
})

test('serves the rest of a page, and the page after it', () => {
  const cache = new PageCache(10)
  cache.push(page(0, [1, 2, 4], 5))
  cache.push(page(5, [6], 6))
  assert.equal(shape(cache.read(0)), { after: 0, events: [1, 2, 4], position: 5 })
  assert.equal(shape(cache.read(2)), { after: 2, events: [4], position: 5 })
  assert.equal(shape(cache.read(3)), { after: 3, events: [4], position: 5 })
  assert.equal(shape(cache.read(4)), { after: 4, events: [], position: 5 })
  assert.equal(shape(cache.read(5)), { after: 5, events: [6], position: 6 })
  assert.is(cache.read(6), undefined)
})

test('a page that does not follow the last one replaces the content; an old one changes nothing', () => {
  const cache = new PageCache(10)
  cache.push(page(0, [1], 1))
  cache.push(page(7, [8], 8))
  assert.is(cache.read(0), undefined)
  assert.is(cache.read(1), undefined, 'nothing is known of 2 to 7')
  assert.equal(shape(cache.read(7)), { after: 7, events: [8], position: 8 })
  cache.push(page(0, [1], 1))
  cache.push(page(7, [8], 8))
  cache.push(page(8, [], 8))
  assert.equal(shape(cache.read(7)), { after: 7, events: [8], position: 8 })
})

test('a tombstone: nothing older is served from memory', () => {
  const cache = new PageCache(10)
  cache.push(page(0, [1, 2], 2))
  const erased = page(2, [3, 4], 4)
  erased.events[1]!.type = '$erased'
  cache.push(erased)
  cache.push(page(4, [5], 5))
  assert.is(cache.read(0), undefined)
  assert.is(cache.read(1), undefined)
  assert.equal(shape(cache.read(2)), { after: 2, events: [3, 4], position: 4 })
  assert.equal(shape(cache.read(4)), { after: 4, events: [5], position: 5 })
})

test('keeps as many events as it may, and not many more pages without events', () => {
  const cache = new PageCache(100)
  for (let i = 0; i < 1000; i++) cache.push(page(i, [i + 1], i + 1))
  assert.is(cache.read(899), undefined)
  assert.ok(cache.read(900))
  for (let i = 1000; i < 2000; i++) cache.push(page(i, [], i + 1))
  assert.is(cache.read(1899), undefined)
  assert.ok(cache.read(1900))
})

test('whatever is pushed and read, a read returns the right events or nothing, 2,000 seeds', () => {
  const seeds = seeded('page-cache')
  for (let run = 0; run < 2_000; run++) {
    const { seed, int, chance } = random(seeds.int(0, 4_294_967_295))
    const capacity = int(1, 20)
    const cache = new PageCache(capacity)
    const truth = new Set(Array.from({ length: 200 }, (_, i) => i + 1).filter(() => chance(0.7)))
    const between = (after: number, until: number) => [...truth].filter((p) => p > after && p <= until)
    let end = 0
    let kept = 0
    for (let step = 0; step < 30; step++) {
      const after = chance(0.8) ? end : int(0, 190)
      const until = Math.min(200, after + int(0, 12))
      cache.push(page(after, between(after, until), until))
      if (until > after && until > end) {
        if (after !== end) kept = after
        end = until
      }
      const from = int(0, 200)
      const read = cache.read(from)
      if (!read) {
        const enough = from >= kept && from < end && between(from, end).length <= capacity - 12
        assert.not(enough, `seed ${seed}: ${from} of ${kept} to ${end} should still be kept`)
        continue
      }
      assert.is(read.after, from, `seed ${seed}`)
      assert.ok(read.position > from && read.position <= end, `seed ${seed}`)
      assert.equal(
        read.events.map(({ position }) => position),
        between(from, read.position),
        `seed ${seed}`,
      )
    }
  }
})

function page(after: number, positions: number[], position: number, eventBytes = 1): Page {
  return {
    after,
    events: positions.map((position) => ({ position }) as RecordedEvent),
    hashes: positions,
    sizes: positions.map(() => eventBytes),
    bytes: positions.length * eventBytes,
    position,
  }
}

function shape(page: Page | undefined) {
  if (!page) return page
  const { hashes, sizes, bytes, ...rest } = page
  const events = page.events.map(({ position }) => position)
  assert.equal(hashes, events, 'hashes go along with their events')
  assert.is(sizes.length, events.length, 'and so do sizes')
  assert.is(
    bytes,
    sizes.reduce((sum, size) => sum + size, 0),
  )
  return { ...rest, events }
}

test.run()
