// handle: if a handler or an ack fails, running handlers are cancelled, no other begins, and the first error ends the
// Observable.
import { defer, EMPTY, firstValueFrom, from, map, Observable, of, retry, Subject, throwError } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LeaseLostError } from '../src/subscriptions/errors.ts'
import { handle } from '../src/subscriptions/handle.ts'
import { collect } from './support/collect.ts'
import type { FakeEvent, FourFakes } from './support/fake-deliveries.ts'
import {
  ackedAfter,
  event,
  Fake,
  fake,
  fakes,
  lost,
  marbles,
  nameOf,
  neverAcked,
  turn,
} from './support/fake-deliveries.ts'

test('after a failure, running handlers are cancelled, waiting ones never begin, and events acked before are emitted', () => {
  marbles(({ cold, expectObservable, expectSubscriptions, flush }) => {
    const [a, b, c, d] = ['a1', 'b1', 'c1', 'd1'].map((name) => fake(name, ackedAfter(9))) as FourFakes
    const source = cold('(abcd)', { a, b, c, d })
    const work = { a1: cold('-|'), b1: cold('---#'), c1: cold('-----|'), d1: cold('-|') } as Record<
      string,
      any
    >
    const handled = source.pipe(handle((event) => work[nameOf(event)], { concurrency: 2 }))
    expectObservable(handled).toBe('----------(a#)', { a: a.event })
    expectSubscriptions(source.subscriptions).toBe('^---------!')
    expectSubscriptions(work.b1.subscriptions).toBe('^--!')
    expectSubscriptions(work.c1.subscriptions).toBe('-^-!')
    expectSubscriptions(work.d1.subscriptions).toBe([])
    flush()
    assert.equal(
      [a, b, c, d].map(({ acks }) => acks),
      [1, 0, 0, 0],
    )
  })
})

test('the error does not wait for acks that wait for the failed event', () => {
  marbles(({ cold, expectObservable }) => {
    const elsewhere = new Fake(event('c1'), ackedAfter(6), 1, 1)
    const values = { a: fake('a1', () => neverAcked), b: fake('b1', () => neverAcked), c: elsewhere }
    const work = (event: FakeEvent) => (event.streamId === 'a' ? cold('---#') : EMPTY)
    expectObservable(cold('(ab)', values).pipe(handle(work, { concurrency: 2 }))).toBe('---#')
    const handled = cold('(abc)', values).pipe(handle(work, { concurrency: 2 }))
    expectObservable(handled).toBe('------(c#)', { c: elsewhere.event }, undefined)
  })
})

test('an ack that fails after a handler has failed is not the error', () => {
  marbles(({ cold, expectObservable }) => {
    const values = { a: fake('a1', ackedAfter(6, 'disk full')), b: fake('b1') }
    const work = (event: FakeEvent) => (event.streamId === 'b' ? cold('---#', {}, 'no stock') : EMPTY)
    expectObservable(cold('(ab)', values).pipe(handle(work))).toBe('------#', {}, 'no stock')
  })
})

test('the error waits 5 s at most for acks and running handlers', () => {
  marbles(({ cold, expectObservable }) => {
    const values = { a: fake('a1', () => neverAcked), b: fake('b1') }
    const work = (event: FakeEvent) => (event.streamId === 'b' ? cold('---#') : EMPTY)
    expectObservable(cold('(ab)', values).pipe(handle(work))).toBe('5003ms #')
    const stubborn = (event: FakeEvent) => (event.streamId === 'b' ? cold('--#') : new Promise(() => {}))
    expectObservable(cold('(ab)', values).pipe(handle(stubborn, { concurrency: 2 }))).toBe('5002ms #')
  })
})

test('an error of the source is passed on at once', () => {
  marbles(({ cold, expectObservable }) => {
    const source = cold('a--#', { a: fake('a1', ackedAfter(5)) }, 'mismatch')
    expectObservable(source.pipe(handle(() => {}))).toBe('---#', {}, 'mismatch')
  })
})

test('an event whose lease is lost is not emitted; any other failed ack is an error', () => {
  marbles(({ cold, expectObservable }) => {
    const values = {
      a: fake('a1', ackedAfter(2, new LeaseLostError('test', 0))),
      b: fake('a2', ackedAfter(2)),
      c: fake('a3', ackedAfter(2, 'disk full')),
    }
    const handling = handle<FakeEvent>(() => {})
    expectObservable(cold('a|', values).pipe(handling)).toBe('--|')
    expectObservable(cold('ab', values).pipe(handling), '-----!').toBe('---b', { b: values.b.event })
    expectObservable(cold('abc', values).pipe(handling)).toBe('---b#', { b: values.b.event }, 'disk full')
  })
})

test('if a handler throws or rejects, exactly that error is emitted, its event is not acked, and no other handler begins', async () => {
  const error = new Error('no stock')
  const failing = [
    () => {
      throw error
    },
    () => Promise.reject(error),
  ]
  for (const fail of failing) {
    const deliveries = fakes('a1 a2 b1')
    const begun: string[] = []
    const handled = collect(
      from(deliveries).pipe(
        handle((event) => {
          begun.push(nameOf(event))
          if (event.version === 2) return fail()
        }),
      ),
    )
    assert.is(await handled.ended().catch((error) => error), error)
    assert.equal(begun, ['a1', 'a2'])
    assert.equal(
      deliveries.map(({ acks }) => acks),
      [1, 0, 0],
    )
  }
})

