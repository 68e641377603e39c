// @long
// handle: each stream in order; an event is acked once it is handled, and emitted once its ack is durable.
import type { Observable } from 'rxjs'
import { EMPTY, firstValueFrom, from, map, of, Subject, tap, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError } from '../src/core/errors.ts'
import type { RecordedEvent } from '../src/events/event.ts'
import type { Delivery } from '../src/subscriptions/delivery.ts'
import { handle } from '../src/subscriptions/handle.ts'
import { collect } from './support/collect.ts'
import type { FourFakes } from './support/fake-deliveries.ts'
import { ackedAfter, event, Fake, fake, fakes, marbles, nameOf, turn } from './support/fake-deliveries.ts'

test('events are handled one after the other, without waiting for acks in between', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold('ab-c|', {
      a: fake('a1', ackedAfter(6)),
      b: fake('b1', ackedAfter(6)),
      c: fake('a2', ackedAfter(6)),
    })
    const work = { a1: cold('--|'), b1: cold('---|'), a2: cold('-|') } as Record<string, any>
    const handled = source.pipe(
      handle((event) => work[nameOf(event)]),
      map(nameOf),
    )
    expectObservable(handled).toBe('--------a--b(c|)', { a: 'a1', b: 'b1', c: 'a2' })
    expectSubscriptions(work.a1.subscriptions).toBe('^-!')
    expectSubscriptions(work.b1.subscriptions).toBe('--^--!')
    expectSubscriptions(work.a2.subscriptions).toBe('-----^!')
  })
})

test('events are emitted in the order in which their acks become durable', () => {
  marbles(({ cold, expectObservable }) => {
    const source = cold('(abc)', {
      a: fake('a1', ackedAfter(5)),
      b: fake('b1', ackedAfter(2)),
      c: fake('c1', ackedAfter(5)),
    })
    const handled = source.pipe(
      handle(() => {}),
      map(nameOf),
    )
    expectObservable(handled, '---------!').toBe('--b--(ac)', { a: 'a1', b: 'b1', c: 'c1' })
  })
})

test('with concurrency, different streams run at the same time, and each stream one event at a time', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const [a, b, c, d] = ['a1', 'a2', 'b1', 'c1'].map((name) => fake(name, ackedAfter(0))) as FourFakes
    const work = { a1: cold('----|'), a2: cold('--|'), b1: cold('--|'), c1: cold('---|') } as Record<
      string,
      any
    >
    const handled = cold('(abcd|)', { a, b, c, d }).pipe(
      handle((event) => work[nameOf(event)], { concurrency: 2 }),
      map(nameOf),
    )
    expectObservable(handled).toBe('--c-ad(b|)', { a: 'a1', b: 'a2', c: 'b1', d: 'c1' })
    expectSubscriptions(work.a1.subscriptions).toBe('^---!')
    expectSubscriptions(work.b1.subscriptions).toBe('^-!')
    expectSubscriptions(work.c1.subscriptions).toBe('--^--!')
    expectSubscriptions(work.a2.subscriptions).toBe('----^-!')
  })
})

test('it completes after the source, once all events are handled and acked; at once if there are none', () => {
  marbles(({ cold, expectObservable }) => {
    expectObservable(cold<Fake>('--|').pipe(handle(() => {}))).toBe('--|')
    const source = cold('ab|', { a: fake('a1', ackedAfter(9)), b: fake('a2', ackedAfter(1)) })
    const handled = source.pipe(
      handle(() => {}),
      map(nameOf),
    )
    expectObservable(handled).toBe('--b------(a|)', { a: 'a1', b: 'a2' })
  })
})

test('the handler gets the event, its attempt and a signal, and may be async', async () => {
  const seen: [string, number, boolean][] = []
  const delivery = new Fake(event('a1'), undefined, 3)
  const handled = of(delivery).pipe(
    handle(async (event, { attempt, signal }) => {
      await turn()
      seen.push([nameOf(event), attempt, signal.aborted])
    }),
  )
  assert.equal(await collect(handled).ended(), [delivery.event])
  assert.equal(seen, [['a1', 3, false]])
  assert.is(delivery.acks, 1)
})

