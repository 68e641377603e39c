import { Condition } from '../core/condition.ts'
import { streamKey } from '../events/event.ts'
import type { InternalDelivery } from './delivery.ts'
import { invoke } from './invoke.ts'
import { Streams } from './streams.ts'
import type { Handling, Start } from './worker.ts'
import { BaseWorker } from './worker.ts'

/** Runs a handler on each delivery and acks it: several streams at once, the events of one stream in order. */
export class HandlerWorker extends BaseWorker {
  readonly #streams: Streams<InternalDelivery>
  readonly #arrived = new Condition()

  constructor(start: Start, handling: Handling) {
    super(handling)
    this.#streams = new Streams(handling.concurrency, ({ event }) => streamKey(event))
    this.launch(start)
    this.#run().catch((error) => this.fail(error))
  }

  deliver(delivery: InternalDelivery): void {
    this.watch(delivery.source.partition)
    this.#streams.push(delivery)
    this.#arrived.fire()
  }

  protected override wake(): void {
    this.#arrived.fire()
  }

  async #run(): Promise<void> {
    // After a stop it continues to the end, because a drain also waits for deliveries that have not begun.
    while (!this.ended) {
      const arrived = this.#arrived.next()
      if (this.outage.failing) this.#nackLeaving()
      for (let delivery = this.#next(); delivery; delivery = this.#next()) {
        const handled = this.#handle(delivery)
        if (handled) this.#finish(handled, delivery)
        else this.#done(delivery)
      }
      await arrived
    }
  }

  async #finish(handled: Promise<void>, delivery: InternalDelivery): Promise<void> {
    this.running.add(delivery)
    await handled.catch((error) => this.fail(error))
    this.running.delete(delivery)
    this.#done(delivery)
    this.#arrived.fire()
  }

  #done(delivery: InternalDelivery): void {
    this.outage.settled(delivery)
    this.#streams.done(delivery)
  }

  /** The next delivery to handle. During an outage it returns one at a time; when the worker stops, all of them. */
  #next(): InternalDelivery | undefined {
    return this.outage.mayBegin || this.stopping ? this.#streams.next() : undefined
  }

  /** Nacks waiting deliveries of partitions that are handed over, so that the hand-over does not wait for the end of an outage. */
  #nackLeaving(): void {
    for (const delivery of this.#streams.clear()) {
      if (delivery.signal.aborted) delivery.nack()
      else this.#streams.push(delivery)
    }
  }

  /** Handle a delivery. Returns a promise only if there is something to wait for. */
  #handle(delivery: InternalDelivery): undefined | Promise<void> {
    if (this.failed || this.givenUp.aborted) return void delivery.nack() // the drain waits for it
    if (!delivery.lease.valid)
      return delivery.lease.stillOwned().then((owned) => (owned ? this.#handle(delivery) : delivery.nack()))
    if (!delivery.begin()) return
    this.outage.begin(delivery)
    try {
      const result = invoke(this.handling.handler, delivery, this.handling)
      if (!result) {
        this.#handled(delivery)
        return
      }
      return result.then(
        () => this.#handled(delivery),
        (error) => this.handlerFailed(delivery, error),
      )
    } catch (error) {
      return this.handlerFailed(delivery, error)
    }
  }

  #handled(delivery: InternalDelivery): void {
    delivery.done()
    this.outage.succeeded()
  }
}
