import type pg from 'pg'
import { lostStatement } from '../ask.ts'
import type { Queries } from '../database.ts'
import { readable } from '../describe.ts'
import { MeowError } from '../errors.ts'
import { isLost, isTransient } from '../failures.ts'
import { lend } from '../lend.ts'
import { aborted, whenAborted } from '../live/abort.ts'
import { Signal } from '../live/signal.ts'
import type { HandedOut } from './delivery.ts'
import { invoke } from './invoke.ts'
import type { Partition } from './partition.ts'
import { Queue } from './queue.ts'
import type { Slots } from './slots.ts'
import type { Handling, Start } from './worker.ts'
import { BaseWorker } from './worker.ts'

/** Events of one transaction with a savepoint each: more than 64 subtransactions in one slow everybody down. */
const CAREFUL = 64

/** What was deferred must hold; but it is to be deferred still for those who follow. */
const CHECK =
  'savepoint deferred; set constraints all immediate; rollback to deferred; release savepoint meowmx'

/** A handler threw `cause`, or left a transaction that can't be committed; `delivery` is undefined if it may be any of several. */
class HandlerFailed extends MeowError {
  readonly delivery: HandedOut | undefined
  /** The session ended meanwhile, which may be why. */
  sessionLost = false

  constructor(cause: unknown, delivery?: HandedOut) {
    super('ERR_HANDLER', 'a handler failed')
    this.cause = cause // as it is: it is handed on, not printed
    this.delivery = delivery
  }
}

/** The checkpoint was refused: another owns the partition. */
class Fenced extends MeowError {
  constructor() {
    super('ERR_FENCED', 'a checkpoint was refused')
  }
}

/**
 * Handles events in transactions that also carry the checkpoint, as their last statement and fenced by the epoch: what a
 * handler writes through its client happens exactly once. One transaction a partition at a time.
 *
 * A batch first runs as it is. When an event fails, the batch is rolled back and runs again with a savepoint before each
 * event, so that what went before the failing one stays; the handler that failed is not called again for it. The stream of
 * the failing event is set aside in the same transaction, to be tried again later or to be parked, so the checkpoint moves
 * on, and other streams with it.
 */
export class TransactionalWorker extends BaseWorker {
  readonly #db: Queries
  readonly #leaseMs: number
  readonly #slots: Slots
  readonly #queues = new Map<Partition, Queue<HandedOut>>()
  readonly #cuts: Promise<void>[] = [] // of transactions that were given up
  readonly #woken = new Signal()

  /** `slots`: of the connections of `db`, those that such transactions may keep. */
  constructor(start: Start, handling: Handling, db: Queries, leaseMs: number, slots: Slots) {
    super(handling)
    this.#slots = slots
    this.#db = db
    this.#leaseMs = leaseMs
    this.launch(start)
  }