test('200,000 events at once do not overflow the stack, with handlers of any kind', async () => {
  const kinds: (() => unknown)[] = [() => {}, () => EMPTY, async () => {}]
  for (const concurrency of [1, 4])
    for (const kind of kinds) {
      const deliveries = Array.from({ length: 200_000 }, (_, i) => fake(`${'abcdef'[i % 6]}${i}`))
      let seen = 0
      const handled = from(deliveries).pipe(
        handle(kind, { concurrency }),
        tap(() => seen++),
      )
      await new Promise<void>((complete, error) => handled.subscribe({ complete, error }))
      assert.is(seen, deliveries.length)
    }
})

test('if a handler makes the source emit, the new event is handled after the handler has returned', async () => {
  const source = new Subject<Fake>()
  const log: string[] = []
  const handled = collect(
    source.pipe(
      handle(
        (event) => {
          log.push(`begin ${nameOf(event)}`)
          if (event.version < 3) source.next(fake(`${'abc'[event.version]}${event.version + 1}`))
          else source.complete()
          log.push(`end ${nameOf(event)}`)
        },
        { concurrency: 2 },
      ),
      map(nameOf),
    ),
  )
  source.next(fake('a1'))
  assert.equal(await handled.ended(), ['a1', 'b2', 'c3'])
  assert.equal(log, ['begin a1', 'end a1', 'begin b2', 'end b2', 'begin c3', 'end c3'])
})

test('events without category and stream id are handled as one stream', async () => {
  const plain = ['x', 'y', null, 4].map((value) => new Fake<string | number | null>(value))
  let running = 0
  const handled = from(plain).pipe(
    handle(
      async () => {
        assert.is(++running, 1)
        await turn()
        running--
      },
      { concurrency: 4 },
    ),
  )
  assert.equal(await collect(handled).ended(), ['x', 'y', null, 4])
})

test('equal stream ids of different categories are different streams', async () => {
  const one = ['order', 'invoice'].map((category) => new Fake({ category, streamId: '1', version: 0 }))
  let running = 0
  let most = 0
  const handled = from(one).pipe(
    handle(
      async () => {
        most = Math.max(most, ++running)
        await turn()
        running--
      },
      { concurrency: 2 },
    ),
  )
  await collect(handled).ended()
  assert.is(most, 2)
})

test('each subscriber runs the handler on its own', async () => {
  const deliveries = fakes('a1 a2')
  const handled = from(deliveries).pipe(
    handle(() => turn()),
    toArray(),
  )
  const both = await Promise.all([firstValueFrom(handled), firstValueFrom(handled)])
  assert.equal(both[0], both[1])
  assert.equal(
    deliveries.map(({ acks }) => acks),
    [2, 2],
  )
})

test('invalid options are refused at the call', () => {
  const refused = (call: () => unknown, message: RegExp) => {
    assert.throws(call, (error: unknown) => error instanceof ValidationError && message.test(error.message))
  }
  const work = () => {}
  refused(() => handle(undefined as any), /^fn must be a function, got undefined$/)
  refused(() => handle(work, { concurrency: 0 }), /^options\.concurrency must be at least 1, got 0$/)
  refused(() => handle(work, { concurrency: 1.5 }), /^options\.concurrency must be an integer, got 1\.5$/)
  refused(() => handle(work, { concurency: 2 } as any), /^options\.concurency is not an option, got 2$/)
})

test('the type of the event is kept', () => {
  const recorded = (deliveries: Observable<Delivery>): Observable<RecordedEvent> =>
    deliveries.pipe(handle((event) => event.position.toFixed()))
  const narrowed = (
    deliveries: Observable<Delivery<{ type: 'A'; data: { n: number } }>>,
  ): Observable<number> =>
    deliveries.pipe(
      handle(async (event, { attempt, signal }) => {
        if (attempt > 1 && !signal.aborted) event.data.n.toFixed()
      }),
      map((event) => event.data.n),
    )
  assert.type(recorded, 'function')
  assert.type(narrowed, 'function')
})

test.run()
