import type pg from 'pg'
import { abortable, whenAborted } from '../core/abort.ts'
import { readable } from '../core/describe.ts'
import type { Semaphore } from '../core/semaphore.ts'
import type { Queries } from '../database/database.ts'
import { CommitFailed, isLost, isServerFailure, isTransient } from '../database/failures.ts'
import { forgetFailedQuery, lendClient } from '../database/lent-client.ts'
import { lostStatement } from '../database/lost-statements.ts'
import { sessionError } from '../database/session.ts'
import type { DeliveryOwner, InternalDelivery } from './delivery.ts'
import type { Handler } from './invoke.ts'
import { invoke } from './invoke.ts'
import { SerialWorker } from './serial-worker.ts'
import {
  CheckpointRefused,
  CommitUnknown,
  commitFailed,
  earlierFailure,
  HandlerFailed,
  throwHandlerFailed,
  throwIfSessionEnded,
  throwUnwritable,
} from './transaction-errors.ts'
import type { Handling, Start } from './worker.ts'

/** How many events of a transaction may have a savepoint each: with more than 64 subtransactions the whole server gets slow. */
const MAX_SAVEPOINTS = 64

/** Checks deferred constraints now. The rollback after it defers them again for the next handlers. */
const CHECK = 'savepoint deferred; set constraints all immediate'
const CHECKED = 'rollback to deferred; release savepoint meowmx'

/**
 * Handles events in transactions that also write the checkpoint, as their last statement and with the epoch of the lease. So
 * what a handler writes with its client happens exactly once.
 *
 *     batch -> without savepoints -> committed
 *                   | an event fails: roll back
 *                   v
 *              with savepoints: the events before the failed one, and the parked stream of the failed one -> committed
 *
 * The second time, the handler that failed is not called again: its event counts as failed. Its stream is parked in the same
 * transaction, for good or until its next attempt, so that the checkpoint moves on and other streams continue.
 *
 * Each call of a handler is an attempt, even if its transaction is rolled back. To avoid needless calls, a batch uses
 * savepoints at once if `maxAttempts` is 1. If an event may have ended the session, the events before it are committed
 * before its handler is called again.
 */
export abstract class TransactionWorker<H> extends SerialWorker<H> {
  readonly #db: Queries
  readonly #leaseMs: number
  readonly #slots: Semaphore
  readonly #cancelled: Promise<void>[] = [] // transactions that stop() gave up

  /** `slots` limits how many connections such transactions use at once. */
  constructor(start: Start, handling: Handling<H>, db: Queries, leaseMs: number, slots: Semaphore) {
    super(handling)
    this.#slots = slots
    this.#db = db
    this.#leaseMs = leaseMs
    this.launch(start)
  }

  protected override async released(): Promise<void> {
    await Promise.all(this.#cancelled)
  }

  protected override async handle(batch: InternalDelivery[]): Promise<InternalDelivery[]> {
    return this.#slots.use(() => this.handleBatch(batch))
  }

  protected override batchFailed(
    partition: DeliveryOwner,
    batch: readonly InternalDelivery[],
    failed: unknown,
  ): void {
    const error = failed instanceof CommitUnknown ? failed.cause : failed
    const isRefused = error instanceof CheckpointRefused
    const isUnknown = isTransient(error) && !partition.lease.signal.aborted
    // If it is unknown what was committed, claim the partition again and continue at its checkpoint.
    if (isRefused || isUnknown) partition.lose(isRefused ? undefined : error)
    else super.batchFailed(partition, batch, error)
  }

  /** Returns what is left of the batch, after a failure. */
  protected async handleBatch(batch: readonly InternalDelivery[]): Promise<InternalDelivery[]> {
    const begun = batch.filter((delivery) => delivery.begin())
    const [first] = begun
    if (!first) return []
    const { maxAttempts } = this.handling.retry
    let count = Math.min(begun.length, MAX_SAVEPOINTS)
    if (!first.called && maxAttempts > 1) {
      try {
        await this.withoutSavepoints(begun)
        return []
      } catch (error) {
        if (!(error instanceof HandlerFailed) || first.signal.aborted) throw error
        const suspect = error.delivery ?? (begun.length === 1 ? first : undefined)
        if (suspect && (!error.isUncertain || suspect.attempt >= maxAttempts))
          suspect.failure = { error: error.cause }
        else if (suspect && suspect !== first) count = Math.min(count, begun.indexOf(suspect))
      }
    }
    return begun.slice(await this.#withSavepoints(begun.slice(0, count)))
  }

  protected async withoutSavepoints(batch: readonly InternalDelivery[]): Promise<void> {
    const last = batch.at(-1)!
    await this.#transaction(async (client) => {
      await this.run(batch, client)
      await this.#write(client, last).catch(throwIfSessionEnded)
    }).catch((error) => {
      throw error instanceof CommitFailed ? commitFailed(error.cause) : error
    })
    last.source.checkpointCommitted(batch.map(({ entry }) => entry))
    this.outage.succeeded()
  }

