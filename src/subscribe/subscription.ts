import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { BehaviorSubject, Observable } from 'rxjs'
import { z } from 'zod'
import type { Database } from '../database.ts'
import { ClosedError, SubscriptionMismatchError, SubscriptionNotFoundError } from '../errors.ts'
import type { Live } from '../live/live.ts'
import type { From } from '../live/observer.ts'
import { from } from '../live/observer.ts'
import { persist } from '../live/patience.ts'
import { method, ms, name, parse } from '../options.ts'
import type { Reader } from '../read/reader.ts'
import type { Selection, Selector } from '../read/selector.ts'
import { select, selectorShape } from '../read/selector.ts'
import type { Delivery, HandedOut } from './delivery.ts'
import type { ExecutorPorts, ExecutorStatus } from './executor.ts'
import { Executor } from './executor.ts'
import type { Handler, Worker } from './worker.ts'
import { HandlerWorker } from './worker.ts'

export interface SubscriptionOptions extends Selector {
  /** Where a new subscription begins; an existing one goes on at its checkpoint. Default `'start'`; `'end'`: the horizon at its creation. */
  from?: From
  /** Unacked deliveries at most, per executor. Default 256, minimum 1. */
  maxInFlight?: number
  /** How soon a dead executor's partition moves to another. In ms; default 10_000, minimum 100. */
  leaseMs?: number
}

const subscriptionOptions = z.strictObject({
  ...selectorShape,
  from: from.default('start'),
  maxInFlight: z.number().int().min(1).max(100_000).default(256),
  leaseMs: ms(100).default(10_000),
})
type Options = Readonly<z.output<typeof subscriptionOptions>>
const noOptions = z.strictObject({})
/** How long close() waits for acks of deliveries in hand. */
const CLOSING_MS = 5_000

/** The durable subscriptions of a store in this process: makes them, and ends their executors on close. */
export class Subscriptions {
  readonly #db: Database
  readonly #live: Live
  readonly #reader: Reader
  readonly #running = new Map<string, Set<Running>>()
  #closed = false

  constructor(db: Database, live: Live, reader: Reader) {
    this.#db = db
    this.#live = live
    this.#reader = reader
  }

  get(subscription: string, options: SubscriptionOptions): DurableSubscription {
    const checked = parse(subscriptionOptions, options, 'options')
    const { category, types, streamId } = checked
    const selection = select(
      { ...(category ? { category } : {}), ...(types ? { types } : {}), ...(streamId ? { streamId } : {}) },
      'options',
    )
    return new DurableSubscription(parse(name, subscription, 'name'), selection, checked, this)
  }

