// Work by stream: nothing is lost, each stream is handled in order and one event at a time, never too many at once, and no
// stream starves.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Streams } from '../src/subscriptions/streams.ts'
import type { Random } from './support/random.ts'
import { random } from './support/random.ts'

/** `a1` is the first item of stream `a`. */
class Item {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

const items = (names: string) => names.split(' ').map((name) => new Item(name))
const stream = ({ name }: Item) => name[0]!

function streams(concurrency: number, names: string): Streams<Item> {
  const streams = new Streams<Item>(concurrency, stream)
  for (const item of items(names)) streams.push(item)
  return streams
}

test('one stream has one item under way, others go past it', () => {
  const work = streams(3, 'a1 a2 a3 b1 a4 b2')
  const [a1, b1] = [work.next(), work.next()]
  assert.equal([a1?.name, b1?.name, work.next()], ['a1', 'b1', undefined])
  assert.is(work.busy, 2)
  assert.is(work.waiting, 4)
  work.done(b1!)
  assert.is(work.next()?.name, 'b2')
  assert.is(work.next(), undefined)
  work.done(a1!)
  assert.is(work.next()?.name, 'a2')
})

test('of the streams that are free, the one that has waited longest is next', () => {
  const work = streams(3, 'a1 b1 c1 c2 b2 a2 d1')
  const [a1, b1, c1] = [work.next(), work.next(), work.next()]
  for (const item of [a1, b1, c1]) work.done(item!)
  assert.equal([work.next()?.name, work.next()?.name, work.next()?.name], ['c2', 'b2', 'a2'])
  assert.is(work.next(), undefined, 'no slot is free')
})

test('concurrency 1 is the order of arrival', () => {
  const work = streams(1, 'a1 b1 a2 c1 b2')
  const order: string[] = []
  for (let item = work.next(); item; item = work.next()) {
    order.push(item.name)
    assert.is(work.next(), undefined)
    work.done(item)
  }
  assert.is(order.join(' '), 'a1 b1 a2 c1 b2')
})

test('clear returns what waits, as it came; what is under way keeps its slot', () => {
  const work = streams(2, 'a1 b1 b2 a2 c1 a3')
  const [a1, b1] = [work.next(), work.next()]
  work.done(b1!)
  const b2 = work.next()
  work.push(new Item('d1'))
  work.done(b2!)
  assert.is(work.next()?.name, 'c1', 'a2 is held back by a1')
  work.push(new Item('e1'))
  assert.equal(
    work.clear().map(({ name }) => name),
    ['a2', 'a3', 'd1', 'e1'],
  )
  assert.is(work.waiting, 0)
  assert.is(work.busy, 2)
  work.push(new Item('a4'))
  assert.is(work.next(), undefined)
  work.done(a1!)
  assert.is(work.next()?.name, 'a4')
})

test('random work against a model, 2,000 seeds', () => {
  const seeds = random(20_240_607)
  for (let run = 0; run < 2_000; run++) {
    const seed = seeds.int(0, 4_294_967_295)
    try {
      compare(random(seed))
    } catch (error) {
      ;(error as Error).message = `SEED of the run ${seed}: ${(error as Error).message}`
      throw error
    }
  }
})

/** The model says it in one line: next is the oldest that waits and whose stream is not under way. */
function compare(random: Random): void {
  const concurrency = random.int(1, 5)
  const letters = 'abcdefgh'.slice(0, random.int(1, 8))
  const work = new Streams<Item>(concurrency, stream)
  let waiting: Item[] = []
  let running: Item[] = []
  let pushed = 0
  const finished: Item[] = []
  const expected = () =>
    running.length < concurrency
      ? waiting.find((item) => !running.some((other) => stream(other) === stream(item)))
      : undefined
  const begin = () => {
    const item = work.next()
    assert.is(item, expected())
    if (!item) return false
    waiting = waiting.filter((other) => other !== item)
    running.push(item)
    return true
  }
  const finish = () => {
    const item = random.pick(running)
    running = running.filter((other) => other !== item)
    finished.push(item)
    work.done(item)
  }

  for (let step = random.int(1, 120); step > 0; step--) {
    const action = random.next()
    if (action < 0.4) {
      const item = new Item(`${random.pick([...letters])}${++pushed}`)
      waiting.push(item)
      work.push(item)
    } else if (action < 0.75) begin()
    else if (action < 0.99 && running.length > 0) finish()
    else if (action > 0.99) {
      assert.equal(work.clear(), waiting)
      pushed -= waiting.length
      waiting = []
    }
    assert.is(work.busy, running.length)
    assert.is(work.waiting, waiting.length)
  }
  while (begin() || running.length > 0) if (random.chance(0.5) && running.length > 0) finish()
  assert.is(finished.length, pushed, 'nothing is lost')
  assert.is(work.busy + work.waiting, 0)
}

test('an item costs the same, however many wait and however many streams they are of', () => {
  for (const [concurrency, spread] of [
    [1, 1],
    [8, 1],
    [8, 3],
    [8, 100_000],
  ] as const) {
    let looks = 0
    const work = new Streams<{ id: number }>(concurrency, ({ id }) => {
      looks++
      return String(id % spread)
    })
    const count = 200_000 // what is quadratic takes minutes
    for (let id = 0; id < count; id++) work.push({ id })
    const running: { id: number }[] = []
    let done = 0
    while (done < count) {
      const item = work.next()
      if (item) running.push(item)
      else for (; running.length > 0; done++) work.done(running.pop()!)
    }
    assert.ok(looks <= 2 * count, 'once when it comes, once when it is done')
  }
})

test.run()
