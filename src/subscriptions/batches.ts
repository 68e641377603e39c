import type pg from 'pg'
import type { InternalDelivery } from './delivery.ts'
import type { BatchHandler } from './invoke.ts'
import { invokeBatch } from './invoke.ts'
import { SerialWorker } from './serial-worker.ts'
import { TransactionWorker } from './transaction.ts'
import { HandlerFailed } from './transaction-errors.ts'
import type { Handling, Start } from './worker.ts'

/**
 * Calls a handler with a batch of events of one partition, and acks them together. A batch that fails is split in halves, in
 * order, until the event that fails is alone:
 *
 *     1 2 3 4 fails -> 1 2 is handled, 3 4 fails -> 3 fails alone: its stream waits for its next attempt, or is parked -> 4
 *
 * Only a failure of one event alone is an attempt.
 */
export class BatchWorker extends SerialWorker<BatchHandler> {
  constructor(start: Start, handling: Handling<BatchHandler>) {
    super(handling)
    this.launch(start)
  }

  protected override together(first: InternalDelivery, next: InternalDelivery): boolean {
    return super.together(first, next) && mayShare(first, next)
  }

  protected override async handle(batch: readonly InternalDelivery[]): Promise<InternalDelivery[]> {
    const begun = batch.filter((delivery) => delivery.begin())
    const [first] = begun
    if (!first) return []
    for (const delivery of begun) this.running.add(delivery)
    try {
      await invokeBatch(this.handling.handler, begun, this.handling)
    } catch (error) {
      if (first.signal.aborted) for (const delivery of begun) delivery.nack({ error })
      else if (begun.length === 1) await this.handlerFailed(first, error)
      else
        return halves(
          begun,
          (half) => this.handle(half),
          () => this.mustPause(first),
        )
      return []
    } finally {
      for (const delivery of begun) this.running.delete(delivery)
    }
    for (const delivery of begun) delivery.done()
    this.outage.succeeded()
    return []
  }
}

/** The same in transactions, with the checkpoint; so that what the handler writes with its client happens exactly once. */
export class TransactionalBatchWorker extends TransactionWorker<BatchHandler> {
  protected override together(first: InternalDelivery, next: InternalDelivery): boolean {
    return super.together(first, next) && mayShare(first, next)
  }

  protected override run(batch: readonly InternalDelivery[], client: pg.ClientBase): Promise<void> {
    const { handler } = this.handling
    return this.lend(client, batch, (lent) => invokeBatch(handler, batch, this.handling, lent))
  }

  protected override async handleBatch(batch: readonly InternalDelivery[]): Promise<InternalDelivery[]> {
    const begun = batch.filter((delivery) => delivery.begin())
    const [first] = begun
    if (!first || begun.length === 1) return super.handleBatch(begun)
    try {
      await this.withoutSavepoints(begun)
      return []
    } catch (error) {
      if (!(error instanceof HandlerFailed) || first.signal.aborted) throw error
      return halves(
        begun,
        (half) => this.handleBatch(half),
        () => this.mustPause(first),
      )
    }
  }
}

/** Whether two deliveries may be in one batch. One that failed is tried again alone, or innocent events would fail with it. */
function mayShare(first: InternalDelivery, next: InternalDelivery): boolean {
  return first.attempt === 1 && next.attempt === 1
}

/** Handles the halves of a batch that failed. Returns what is left of them when the worker must pause. */
async function halves(
  batch: readonly InternalDelivery[],
  handle: (half: readonly InternalDelivery[]) => Promise<InternalDelivery[]>,
  mustPause: () => boolean,
): Promise<InternalDelivery[]> {
  const middle = Math.ceil(batch.length / 2)
  const left: InternalDelivery[] = []
  for (const half of [batch.slice(0, middle), batch.slice(middle)])
    left.push(...(left.length > 0 || mustPause() ? half : await handle(half)))
  return left
}