test('retry() continues at the checkpoint', async () => {
  const log = fakes('a1 b1 a2 b2 a3')
  let checkpoint = 0
  let attempt = 0
  const deliveries = defer(() => {
    attempt++
    return log.slice(checkpoint).map(
      ({ event }) =>
        new Fake(
          event,
          async () => {
            checkpoint = Math.max(checkpoint, log.findIndex((one) => one.event === event) + 1)
          },
          attempt,
        ),
    )
  })
  const runs: string[] = []
  const handled = deliveries.pipe(
    handle(async (event, { attempt }) => {
      runs.push(`${nameOf(event)}/${attempt}`)
      if (nameOf(event) === 'a2' && attempt < 3) throw new Error('not yet')
    }),
    retry({ delay: 1, count: 5 }),
    map(nameOf),
  )
  assert.equal(await collect(handled).ended(), ['a1', 'b1', 'a2', 'b2', 'a3'])
  assert.equal(runs, ['a1/1', 'b1/1', 'a2/1', 'a2/2', 'a2/3', 'b2/3', 'a3/3'])
})

test('a failure aborts the signal and waits for running handlers, so that retry() never overlaps with them', async () => {
  const goOn = new Subject<void>()
  let running: AbortSignal | undefined
  const handled = collect(
    from(fakes('a1 b1')).pipe(
      handle(
        async (event, { signal }) => {
          if (event.streamId === 'b') throw new Error('no stock')
          running = signal
          await firstValueFrom(goOn)
        },
        { concurrency: 2 },
      ),
      map(nameOf),
    ),
  )
  await turn()
  assert.is(running?.aborted, true)
  assert.is(handled.error, undefined)
  goOn.next()
  await turn()
  assert.is(handled.error.message, 'no stock')
  assert.equal(handled.all, ['a1'], 'an event whose handler still succeeds is acked and emitted')
})

test('a handler that ends after the failure, and whose ack the failed event holds back, does not delay the error', async () => {
  const deliveries = [fake('b1', () => neverAcked), fake('a1', () => neverAcked)]
  const work = async (event: FakeEvent) => {
    for (let turns = event.streamId === 'a' ? 3 : 1; turns > 0; turns--) await turn()
    if (event.streamId === 'b') throw new Error('no stock')
  }
  const handled = collect(from(deliveries).pipe(handle(work, { concurrency: 2 })))
  const error = await handled.ended(1_000).catch((error) => error)
  assert.is(error.message, 'no stock')
  assert.equal(
    deliveries.map(({ acks }) => acks),
    [0, 1],
  )
})

test('the error is the first one, not those of handlers that gave up because of it', () => {
  const work = (event: FakeEvent, { signal }: { signal: AbortSignal }) =>
    event.streamId === 'b'
      ? throwError(() => 'no stock')
      : new Observable((subscriber) => signal.addEventListener('abort', () => subscriber.error('given up')))
  const errors: unknown[] = []
  from(fakes('a1 b1'))
    .pipe(handle(work, { concurrency: 2 }))
    .subscribe({ error: (error) => errors.push(error) })
  assert.equal(errors, ['no stock'])
})

test('an ack that throws is an error, whether the handler is async or not', async () => {
  for (const work of [() => {}, async () => {}]) {
    const copied = { ...fake('a1') } as unknown as Fake // has no methods
    const error = await collect(of(copied).pipe(handle(work)))
      .ended()
      .catch((error) => error)
    assert.instance(error, TypeError)
  }
})

test('no failure is an unhandled rejection', async () => {
  const unhandled: unknown[] = []
  const listener = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', listener)
  try {
    const goOn = new Subject<void>()
    const work = async () => {
      await firstValueFrom(goOn)
      throw new Error('too late')
    }
    const handled = collect(from(fakes('a1 b1 c1')).pipe(handle(work, { concurrency: 3 })))
    goOn.next() // three fail at once, one is the error
    await turn()
    assert.is(handled.error.message, 'too late')
    const other = collect(of(fake('a1', lost)).pipe(handle(() => {})))
    other.subscription.unsubscribe()
    await turn()
    assert.equal(unhandled, [])
  } finally {
    process.off('unhandledRejection', listener)
  }
})

test('an endless source that emits synchronously ends with the first failure', async () => {
  let count = 0
  const endless = from(
    (function* () {
      for (;;) yield fake(`a${++count}`)
    })(),
  )
  const failing = handle(({ version }: FakeEvent) => {
    if (version === 10) throw new Error('ten')
  })
  const handled = collect(endless.pipe(failing))
  const error = await handled.ended().catch((error) => error)
  assert.is(error.message, 'ten')
  assert.is(handled.all.length, 9)
  assert.ok(count <= 11)
})

test.run()
