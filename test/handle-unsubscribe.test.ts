// handle: unsubscribing cancels running handlers; events that are already handled are still acked, and nothing more is emitted.
import { concat, firstValueFrom, of, Subject } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { handle } from '../src/subscriptions/handle.ts'
import { collect } from './support/collect.ts'
import type { Fake } from './support/fake-deliveries.ts'
import { ackedAfter, fake, fakes, lost, marbles, nameOf, turn } from './support/fake-deliveries.ts'

test('unsubscribing cancels the running handlers and unsubscribes from the source', () => {
  marbles(({ cold, expectObservable, expectSubscriptions, flush }) => {
    const [a, b] = [fake('a1', ackedAfter(5)), fake('a2')]
    const source = cold('ab', { a, b })
    const work = { a1: cold('-|'), a2: cold('------|') } as Record<string, any>
    expectObservable(source.pipe(handle((event) => work[nameOf(event)])), '---!').toBe('-')
    expectSubscriptions(source.subscriptions).toBe('^--!')
    expectSubscriptions(work.a2.subscriptions).toBe('-^-!')
    flush()
    assert.equal([a.acks, b.acks], [1, 0])
  })
})

test('the signal aborts; a handler that still succeeds is acked, and nothing is emitted', async () => {
  const [a1, b1, a2] = fakes('a1 b1 a2') as [Fake, Fake, Fake]
  const goOn = new Subject<void>()
  const signals: AbortSignal[] = []
  const handled = collect(
    concat(of(a1, b1, a2), new Subject<Fake>()).pipe(
      handle(
        async (event, { signal }) => {
          signals.push(signal)
          await firstValueFrom(goOn)
          if (nameOf(event) === 'b1') signal.throwIfAborted() // the error is neither emitted nor an unhandled rejection
        },
        { concurrency: 2 },
      ),
    ),
  )
  assert.equal(
    signals.map(({ aborted }) => aborted),
    [false, false],
  )
  handled.subscription.unsubscribe()
  assert.ok(signals.every(({ aborted }) => aborted))
  goOn.next()
  await turn()
  assert.equal([a1.acks, b1.acks, a2.acks], [1, 0, 0])
  assert.is(signals.length, 2, 'a2 did not begin')
  assert.equal([handled.all, handled.completed, handled.error], [[], false, undefined])
})

test('an ack that fails after the end is not an error', async () => {
  const failing = () => turn().then(() => Promise.reject(new Error('disk full')))
  const deliveries = [fake('a1', failing), fake('a2', () => turn().then(lost))]
  const handled = collect(concat(deliveries, new Subject<Fake>()).pipe(handle(() => {})))
  assert.ok(deliveries.every(({ acks }) => acks === 1))
  handled.subscription.unsubscribe()
  await turn()
  await turn()
  assert.is(handled.error, undefined)
})

test.run()
