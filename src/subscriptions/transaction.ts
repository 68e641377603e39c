import type pg from 'pg'
import { aborted, whenAborted } from '../core/abort.ts'
import { Condition } from '../core/condition.ts'
import { readable } from '../core/describe.ts'
import { Queue } from '../core/queue.ts'
import type { Semaphore } from '../core/semaphore.ts'
import { lostStatement } from '../database/ask.ts'
import type { Queries } from '../database/database.ts'
import { CommitFailed, isLost, isOfServer, isTransient } from '../database/failures.ts'
import { forgetFailedQuery, lend } from '../database/lend.ts'
import { sessionError } from '../database/session.ts'
import type { DeliveryOwner, HandedOut } from './delivery.ts'
import { invoke } from './invoke.ts'
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
import { BaseWorker } from './worker.ts'

/** Events of one transaction with a savepoint each: more than 64 subtransactions in one slow everybody down. */
const MAX_SAVEPOINTS = 64

/** What was deferred must hold; but it is to be deferred still for those who follow. */
const CHECK = 'savepoint deferred; set constraints all immediate'
const CHECKED = 'rollback to deferred; release savepoint meowmx'

/**
 * Handles events in transactions that also carry the checkpoint, as their last statement and fenced by the epoch: what a
 * handler writes through its client happens exactly once. One transaction a partition at a time.
 *
 * A batch first runs as it is. When an event fails, the batch is rolled back, and what was called of it runs again with a
 * savepoint before each event, so that what went before the failing one stays; the handler that failed is not called again
 * for it. The stream of the failing event is set aside in the same transaction, to be tried again later or to be parked, so
 * the checkpoint moves on, and other streams with it.
 *
 * Each call of a handler is an attempt, whatever became of its transaction. So nobody is called more often than needed: with
 * `maxAttempts: 1` a batch has savepoints from the start, and what went before an event that may have ended the session is
 * committed before that one is called again.
 */
export class TransactionalWorker extends BaseWorker {
  readonly #db: Queries
  readonly #leaseMs: number
  readonly #slots: Semaphore
  readonly #queues = new Map<DeliveryOwner, Queue<HandedOut>>()
  readonly #cancelled: Promise<void>[] = [] // of transactions that were given up
  readonly #woken = new Condition()

  /** `slots`: of the connections of `db`, those that such transactions may keep. */
  constructor(start: Start, handling: Handling, db: Queries, leaseMs: number, slots: Semaphore) {
    super(handling)
    this.#slots = slots
    this.#db = db
    this.#leaseMs = leaseMs
    this.launch(start)
  }

  protected override async released(): Promise<void> {
    await Promise.all(this.#cancelled)
  }

  protected deliver(delivery: HandedOut): void {
    const { partition } = delivery.source
    this.watch(partition)
    const running = this.#queues.get(partition)
    const queue = running ?? new Queue()
    queue.push(delivery)
    if (running) return
    this.#queues.set(partition, queue)
    this.#run(partition, queue).catch((error) => this.fail(error))
  }

  protected override wake(): void {
    this.#woken.fire()
  }

  async #run(partition: DeliveryOwner, queue: Queue<HandedOut>): Promise<void> {
    await Promise.resolve() // what else is delivered now goes along
    for (;;) {
      // A drain waits for what it can't take back; so let go of it.
      if (this.stopping) for (const delivery of queue.clear()) delivery.nack()
      const batch = this.#take(queue)
      if (batch.length === 0) return void this.#queues.delete(partition)
      try {
        let left = batch
        while (left.length > 0 && (await partition.stillOwned()) && !this.stopping)
          left = await this.#inTurn(left, partition)
        for (const delivery of left) delivery.nack() // let go of them: a drain waits for that
      } catch (failed) {
        if (partition.lost) continue // and all that waits is stale
        const error = failed instanceof CommitUnknown ? failed.cause : failed
        if (!(error instanceof CheckpointRefused) && (partition.signal.aborted || !isTransient(error))) {
          if (!partition.signal.aborted) this.fail(error)
          for (const delivery of batch) delivery.nack({ error })
        } else {
          // Nobody knows what was committed: what the database has of us says where to go on.
          partition.lose(error instanceof CheckpointRefused ? undefined : error)
        }
      }
    }
  }

