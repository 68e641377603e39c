// @long
// handle: each stream in order, acked once it is handled, emitted once the ack is durable; a failure is an error.
import {
  concat,
  defer,
  EMPTY,
  finalize,
  firstValueFrom,
  from,
  map,
  NEVER,
  Observable,
  of,
  retry,
  Subject,
  tap,
  throwError,
  timer,
  toArray,
} from 'rxjs'
import { TestScheduler } from 'rxjs/testing'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError } from '../src/core/errors.ts'
import type { RecordedEvent } from '../src/events/event.ts'
import type { Delivery } from '../src/subscriptions/delivery.ts'
import { LeaseLostError } from '../src/subscriptions/errors.ts'
import { handle } from '../src/subscriptions/handle.ts'
import { collect } from './support/collect.ts'
import type { Random } from './support/random.ts'
import { random } from './support/random.ts'

interface Event {
  category: string
  streamId: string
  version: number
}

/** A delivery that no store is behind. `a1` is the first event of stream `a`. */
class Fake<E = Event> implements Delivery<E> {
  readonly partition: number
  readonly event: E
  readonly attempt: number
  readonly #ack: () => PromiseLike<void>
  acks = 0
  stale = false

  constructor(event: E, ack: () => PromiseLike<void> = () => Promise.resolve(), attempt = 1, partition = 0) {
    this.event = event
    this.partition = partition
    this.attempt = attempt
    this.#ack = ack
  }
  ack(): Promise<void> {
    this.acks++
    return this.#ack() as Promise<void>
  }
  nack(): void {}
  async park(): Promise<void> {}
}

const event = (name: string): Event => ({
  category: 'test',
  streamId: name[0]!,
  version: Number(name.slice(1)),
})
const nameOf = ({ streamId, version }: Event) => `${streamId}${version}`
const fake = (name: string, ack?: () => PromiseLike<void>) => new Fake(event(name), ack)
const fakes = (names: string) => names.split(' ').map((name) => fake(name))
type FourFakes = [Fake, Fake, Fake, Fake]
const NEVER_ACKED = new Promise<void>(() => {})
const lost = () => Promise.reject(new LeaseLostError('test', 0))
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** An ack in virtual time. */
const ackedAfter =
  (ms: number, error?: unknown): (() => PromiseLike<void>) =>
  () => ({
    // biome-ignore lint/suspicious/noThenProperty: a promise settles in real time alone
    then: (resolve: any, reject: any) =>
      timer(ms).subscribe(() => (error ? reject(error) : resolve())) as any,
  })

const marbles = (run: Parameters<TestScheduler['run']>[0]) =>
  new TestScheduler((actual, expected) => assert.equal(actual, expected)).run(run)

const time = suite('handle, in virtual time')