  /** @internal */
  start(
    subscription: DurableSubscription,
    selection: Selection,
    options: Options,
    deliver: (delivery: HandedOut) => void,
    end: () => Promise<void>,
  ): Running {
    if (this.#closed) throw new ClosedError()
    const { name } = subscription
    const siblings = this.#running.get(name) ?? new Set()
    this.#running.set(name, siblings)
    // Who is on its way out here, and only waits for late acks, makes room.
    const leaving = [...siblings].filter(({ retired }) => retired)
    const ports = this.#ports(name, selection, options.from, (status) => subscription.update(status))
    const register = ports.register
    ports.register = async () => {
      await Promise.all(leaving.map(({ executor }) => executor.release()))
      await register()
    }
    const owner = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`
    const { maxInFlight, leaseMs } = options
    const executor = new Executor(
      ports,
      { name, owner, maxInFlight, leaseMs, pollIntervalMs: this.#db.settings.pollIntervalMs },
      deliver,
    )
    const running: Running = { executor, end, retired: false }
    siblings.add(running)
    executor.done
      .catch((error) => this.logEnd(name, error))
      .finally(() => {
        siblings.delete(running)
        if (siblings.size === 0 && this.#running.get(name) === siblings) this.#running.delete(name)
      })
    return running
  }

  /** Whether there is an executor to be drained. */
  get running(): boolean {
    return this.#running.size > 0
  }

  /** @internal Whoever looks at `done`, or at the Observable's error, hears of it too; nobody has to. */
  logEnd(subscription: string, error: unknown): void {
    this.#db.settings.logger.error({ err: error, subscription }, 'a subscription ended with an error')
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(
      [...this.#running.values()].flatMap((siblings) => [...siblings].map(({ end }) => end())),
    )
  }

  #ports(
    name: string,
    { categories, types, streamId }: Selection,
    from: From,
    status: (status: ExecutorStatus) => void,
  ): ExecutorPorts {
    const db = this.#db
    const selection = select({
      ...(categories.length ? { category: categories } : {}),
      ...(types ? { types } : {}),
      ...(streamId === null ? {} : { streamId }),
    })
    const [subscribe, claim, advance, release] = ['subscribe', 'claim', 'advance', 'release'].map((file) =>
      db.file(file),
    )
    return {
      logger: db.settings.logger,
      status,
      follow: (after) => this.#live.follow(selection, after),
      onBell: (ring) => this.#onBell(name, ring),
      register: async () => {
        const position =
          from === 'start' ? 0 : from === 'end' ? await this.#reader.horizon(selection) : from.after
        const values = [name, categories.length ? categories : null, types, streamId, position]
        await db.query(subscribe!, values).catch((error) => {
          throw error.code === 'MW010' ? new SubscriptionMismatchError(name, error.message) : error
        })
      },
      claim: async (owner, leaseMs) => {
        const rows = await db.query(claim!, [name, owner, leaseMs]).catch((error) => {
          throw error.code === 'MW011' ? new SubscriptionNotFoundError(name) : error
        })
        const [epoch, position, waitMs] = rows[0]! as readonly (string | null)[]
        return epoch === null
          ? { waitMs: Number(waitMs) }
          : { epoch: Number(epoch), position: Number(position) }
      },
      advance: async (epoch, position, leaseMs) => {
        const rows = await db.query(advance!, [name, epoch, position, leaseMs])
        return rows[0]![0] === 't'
      },
      release: async (epoch, position) => {
        const rows = await db.query(release!, [name, epoch, position])
        return rows[0]![0] === 't'
      },
    }
  }

  #onBell(name: string, ring: () => void): () => void {
    const { logger } = this.#db.settings
    const closing = new AbortController()
    let off = () => {}
    // Without the bell a free partition is found by the poll.
    persist(() => this.#db.query(this.#db.file('bell'), [name]), { signal: closing.signal, logger })
      .then(([row]) => {
        if (!closing.signal.aborted) off = this.#live.listener.on(row![0]!, ring)
      })
      .catch(() => {})
    return () => {
      closing.abort()
      off()
    }
  }
}

interface Running {
  readonly executor: Executor
  /** Drain and end, as the consumer's kind asks for. */
  end(): Promise<void>
  /** Stopped by its consumer, waiting for late acks. */
  retired: boolean
}

/** A durable, named consumer of events with a checkpoint in the store. Made by `meow.subscription`. */
export class DurableSubscription {
  readonly name: string
  /** How this process's part in it stands: the current value first, then each change. */
  readonly status$: Observable<ExecutorStatus>
  readonly #status = new BehaviorSubject<ExecutorStatus>({
    state: 'stopped',
    position: 0,
    horizon: 0,
    inFlight: 0,
    partitions: [],
  })
  readonly #selection: Selection
  readonly #options: Options
  readonly #subscriptions: Subscriptions

  /** @internal Use `meow.subscription`. */
  constructor(name: string, selection: Selection, options: Options, subscriptions: Subscriptions) {
    this.name = name
    this.#selection = selection
    this.#options = options
    this.#subscriptions = subscriptions
    this.status$ = this.#status.asObservable()
  }

  /**
   * Deliveries to be acked, as a cold Observable: subscribing makes this process an executor, which waits for the
   * partition where another owns it, and goes on after lost leases and connections. It delivers until `maxInFlight`
   * are unacked. Unsubscribing ends the executor; deliveries in hand can still be acked for `leaseMs`, and while the store
   * closes for 5 s at most.
   *
   * @throws (as an error of the Observable) SubscriptionMismatchError where the name exists with another selector
   * @example
   * subscription.deliveries().pipe(concatMap(async (delivery) => {
   *   await handle(delivery.event)
   *   await delivery.ack()
   * })).subscribe()
   */
  deliveries(): Observable<Delivery> {
    const { leaseMs } = this.#options
    return new Observable((subscriber) => {
      // The consumer may be at work on what it has in hand: it can still ack, for a while.
      const retire = (patienceMs: number) => {
        running.retired = true
        executor.stop()
        const timer = setTimeout(() => void executor.release(), patienceMs)
        return executor.done.catch(() => {}).finally(() => clearTimeout(timer))
      }
      const end = () => retire(Math.min(leaseMs, CLOSING_MS))
      const running = this.#start((delivery) => subscriber.next(delivery), end)
      const { executor } = running
      executor.done.then(
        () => subscriber.complete(),
        (error) => subscriber.error(error),
      )
      return () => void retire(leaseMs)
    })
  }

  /**
   * Run a handler on each event, one after the other, acking each. A handler that throws ends the worker with that
   * error; its event is delivered again by the next. A handler must not wait for `stop()` or `close()`, which wait for it.
   *
   * @example
   * const worker = subscription.process(async (event) => { await sendMail(event.data) })
   * await worker.stop()
   */
  process(handler: Handler, options: Record<string, never> = {}): Worker {
    parse(method, handler, 'handler')
    parse(noOptions, options, 'options')
    const worker: HandlerWorker = new HandlerWorker(
      (deliver) => this.#start(deliver, () => worker.stop()).executor,
      handler,
      (error) => this.#subscriptions.logEnd(this.name, error),
    )
    return worker
  }

  /** @internal */
  update(status: ExecutorStatus): void {
    this.#status.next(status)
  }

  #start(deliver: (delivery: HandedOut) => void, end: () => Promise<void>): Running {
    return this.#subscriptions.start(this, this.#selection, this.#options, deliver, end)
  }
}