  /** The next of one source, the partition's or its replay's, at most `batchSize`. */
  #take(queue: Queue<HandedOut>): HandedOut[] {
    const batch: HandedOut[] = []
    while (queue.first && batch.length < this.handling.batchSize) {
      if (batch[0] && batch[0].source !== queue.first.source) break
      const delivery = queue.shift()!
      if (!delivery.stale) batch.push(delivery)
    }
    return batch
  }

  /** Handle the batch, or during an outage its first event, when it may begin. Returns what is left of it. */
  async #inTurn(batch: HandedOut[], partition: DeliveryOwner): Promise<HandedOut[]> {
    const [first] = batch as [HandedOut]
    while (!this.outage.mayBegin && !this.stopping && !partition.signal.aborted) await this.#woken.next()
    const [now, later] = this.outage.failing ? [[first], batch.slice(1)] : [batch, []]
    this.outage.begin(first)
    try {
      return [...(await this.#slots.use(() => this.#handle(now))), ...later]
    } finally {
      this.outage.settled(first)
    }
  }

  /** Returns what is left of the batch, after a failure. */
  async #handle(batch: HandedOut[]): Promise<HandedOut[]> {
    const begun = batch.filter((delivery) => delivery.begin())
    const [first] = begun
    if (!first) return []
    const { maxAttempts } = this.handling.retry
    let count = Math.min(begun.length, MAX_SAVEPOINTS)
    if (!first.called && maxAttempts > 1) {
      try {
        await this.#withoutSavepoints(begun)
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

  async #withoutSavepoints(batch: readonly HandedOut[]): Promise<void> {
    const last = batch.at(-1)!
    await this.#transaction(async (client) => {
      for (const delivery of batch) await this.#invoke(delivery, client)
      await this.#write(client, last).catch(throwIfSessionEnded)
    }).catch((error) => {
      throw error instanceof CommitFailed ? commitFailed(error.cause) : error
    })
    last.source.checkpointCommitted(batch.map(({ entry }) => entry))
    this.outage.succeeded()
  }

  /** Returns how many of the batch are dealt with. */
  async #withSavepoints(batch: readonly HandedOut[]): Promise<number> {
    const { source } = batch[0]!
    let handled = 0
    let failure: { delivery: HandedOut; error: unknown; delayMs: number | null } | undefined
    const handle = async (client: pg.ClientBase) => {
      handled = 0 // it may be run again, where the connection had lost its statements
      failure = undefined
      for (const delivery of batch) {
        await client.query('savepoint meowmx')
        try {
          await this.#invoke(delivery, client)
          // A query of the handler's may have failed, and it did not say so.
          await client.query(CHECK).catch((error) => throwHandlerFailed(client, error))
          // Nor must it be what keeps the checkpoint from being written; undone, for nobody is to wait for its row.
          await this.#write(client, delivery)
          await client.query(CHECKED)
          handled++
        } catch (failed) {
          if (!(failed instanceof HandlerFailed) || delivery.signal.aborted) throw failed
          if (lostStatement(client, failed) !== undefined) throw failed // no fault of the handler's: all is run again
          failure = { delivery, error: failed.cause, delayMs: this.#retry(delivery, failed.cause) }
          await client.query('rollback to savepoint meowmx')
          break
        }
      }
    }
    const write = async (client: pg.ClientBase) => {
      const aside = failure && (failure.delayMs !== null || this.handling.onExhausted === 'park')
      if (failure && aside) {
        const { delivery, error, delayMs } = failure
        if (!(await source.writeParked(client, delivery.entry, error, delayMs !== null)))
          throw new CheckpointRefused()
        // A replay's own row tells of it already.
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
        if (handled === 0 || isOfServer(error.cause)) throw error.cause
        // What some handler left was not refused until the commit: by halves it is found out whose it is.
        if (handled === 1) batch[0]!.failure = { error: error.cause }
        return this.#withSavepoints(batch.slice(0, Math.ceil(handled / 2)))
      }
      if (!failure || !isTransient(error)) throw error
      // The session ended while the handler had it: idle for longer than the lease, or killed by what it did.
      if (handled > 0) return this.#withSavepoints(batch.slice(0, handled))
      await this.#transaction(write)
    }
    if (handled > 0) {
      source.checkpointCommitted(batch.slice(0, handled).map(({ entry }) => entry))
      this.outage.succeeded()
    }
    if (!failure) return handled
    const { delivery, error, delayMs } = failure as {
      delivery: HandedOut
      error: unknown
      delayMs: number | null
    }
    if (delayMs === null && this.handling.onExhausted === 'stop') {
      this.fail(error, delivery) // and what is left is let go
      return handled
    }
    source.parkedCommitted(delivery.entry, delayMs)
    return handled + 1
  }

  /** The pause before the next attempt, null: there is none. It is decided once, however often the transaction runs. */
  #retry(delivery: HandedOut, error: unknown): number | null {
    delivery.failure ??= { error }
    if (!delivery.failure.retry) {
      delivery.failure.retry = this.retry(delivery, error)
      if (!delivery.failure.retry.counts) delivery.discount()
    }
    return delivery.failure.retry.delayMs
  }

  async #invoke(delivery: HandedOut, client: pg.ClientBase): Promise<void> {
    if (delivery.failure) throw new HandlerFailed(delivery.failure.error, delivery)
    delivery.call()
    const lent = lend(client, delivery)
    this.running.add(delivery)
    try {
      const handled = invoke(this.handling.handler, delivery, this.handling, lent.client)
      if (handled) await aborted(handled, this.givenUp)
    } catch (error) {
      this.givenUp.throwIfAborted()
      throw lent.foundAborted ? earlierFailure(client, error) : new HandlerFailed(readable(error), delivery)
    } finally {
      this.running.delete(delivery)
      lent.takeBack()
    }
  }

  async #write(client: pg.ClientBase, { source, entry }: HandedOut): Promise<void> {
    const written = await source
      .writeCheckpoint(client, entry)
      .catch((error) => throwUnwritable(client, error))
    if (!written) throw new CheckpointRefused()
  }

  /** If it fails, nobody else is to get the connection, and to find the transaction open. */
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
      // One that freezes here must not keep its successor waiting: the server ends it with its lease.
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
