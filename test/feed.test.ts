// A feed reads ahead while it knows of more events; at the end, a page goes to its consumer at once.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Feed } from '../src/live/feed.ts'
import type { Page } from '../src/read/page.ts'
import { rejects } from './support/rejects.ts'

const page = (after: number, position: number): Page => ({
  events: [],
  hashes: [],
  sizes: [],
  bytes: 0,
  after,
  position,
})

/** Pages of ten positions up to `end`; a request beyond it waits until the feed is closed. */
function readTo(end: number) {
  const asked: number[] = []
  const feed = new Feed(
    (after, signal) => {
      asked.push(after)
      if (after < end) return Promise.resolve(page(after, Math.min(after + 10, end)))
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
    0,
    (position) => position < end,
  )
  return { feed, asked }
}

test('the next page is asked for before its consumer has the last one, as long as there is more', async () => {
  const { feed, asked } = readTo(25)
  assert.equal(asked, [0])
  assert.equal(await feed.next(), page(0, 10))
  assert.equal(asked, [0, 10])
  assert.equal(await feed.next(), page(10, 20))
  assert.equal(asked, [0, 10, 20])
  assert.equal(await feed.next(), page(20, 25))
  assert.equal(asked, [0, 10, 20], 'nothing more is known to be there')
  feed.close()
})

test('a consumer that waits at the end gets the reason why the feed is closed, and so does every later call', async () => {
  const { feed, asked } = readTo(10)
  await feed.next()
  const waiting = rejects(feed.next(), Error)
  assert.equal(asked, [0, 10])
  feed.close(new Error('the store has gone back'))
  assert.is((await waiting).message, 'the store has gone back')
  assert.is((await rejects(feed.next(), Error)).message, 'the store has gone back')
})

test.run()