time('handles one after the other, and does not wait for acks in between', () => {
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

time('emits in the order in which acks become durable', () => {
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

time('with concurrency, different streams run at once, and one stream one at a time', () => {
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

time('a failure: what runs is cancelled, what waits never begins, what was acked before is emitted', () => {
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

time('a failure waits for no ack that it holds back itself', () => {
  marbles(({ cold, expectObservable }) => {
    const elsewhere = new Fake(event('c1'), ackedAfter(6), 1, 1)
    const values = { a: fake('a1', () => NEVER_ACKED), b: fake('b1', () => NEVER_ACKED), c: elsewhere }
    const work = (event: Event) => (event.streamId === 'a' ? cold('---#') : EMPTY)
    expectObservable(cold('(ab)', values).pipe(handle(work, { concurrency: 2 }))).toBe('---#')
    const handled = cold('(abc)', values).pipe(handle(work, { concurrency: 2 }))
    expectObservable(handled).toBe('------(c#)', { c: elsewhere.event }, undefined)
  })
})

time('an ack that fails after a failure is not the error', () => {
  marbles(({ cold, expectObservable }) => {
    const values = { a: fake('a1', ackedAfter(6, 'disk full')), b: fake('b1') }
    const work = (event: Event) => (event.streamId === 'b' ? cold('---#', {}, 'no stock') : EMPTY)
    expectObservable(cold('(ab)', values).pipe(handle(work))).toBe('------#', {}, 'no stock')
  })
})

time('a failure waits 5 s at most', () => {
  marbles(({ cold, expectObservable }) => {
    const values = { a: fake('a1', () => NEVER_ACKED), b: fake('b1') }
    const work = (event: Event) => (event.streamId === 'b' ? cold('---#') : EMPTY)
    expectObservable(cold('(ab)', values).pipe(handle(work))).toBe('5003ms #')
    const stubborn = (event: Event) => (event.streamId === 'b' ? cold('--#') : new Promise(() => {}))
    expectObservable(cold('(ab)', values).pipe(handle(stubborn, { concurrency: 2 }))).toBe('5002ms #')
  })
})

time('unsubscribing cancels what runs, and unsubscribes from the source', () => {
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

time('completes after the source, once all is handled and acked; at once where there is nothing', () => {
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

time('an error of the source is passed on at once', () => {
  marbles(({ cold, expectObservable }) => {
    const source = cold('a--#', { a: fake('a1', ackedAfter(5)) }, 'mismatch')
    expectObservable(source.pipe(handle(() => {}))).toBe('---#', {}, 'mismatch')
  })
})

time('an event that another executor has now is not emitted; other failures to ack are errors', () => {
  marbles(({ cold, expectObservable }) => {
    const values = {
      a: fake('a1', ackedAfter(2, new LeaseLostError('test', 0))),
      b: fake('a2', ackedAfter(2)),
      c: fake('a3', ackedAfter(2, 'disk full')),
    }
    const handling = handle<Event>(() => {})
    expectObservable(cold('a|', values).pipe(handling)).toBe('--|')
    expectObservable(cold('ab', values).pipe(handling), '-----!').toBe('---b', { b: values.b.event })
    expectObservable(cold('abc', values).pipe(handling)).toBe('---b#', { b: values.b.event }, 'disk full')
  })
})

time('random work, 300 seeds: in order, bounded, each handled once and emitted once', () => {
  const seeds = random(20_240_608)
  for (let run = 0; run < 300; run++) {
    const seed = seeds.int(0, 4_294_967_295)
    try {
      marbles((helpers) => anything(random(seed), helpers))
    } catch (error) {
      ;(error as Error).message = `SEED of the run ${seed}: ${(error as Error).message}`
      throw error
    }
  }
})

function anything(random: Random, { flush }: { flush(): void }): void {
  const concurrency = random.int(1, 4)
  const running = new Set<string>()
  const handled: Event[] = []
  const lost = new Set<Event>()
  const deliveries = Array.from({ length: random.int(0, 40) }, (_, i) => {
    const losing = random.chance(0.1) ? new LeaseLostError('test', 0) : undefined
    const delivery = fake(`${random.pick([...'abcde'])}${i}`, ackedAfter(random.int(0, 9), losing))
    if (losing) lost.add(delivery.event)
    return delivery
  })
  const work = (event: Event) => {
    assert.not.ok(running.has(event.streamId), 'one stream, one at a time')
    running.add(event.streamId)
    assert.ok(running.size <= concurrency, 'not too much at once')
    const end = () => {
      running.delete(event.streamId)
      handled.push(event)
    }
    if (random.chance(0.3)) return end()
    return timer(random.int(0, 9)).pipe(tap({ complete: end }))
  }
  const emitted: Event[] = []
  let completed = false
  const source = concat(...deliveries.map((one) => timer(random.int(0, 3)).pipe(map(() => one))))
  source
    .pipe(handle(work, { concurrency }))
    .subscribe({ next: (event) => emitted.push(event), complete: () => (completed = true) })
  flush()
  assert.ok(completed)
  assert.is(handled.length, deliveries.length)
  assert.ok(deliveries.every(({ acks }) => acks === 1))
  assert.is(emitted.length, deliveries.length - lost.size)
  assert.not.ok(emitted.some((event) => lost.has(event)))
  for (const stream of 'abcde') {
    const versions = handled.filter(({ streamId }) => streamId === stream).map(({ version }) => version)
    assert.equal(
      versions,
      versions.toSorted((a, b) => a - b),
    )
  }
}

time(
  'random failures and retry(), 300 seeds: each event is handled in order and emitted, at least once',
  () => {
    const seeds = random(20_240_609)
    for (let run = 0; run < 300; run++) {
      const seed = seeds.int(0, 4_294_967_295)
      try {
        marbles((helpers) => withFailures(random(seed), helpers))
      } catch (error) {
        ;(error as Error).message = `SEED of the run ${seed}: ${(error as Error).message}`
        throw error
      }
    }
  },
)

/** A log with a checkpoint for each partition: acks settle once it covers them, or when another session begins. */
class Log {
  readonly events: { event: Event; partition: number }[]
  readonly #random: Random
  #session = 0
  #acked = new Map<number, () => void>() // by index
  #durable = new Set<number>()

  constructor(random: Random) {
    this.#random = random
    this.events = Array.from({ length: random.int(1, 40) }, (_, i) => {
      const stream = random.pick([...'abcde'])
      return { event: event(`${stream}${i}`), partition: stream < 'c' ? 0 : 1 }
    })
  }

  deliveries(): Observable<Fake> {
    return defer(() => {
      const session = ++this.#session
      this.#acked.clear()
      const rest = this.events.flatMap(({ event, partition }, i) =>
        this.#durable.has(i) ? [] : [new Fake(event, () => this.#ack(session, i), 1, partition)],
      )
      return concat(...rest.map((one) => timer(this.#random.int(0, 2)).pipe(map(() => one))), NEVER)
    })
  }

  #ack(session: number, index: number): PromiseLike<void> {
    const then = (resolve: any, reject: any) => {
      if (session !== this.#session) return reject(new LeaseLostError('test', 0))
      this.#acked.set(index, resolve)
      timer(this.#random.int(0, 5)).subscribe(() => session === this.#session && this.#write())
    }
    return { then } as PromiseLike<void>
  }

  #write(): void {
    const stuck = new Set<number>()
    for (const [i, { partition }] of this.events.entries()) {
      if (this.#durable.has(i) || stuck.has(partition)) continue
      if (!this.#acked.has(i)) stuck.add(partition)
      else this.#durable.add(i)
      this.#acked.get(i)?.()
    }
  }
}

function withFailures(random: Random, { flush }: { flush(): void }): void {
  const log = new Log(random)
  const running = new Set<string>()
  const handled: Event[] = []
  const work = (event: Event) => {
    assert.not.ok(running.has(event.streamId), 'one stream, one at a time')
    running.add(event.streamId)
    const left = () => running.delete(event.streamId)
    const fails = random.chance(0.1)
    return timer(random.int(0, 4)).pipe(
      tap(() => {
        if (fails) throw new Error('no stock')
        handled.push(event)
      }),
      finalize(left),
    )
  }
  const emitted = new Set<Event>()
  log
    .deliveries()
    .pipe(handle(work, { concurrency: random.int(1, 4) }), retry({ delay: 1 }))
    .subscribe((event) => emitted.add(event))
  flush()
  assert.is(emitted.size, log.events.length, 'each is emitted')
  for (const stream of 'abcde') {
    const firsts = [...new Set(handled.filter(({ streamId }) => streamId === stream).map((e) => e.version))]
    assert.equal(
      firsts,
      firsts.toSorted((a, b) => a - b),
      'in order',
    )
  }
}

time.run()

const handling = suite('handle, with promises')

handling('the handler gets the event and its attempt, and may be async', async () => {
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

handling(
  'a handler that throws or rejects: its very error, no ack, and nothing begins after it',
  async () => {
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
  },
)

handling('retry() goes on at the checkpoint', async () => {
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

handling('unsubscribed: the signal aborts; what is handled still is acked, nothing is emitted', async () => {
  const [a1, b1, a2] = fakes('a1 b1 a2') as [Fake, Fake, Fake]
  const goOn = new Subject<void>()
  const signals: AbortSignal[] = []
  const handled = collect(
    concat(of(a1, b1, a2), new Subject<Fake>()).pipe(
      handle(
        async (event, { signal }) => {
          signals.push(signal)
          await firstValueFrom(goOn)
          if (nameOf(event) === 'b1') signal.throwIfAborted() // nobody hears of it, and it is never unhandled
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

handling('a failure aborts the signal, and lets what runs end: retry() never meets it', async () => {
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
  assert.equal(handled.all, ['a1'], 'what succeeds nevertheless is acked and emitted')
})

handling('what ends after a failure, and is held back by it, delays the error no longer', async () => {
  const deliveries = [fake('b1', () => NEVER_ACKED), fake('a1', () => NEVER_ACKED)]
  const work = async (event: Event) => {
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

handling('the error is the one that came first, not those of handlers that gave up because of it', () => {
  const work = (event: Event, { signal }: { signal: AbortSignal }) =>
    event.streamId === 'b'
      ? throwError(() => 'no stock')
      : new Observable((subscriber) => signal.addEventListener('abort', () => subscriber.error('given up')))
  const errors: unknown[] = []
  from(fakes('a1 b1'))
    .pipe(handle(work, { concurrency: 2 }))
    .subscribe({ error: (error) => errors.push(error) })
  assert.equal(errors, ['no stock'])
})

handling('acks that fail after the end are nobody’s error', async () => {
  const failing = () => turn().then(() => Promise.reject(new Error('disk full')))
  const deliveries = [fake('a1', failing), fake('a2', () => turn().then(lost))]
  const handled = collect(concat(deliveries, new Subject<Fake>()).pipe(handle(() => {})))
  assert.ok(deliveries.every(({ acks }) => acks === 1))
  handled.subscription.unsubscribe()
  await turn()
  await turn()
  assert.is(handled.error, undefined)
})

handling('an ack that throws is an error, whether the handler is async or not', async () => {
  for (const work of [() => {}, async () => {}]) {
    const copied = { ...fake('a1') } as unknown as Fake // has no methods
    const error = await collect(of(copied).pipe(handle(work)))
      .ended()
      .catch((error) => error)
    assert.instance(error, TypeError)
  }
})

handling('an unhandled rejection is none of all this', async () => {
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
    goOn.next() // three fail at once, one is heard
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

handling('200,000 at once do not overflow the stack, with handlers of any kind', async () => {
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

handling('a source without end that emits at once ends with the first failure', async () => {
  let count = 0
  const endless = from(
    (function* () {
      for (;;) yield fake(`a${++count}`)
    })(),
  )
  const failing = handle(({ version }: Event) => {
    if (version === 10) throw new Error('ten')
  })
  const handled = collect(endless.pipe(failing))
  const error = await handled.ended().catch((error) => error)
  assert.is(error.message, 'ten')
  assert.is(handled.all.length, 9)
  assert.ok(count <= 11)
})

handling('a handler that makes the source emit is not run inside itself', async () => {
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

handling('events without category and stream are one stream', async () => {
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

handling('equal stream ids of different categories are different streams', async () => {
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

handling('each subscriber has a handling of its own', async () => {
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

handling('options that can’t be right are refused at the call', () => {
  const refused = (call: () => unknown, message: RegExp) => {
    assert.throws(call, (error: unknown) => error instanceof ValidationError && message.test(error.message))
  }
  const work = () => {}
  refused(() => handle(undefined as any), /^fn must be a function, got undefined$/)
  refused(() => handle(work, { concurrency: 0 }), /^options\.concurrency must be at least 1, got 0$/)
  refused(() => handle(work, { concurrency: 1.5 }), /^options\.concurrency must be an integer, got 1\.5$/)
  refused(() => handle(work, { concurency: 2 } as any), /^options\.concurency is not an option, got 2$/)
})

handling('the type of the event goes through', () => {
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

handling.run()