  protected override async released(): Promise<void> {
    await Promise.all(this.#cuts)
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

  async #run(partition: Partition, queue: Queue<HandedOut>): Promise<void> {
    await Promise.resolve() // what else is delivered now goes along
    for (;;) {
      // A drain waits for what it can't take back; so let go of it.
      if (this.stopping) for (const delivery of queue.clear()) delivery.nack()
      const batch = this.#take(queue)
      if (batch.length === 0) return void this.#queues.delete(partition)
      try {
        let left = batch
        while (left.length > 0 && (await partition.ours()) && !this.stopping)
          left = await this.#inTurn(left, partition)
        for (const delivery of left) delivery.nack() // let go of them: a drain waits for that
      } catch (error) {
        if (partition.lost) continue // and all that waits is stale
        if (!(error instanceof Fenced) && (partition.signal.aborted || !isTransient(error))) {
          if (!partition.signal.aborted) this.fail(error)
          for (const delivery of batch) delivery.nack({ error })
        } else {
          // Nobody knows what was committed: what the database has of us says where to go on.
          partition.lose(error instanceof Fenced ? undefined : error)
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
  async #inTurn(batch: HandedOut[], partition: Partition): Promise<HandedOut[]> {
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
    if (begun.length === 0) return []
    try {
      await this.#plainly(begun)
      return []
    } catch (error) {
      if (!(error instanceof HandlerFailed) || begun[0]!.signal.aborted) throw error
      const suspect = error.delivery ?? (begun.length === 1 ? begun[0] : undefined)
      const culprit = error.sessionLost ? undefined : suspect
      if (culprit) culprit.failure = { error: error.cause }
      const handled = await this.#carefully(begun.slice(0, CAREFUL), culprit !== undefined)
      return begun.slice(handled)
    }
  }

  async #plainly(batch: readonly HandedOut[]): Promise<void> {
    const last = batch.at(-1)!
    await this.#transaction(async (client) => {
      for (const delivery of batch) await this.#invoke(delivery, client)
      await this.#write(client, last).catch(endedHere)
    })
    last.source.written(batch.map(({ entry }) => entry))
    this.outage.succeeded()
  }

  /** Returns how many of the batch are dealt with. `known`: it is known whose handler failed. */
  async #carefully(batch: readonly HandedOut[], known: boolean): Promise<number> {
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
          await client.query(CHECK).catch(failedHere).catch(endedHere)
          handled++
        } catch (failed) {
          if (!(failed instanceof HandlerFailed) || delivery.signal.aborted) throw failed
          if (lostStatement(client, failed) !== undefined) throw failed // no fault of the handler's: all is run again
          if (!known) delivery.recount(1) // its handler was called twice
          const { delayMs, counts } = this.retry(delivery, failed.cause)
          if (!counts) delivery.recount(-1)
          failure = { delivery, error: failed.cause, delayMs }
          await client.query('rollback to savepoint meowmx')
          break
        }
      }
    }
    const write = async (client: pg.ClientBase) => {
      const aside = failure && (failure.delayMs !== null || this.handling.onExhausted === 'park')
      if (failure && aside) {
        const { delivery, error, delayMs } = failure
        if (!(await source.writeAside(client, delivery.entry, error, delayMs !== null))) throw new Fenced()
        // A replay's own row tells of it already.
        if (source === source.partition) await this.#write(client, delivery)
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
      if (!failure || !isTransient(error)) throw error
      // The session ended while the handler had it: idle for longer than the lease, or killed by what it did.
      if (handled > 0) return this.#carefully(batch.slice(0, handled), known)
      await this.#transaction(write)
    }
    if (handled > 0) {
      source.written(batch.slice(0, handled).map(({ entry }) => entry))
      this.outage.succeeded()
    }
    if (!failure) return handled
    const { delivery, error, delayMs } = failure as {
      delivery: HandedOut
      error: unknown
      delayMs: number | null
    }
    if (delayMs === null && this.handling.onExhausted === 'stop') {
      this.fail(error) // and what is left is let go
      return handled
    }
    source.writtenAside(delivery.entry, delayMs)
    return handled + 1
  }

  async #invoke(delivery: HandedOut, client: pg.ClientBase): Promise<void> {
    if (delivery.failure) throw new HandlerFailed(delivery.failure.error, delivery)
    const lent = lend(client)
    this.inHand.add(delivery)
    try {
      const handled = invoke(this.handling.handler, delivery, this.handling, lent.client)
      if (handled) await aborted(handled, this.givenUp)
    } catch (error) {
      this.givenUp.throwIfAborted()
      throw new HandlerFailed(readable(error), delivery)
    } finally {
      this.inHand.delete(delivery)
      lent.takeBack()
    }
  }

  async #write(client: pg.ClientBase, { source, entry }: HandedOut): Promise<void> {
    if (!(await source.write(client, entry).catch(failedHere))) throw new Fenced()
  }

  /** If it fails, the connection is closed: nobody else is to find the transaction open. */
  async #rollback(client: pg.ClientBase): Promise<void> {
    try {
      await client.query('rollback')
    } catch (error) {
      await (client as pg.Client).end().catch(() => {})
      throw error
    }
  }

  async #transaction(body: (client: pg.ClientBase) => Promise<void>): Promise<void> {
    await this.#db.withClient(async (client) => {
      // One that freezes here must not keep its successor waiting: the server ends it with its lease.
      await client.query(`begin; set local idle_in_transaction_session_timeout = ${this.#leaseMs}`)
      const forget = whenAborted(this.givenUp, () => void this.#cuts.push(this.#db.cut(client)))
      try {
        await body(client)
      } catch (error) {
        await this.#rollback(client).catch(() => {
          if (error instanceof HandlerFailed) error.sessionLost = true
        })
        throw error
      } finally {
        forget()
      }
      await client.query('commit').catch(async (error) => {
        if (isTransient(error)) throw error
        await this.#rollback(client).catch(() => {})
        throw new HandlerFailed(error) // a deferred constraint or trigger
      })
    })
  }
}

/** A query of the handler's failed, and it did not say so: the transaction can't be committed. */
function failedHere(error: unknown): never {
  const { code } = error as { code?: string }
  throw code === '25P02' || code?.startsWith('23') ? new HandlerFailed(error) : error
}

/** The session ended while a handler had it: it may have been idle for longer than the lease. */
function endedHere(error: unknown): never {
  throw isLost(error) ? new HandlerFailed(error) : error
}