  /** Returns how many deliveries of the batch are finished. */
  async #withSavepoints(batch: readonly InternalDelivery[]): Promise<number> {
    const { source } = batch[0]!
    let handled = 0
    let failure: { delivery: InternalDelivery; error: unknown; delayMs: number | null } | undefined
    const handle = async (client: pg.ClientBase) => {
      handled = 0 // this may run again, if the connection had lost its prepared statements
      failure = undefined
      for (const delivery of batch) {
        await client.query('savepoint meowmx')
        try {
          await this.run([delivery], client)
          // A query of the handler may have failed although the handler did not throw.
          await client.query(CHECK).catch((error) => throwHandlerFailed(client, error))
          // Check also that the checkpoint can still be written. It is undone at once, so that no other transaction waits for its row.
          await this.#write(client, delivery)
          await client.query(CHECKED)
          handled++
        } catch (failed) {
          if (!(failed instanceof HandlerFailed) || delivery.signal.aborted) throw failed
          if (lostStatement(client, failed) !== undefined) throw failed // not the handler's fault: everything runs again
          failure = { delivery, error: failed.cause, delayMs: this.#retry(delivery, failed.cause) }
          await client.query('rollback to savepoint meowmx')
          break
        }
      }
    }
    const write = async (client: pg.ClientBase) => {
      const parks = failure && (failure.delayMs !== null || this.handling.onExhausted === 'park')
      if (failure && parks) {
        const { delivery, error, delayMs } = failure
        if (!(await source.partition.writeParked(client, delivery.entry, error, delayMs !== null)))
          throw new CheckpointRefused()
        // The row of a replay already contains its progress.
        if (!source.isReplay && !(await source.writeCheckpoint(client, delivery.entry)))
          throw new CheckpointRefused()
      } else if (handled > 0) {
        await this.#write(client, batch[handled - 1]!)
      }
    }
    try {
      await this.#transaction(async (client) => {
        await handle(client)
        await write(client)
      })
    } catch (error) {
      if (error instanceof CommitFailed) {
        if (handled === 0 || isServerFailure(error.cause)) throw error.cause
        // The commit refused what some handler wrote. Run half of the batch again, until the handler is found.
        if (handled === 1) batch[0]!.failure = { error: error.cause }
        return this.#withSavepoints(batch.slice(0, Math.ceil(handled / 2)))
      }
      if (!failure || !isTransient(error)) throw error
      // The session ended while the handler used it: it was idle for longer than the lease, or the handler's query killed it.
      if (handled > 0) return this.#withSavepoints(batch.slice(0, handled))
      await this.#transaction(write)
    }
    if (handled > 0) {
      source.checkpointCommitted(batch.slice(0, handled).map(({ entry }) => entry))
      this.outage.succeeded()
    }
    if (!failure) return handled
    const { delivery, error, delayMs } = failure as {
      delivery: InternalDelivery
      error: unknown
      delayMs: number | null
    }
    if (delayMs === null && this.handling.onExhausted === 'stop') {
      this.fail(error, delivery) // the rest of the batch is nacked
      return handled
    }
    source.parkedCommitted(delivery.entry, delayMs)
    return handled + 1
  }

  /** The pause before the next attempt in ms; null: there is none. It is decided once, even if the transaction runs again. */
  #retry(delivery: InternalDelivery, error: unknown): number | null {
    delivery.failure ??= { error }
    if (!delivery.failure.retry) {
      delivery.failure.retry = this.retry(delivery, error)
      if (!delivery.failure.retry.counts) delivery.discount()
    }
    return delivery.failure.retry.delayMs
  }

  /** Run the handler on these deliveries, in the transaction of this client. */
  protected abstract run(batch: readonly InternalDelivery[], client: pg.ClientBase): Promise<void>

  /** One call of the handler: `call` gets a client that is of no use afterwards. `delivery` is to blame if it fails. */
  protected async lend(
    client: pg.ClientBase,
    batch: readonly InternalDelivery[],
    call: (client: pg.ClientBase) => undefined | Promise<unknown>,
  ): Promise<void> {
    const delivery = batch.length === 1 ? batch[0] : undefined
    if (delivery?.failure) throw new HandlerFailed(delivery.failure.error, delivery)
    delivery?.call()
    const lent = lendClient(client, delivery)
    for (const one of batch) this.running.add(one)
    try {
      const handled = call(lent.client)
      if (handled) await abortable(handled, this.givenUp)
    } catch (error) {
      this.givenUp.throwIfAborted()
      throw lent.foundAborted ? earlierFailure(client, error) : new HandlerFailed(readable(error), delivery)
    } finally {
      for (const one of batch) this.running.delete(one)
      lent.revoke()
    }
  }

  async #write(client: pg.ClientBase, { source, entry }: InternalDelivery): Promise<void> {
    const written = await source
      .writeCheckpoint(client, entry)
      .catch((error) => throwUnwritable(client, error))
    if (!written) throw new CheckpointRefused()
  }

  /** Roll back. If that fails, the connection is discarded, because its transaction may still be open. */
  async #rollback(client: pg.ClientBase): Promise<void> {
    try {
      await client.query('rollback')
    } catch (error) {
      this.#db.discard(client)
      throw error
    }
  }

  async #transaction(body: (client: pg.ClientBase) => Promise<void>): Promise<void> {
    let lostCommit: unknown
    const run = this.#db.withClient(async (client) => {
      forgetFailedQuery(client)
      // If this process freezes, the next owner must not wait for its locks: the server ends the session after `leaseMs`.
      await client.query(`begin; set local idle_in_transaction_session_timeout = ${this.#leaseMs}`)
      const forget = whenAborted(this.givenUp, () => void this.#cancelled.push(this.#db.cut(client)))
      try {
        await body(client)
      } catch (error) {
        await this.#rollback(client).catch(() => {
          if (error instanceof HandlerFailed) error.isUncertain = true
        })
        throw error
      } finally {
        forget()
      }
      await client.query('commit').catch(async (failed) => {
        const error = await sessionError(client, failed)
        if (isLost(error)) {
          lostCommit = error
          throw error
        }
        await this.#rollback(client).catch(() => {})
        throw new CommitFailed(error)
      })
    })
    await run.catch((error) => {
      throw error === lostCommit ? new CommitUnknown(error) : error
    })
  }
}

/** Calls the handler for each event, several in one transaction. */
export class TransactionalWorker extends TransactionWorker<Handler> {
  protected override async run(batch: readonly InternalDelivery[], client: pg.ClientBase): Promise<void> {
    const { handler } = this.handling
    for (const delivery of batch)
      await this.lend(client, [delivery], (lent) => invoke(handler, delivery, this.handling, lent))
  }
}
