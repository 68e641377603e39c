import { Condition } from '../core/condition.ts'
import { Queue } from '../core/queue.ts'
import type { DeliveryOwner, InternalDelivery } from './delivery.ts'
import { BaseWorker } from './worker.ts'

/** Handles the deliveries of each partition in batches, in order, one batch at a time. */
export abstract class SerialWorker<H> extends BaseWorker<H> {
  readonly #queues = new Map<DeliveryOwner, Queue<InternalDelivery>>()
  readonly #woken = new Condition()
  /** Which partitions want to begin a batch. In an outage they take turns, or one whose event fails again and again would keep the others waiting. */
  readonly #turns = new Set<DeliveryOwner>()

  /** Handle a batch. Returns what is left of it, after a failure. */
  protected abstract handle(batch: InternalDelivery[]): Promise<InternalDelivery[]>

  /** `handle` has thrown, and the partition is not lost. */
  protected batchFailed(partition: DeliveryOwner, batch: readonly InternalDelivery[], error: unknown): void {
    if (!partition.lease.signal.aborted) this.fail(error)
    for (const delivery of batch) delivery.nack({ error })
  }

  deliver(delivery: InternalDelivery): void {
    const { partition } = delivery.source
    this.watch(partition)
    const running = this.#queues.get(partition)
    const queue = running ?? new Queue()
    queue.push(delivery)
    if (running) {
      if (queue.length === this.handling.fullSize) this.#woken.fire()
      return
    }
    this.#queues.set(partition, queue)
    this.#run(partition, queue).catch((error) => this.fail(error))
  }

  protected override wake(): void {
    this.#woken.fire()
  }

  async #run(partition: DeliveryOwner, queue: Queue<InternalDelivery>): Promise<void> {
    await Promise.resolve() // so that the batch gets everything that is delivered now
    for (;;) {
      await this.#filled(partition, queue)
      // Nacks deliveries that have not begun, because a drain waits for them.
      if (this.stopping) for (const delivery of queue.clear()) delivery.nack()
      const batch = this.#take(queue)
      if (batch.length === 0) return void this.#queues.delete(partition)
      try {
        let left = batch
        while (left.length > 0 && (await partition.lease.stillOwned()) && !this.stopping)
          left = await this.#inTurn(left, partition)
        for (const delivery of left) delivery.nack() // a drain waits for them
      } catch (error) {
        if (!partition.lease.lost) this.batchFailed(partition, batch, error) // else all waiting deliveries are stale
      }
    }
  }

  /** Waits until a whole batch is there, at most `maxWaitMs`. A delivery that is tried again is alone, so it does not wait. */
  async #filled({ lease }: DeliveryOwner, queue: Queue<InternalDelivery>): Promise<void> {
    const { fullSize, maxWaitMs, clock } = this.handling
    if (maxWaitMs === 0 || !queue.first || queue.first.attempt > 1) return
    let isOver = false
    const cancel = clock.after(maxWaitMs, () => {
      isOver = true
      this.#woken.fire()
    })
    while (queue.length < fullSize && !isOver && !this.stopping && !lease.signal.aborted)
      await this.#woken.next()
    cancel()
  }

  /** Take the next deliveries, at most `batchSize`, all from the partition or all from its replay. */
  #take(queue: Queue<InternalDelivery>): InternalDelivery[] {
    const batch: InternalDelivery[] = []
    while (queue.first && batch.length < this.handling.batchSize) {
      if (batch[0] && !this.together(batch[0], queue.first)) break
      const delivery = queue.shift()!
      if (!delivery.stale) batch.push(delivery)
    }
    return batch
  }

  /** Whether a batch that begins with `first` may contain `next`. */
  protected together(first: InternalDelivery, next: InternalDelivery): boolean {
    return first.source === next.source
  }

  /** Whether the rest of a batch that failed must wait: the worker stops, an outage begins, or the lease may have expired. */
  protected mustPause({ lease }: InternalDelivery): boolean {
    return this.stopping || this.outage.failing || lease.signal.aborted || !lease.valid
  }

  #mayBegin(partition: DeliveryOwner): boolean {
    const isNext = () => this.#turns.values().next().value === partition
    return this.outage.mayBegin && (!this.outage.failing || isNext())
  }

  /** Handle the batch; during an outage only its first event, when it may begin. Returns what is left of the batch. */
  async #inTurn(batch: InternalDelivery[], partition: DeliveryOwner): Promise<InternalDelivery[]> {
    const [first] = batch as [InternalDelivery]
    this.#turns.add(partition)
    while (!this.#mayBegin(partition) && !this.stopping && !partition.lease.signal.aborted)
      await this.#woken.next()
    this.#turns.delete(partition)
    const [now, later] = this.outage.failing ? [[first], batch.slice(1)] : [batch, []]
    this.outage.begin(first)
    try {
      return [...(await this.handle(now)), ...later]
    } finally {
      this.outage.settled(first)
    }
  }
}
