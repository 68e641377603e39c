// The checkpoint never passes a delivery that is not acked, and acks settle exactly once (I4).
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../src/core/clock.ts'
import type { RecordedEvent } from '../src/events/event.ts'
import type { Entry } from '../src/subscriptions/ack-window.ts'
import { AckWindow } from '../src/subscriptions/ack-window.ts'
import type { Random } from './support/random.ts'
import { random, seeded } from './support/random.ts'

const add = (window: AckWindow, position: number) =>
  window.add({ category: 'c', streamId: 's', position } as RecordedEvent)

test('the example of its comment', () => {
  const window = new AckWindow(0, systemClock)
  const [three, seven, eight, twelve] = [3, 7, 8, 12].map((position) => add(window, position)) as Entry[]
  window.pass(15)
  assert.is(window.watermark, 0)
  window.ack(twelve!)
  window.ack(seven!)
  assert.is(window.watermark, 0)
  window.ack(three!)
  assert.is(window.watermark, 7)
  assert.is(window.size, 1)
  window.ack(eight!)
  assert.is(window.watermark, 15)
  assert.is(window.size, 0)
})

test('positions without selected events are passed at once', () => {
  const window = new AckWindow(5, systemClock)
  window.pass(1000)
  assert.is(window.watermark, 1000)
  window.pass(900)
  assert.is(window.watermark, 1000)
})

test('an ack settles when a checkpoint covers it, not before, and only once', () => {
  const window = new AckWindow(0, systemClock)
  const settled: string[] = []
  const entries = [1, 2, 3].map((position) => {
    const entry = add(window, position)
    entry.settle = (error) => settled.push(error ? `${position}: ${error}` : `${position}`)
    return entry
  }) as [Entry, Entry, Entry]
  window.ack(entries[1])
  window.durable(0)
  assert.equal(settled, [])
  window.ack(entries[0])
  assert.equal(settled, [], 'the watermark moved, but no checkpoint is written')
  window.durable(1)
  assert.equal(settled, ['1'])
  window.durable(2)
  window.durable(2)
  assert.equal(settled, ['1', '2'])
  window.abandon('lost')
  window.abandon('again')
  assert.equal(settled, ['1', '2', '3: lost'])
  assert.is(window.size, 0)
})

test('random acks against a model, 2,000 seeds', () => {
  const seeds = seeded('window')
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

/** Delivers, passes, acks and writes checkpoints at random, and checks all rules after each step. */
function compare(random: Random): void {
  const start = random.int(0, 100)
  const window = new AckWindow(start, systemClock)
  const added: { position: number; acked: boolean; entry: Entry; settled: unknown[] }[] = []
  let position = start
  let passed = start
  let durable = start
  let watermark = start
  let abandoned = false

  for (let step = random.int(1, 60); step > 0; step--) {
    const unacked = added.filter(({ acked }) => !acked)
    const action = random.next()
    if (action < 0.4 && !abandoned) {
      position += random.int(1, 3)
      added.push({ position, acked: false, entry: add(window, position), settled: [] })
    } else if (action < 0.5 && !abandoned) {
      passed = position += random.int(0, 5)
      window.pass(passed)
    } else if (action < 0.85 && unacked.length > 0) {
      const one = random.pick(unacked)
      one.acked = true
      one.entry.settle = (error) => one.settled.push(error)
      window.ack(one.entry)
    } else if (action < 0.98 && !abandoned) {
      durable = Math.max(durable, window.watermark)
      window.durable(durable)
    } else if (action > 0.995) {
      abandoned = true
      window.abandon('lost')
    }

    if (abandoned) {
      assert.is(window.size, 0)
      for (const { settled } of added) assert.ok(settled.length <= 1, 'settled once')
      for (const { acked, settled } of added) if (acked) assert.is(settled.length, 1, 'nobody waits for ever')
      continue
    }
    const open = added.filter(({ acked }) => !acked)
    const first = added.findIndex(({ acked }) => !acked)
    assert.is(window.size, open.length)
    assert.is(window.span, first < 0 ? 0 : added.length - first)
    assert.ok(window.watermark >= watermark, 'never moves backward')
    watermark = window.watermark
    if (first < 0) {
      assert.is(watermark, Math.max(start, passed, added.at(-1)?.position ?? 0), 'all is acked')
    } else {
      assert.ok(watermark < added[first]!.position, 'never past an unacked one')
      if (first > 0) assert.ok(watermark >= added[first - 1]!.position, 'as far as all is acked')
    }
    for (const one of added) {
      const covered = one.acked && one.position <= durable
      assert.equal(one.settled, covered ? [undefined] : [], `position ${one.position}, durable ${durable}`)
    }
  }
}

test.run()
