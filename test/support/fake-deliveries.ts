// Deliveries without a store, and acks in virtual time, for tests of the operator `handle`.
import { timer } from 'rxjs'
import { TestScheduler } from 'rxjs/testing'
import * as assert from 'uvu/assert'
import type { Delivery } from '../../src/subscriptions/delivery.ts'
import { LeaseLostError } from '../../src/subscriptions/errors.ts'

export interface FakeEvent {
  category: string
  streamId: string
  version: number
}

/** A delivery that has no store; it counts its acks. */
export class Fake<E = FakeEvent> implements Delivery<E> {
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

/** An event from its name: `a1` is event 1 of the stream `a`. */
export const event = (name: string): FakeEvent => ({
  category: 'test',
  streamId: name[0]!,
  version: Number(name.slice(1)),
})
export const nameOf = ({ streamId, version }: FakeEvent): string => `${streamId}${version}`
export const fake = (name: string, ack?: () => PromiseLike<void>): Fake => new Fake(event(name), ack)
export const fakes = (names: string): Fake[] => names.split(' ').map((name) => fake(name))
export type FourFakes = [Fake, Fake, Fake, Fake]
export const neverAcked = new Promise<void>(() => {})

/** An ack that fails because another executor has the lease. */
export const lost = (): Promise<never> => Promise.reject(new LeaseLostError('test', 0))

/** Waits for one turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** An ack that succeeds, or fails with `error`, after this virtual time. */
export const ackedAfter =
  (ms: number, error?: unknown): (() => PromiseLike<void>) =>
  () => ({
    // biome-ignore lint/suspicious/noThenProperty: a real promise settles in real time only
    then: (resolve: any, reject: any) =>
      timer(ms).subscribe(() => (error ? reject(error) : resolve())) as any,
  })

/** Runs a test in virtual time. */
export function marbles(run: Parameters<TestScheduler['run']>[0]): void {
  new TestScheduler((actual, expected) => assert.equal(actual, expected)).run(run)
}
