// handle, with random handlers, acks and failures: in order, never more than `concurrency` at once, and each event is emitted.
import type { Observable } from 'rxjs'
import { concat, defer, finalize, map, NEVER, retry, tap, timer } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LeaseLostError } from '../src/subscriptions/errors.ts'
import { handle } from '../src/subscriptions/handle.ts'
import type { FakeEvent } from './support/fake-deliveries.ts'
import { ackedAfter, event, Fake, fake, marbles } from './support/fake-deliveries.ts'
import type { Random } from './support/random.ts'
import { random } from './support/random.ts'

test('random work, 300 seeds: in order, bounded, each event is handled once and emitted once', () => {
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
  const handled: FakeEvent[] = []
  const lost = new Set<FakeEvent>()
  const deliveries = Array.from({ length: random.int(0, 40) }, (_, i) => {
    const losing = random.chance(0.1) ? new LeaseLostError('test', 0) : undefined
    const delivery = fake(`${random.pick([...'abcde'])}${i}`, ackedAfter(random.int(0, 9), losing))
    if (losing) lost.add(delivery.event)
    return delivery
  })
  const work = (event: FakeEvent) => {
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
  const emitted: FakeEvent[] = []
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

test('random failures and retry(), 300 seeds: each event is handled in order, at least once, and emitted', () => {
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
})

/** A log with a checkpoint for each partition: acks settle once it covers them, or when another session begins. */
class Log {
  readonly events: { event: FakeEvent; partition: number }[]
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
  const handled: FakeEvent[] = []
  const work = (event: FakeEvent) => {
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
  const emitted = new Set<FakeEvent>()
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

test.run()
