// Pages in, events out, in virtual time: a page's events come at once and in order, then the next page is asked for.
// In marbles, a group such as (ab) happens at its opening bracket, and takes as many frames as it has characters.
import { EMPTY, NEVER, retry, throwError } from 'rxjs'
import { TestScheduler } from 'rxjs/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/events/event.ts'
import { observe } from '../src/live/observe.ts'
import type { Page } from '../src/read/page.ts'

const event = (position: number) => ({ position }) as RecordedEvent
const page = (after: number, position: number, ...positions: number[]): Page => ({
  after,
  events: positions.map(event),
  hashes: positions,
  sizes: positions.map(() => 1),
  bytes: positions.length,
  position,
})
const pages = { A: page(0, 2, 1, 2), B: page(2, 3, 3), C: page(3, 4), D: page(4, 5, 5) }
const events = { a: event(1), b: event(2), c: event(3), d: event(5) }

const marbles = (run: Parameters<TestScheduler['run']>[0]) =>
  new TestScheduler((actual, expected) => assert.equal(actual, expected)).run(run)

test('asks for the next page once the last one is emitted', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const queue = [cold('--(A|)', pages), cold('-----(B|)', pages), cold('----', pages)] as const
    let asked = 0
    const source = observe(() => queue[asked++]!)
    expectObservable(source, '----------!').toBe('--(ab)-c---', events)
    expectSubscriptions(queue[0].subscriptions).toBe('^-!')
    expectSubscriptions(queue[1].subscriptions).toBe('--^----!')
    expectSubscriptions(queue[2].subscriptions).toBe('-------^--!')
  })
})

test('continues for ever by default, also after pages without events', () => {
  marbles(({ cold, expectObservable }) => {
    const queue = ['-(A|)', '-------(B|)', '--(C|)', '---(D|)'].map((marbles) => cold(marbles, pages))
    expectObservable(observe(() => queue.shift() ?? NEVER)).toBe('-(ab)---c----d-', events)
  })
})

test('unsubscribing cancels the page under way, and no other is asked for', () => {
  marbles(({ cold, expectObservable, expectSubscriptions, flush }) => {
    const underWay = cold('---------(B|)', pages)
    const queue = [cold('-(A|)', pages), underWay]
    let asked = 0
    const source = observe(() => queue[asked++] ?? EMPTY)
    expectObservable(source, '-------!').toBe('-(ab)---', events)
    expectSubscriptions(underWay.subscriptions).toBe('-^-----!')
    flush()
    assert.is(asked, 2)
  })
})

test('completes with the page that reaches `until`, and asks for none after it', () => {
  for (const until of [3, 2.5]) {
    marbles(({ cold, expectObservable, flush }) => {
      const queue = ['-(A|)', '------(B|)', '-(C|)'].map((marbles) => cold(marbles, pages))
      let asked = 0
      expectObservable(observe(() => queue[asked++]!, until)).toBe('-(ab)--(c|)', events)
      flush()
      assert.is(asked, 2)
    })
  }
})

test('if there is no event up to `until`, it completes without one', () => {
  marbles(({ cold, expectObservable }) => {
    expectObservable(observe(() => cold('--(E|)', { E: page(0, 0) }), 0)).toBe('--|')
  })
})

test('an error of a page is an error of the Observable, after the events before it', () => {
  marbles(({ cold, expectObservable }) => {
    const queue = [cold('-(A|)', pages), cold<Page>('------#', undefined, 'no such table')]
    expectObservable(observe(() => queue.shift()!)).toBe('-(ab)--#', events, 'no such table')
  })
})

test('a consumer that unsubscribes ends it in the middle of a page', () => {
  marbles(({ cold, expectObservable, flush }) => {
    let asked = 0
    const seen: number[] = []
    const source = observe(() => {
      asked++
      return cold('-(A|)', pages)
    })
    const subscription = source.subscribe(({ position }) => {
      seen.push(position)
      subscription.unsubscribe()
    })
    expectObservable(EMPTY).toBe('|')
    flush()
    assert.equal(seen, [1])
    assert.is(asked, 1)
  })
})

test('a second subscription starts from the beginning: retry() works', () => {
  marbles(({ cold, expectObservable }) => {
    const queue = [throwError(() => 'lost'), cold('--(A|)', pages), NEVER]
    expectObservable(observe(() => queue.shift()!).pipe(retry(1))).toBe('--(ab)', events)
  })
})

test.run()
