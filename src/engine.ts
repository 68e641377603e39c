// The parts of a store in PostgreSQL: how they are connected, how a call runs, and how they are closed.
import { filter, skip } from 'rxjs'
import { Appender } from './append/append.ts'
import { Batch } from './append/batch.ts'
import { Batcher } from './append/batcher.ts'
import { ProjectedAppends } from './append/projected.ts'
import { Projections } from './append/projections.ts'
import { TracedAppender } from './append/traced-appender.ts'
import { settledOrAborted, sharedController, whenAborted } from './core/abort.ts'
import { ClosedError } from './core/errors.ts'
import { TimeLimit } from './core/stop-options.ts'
import type { Database } from './database/database.ts'
import type { EventQuery } from './events/query.ts'
import { Live } from './live/live.ts'
import { Observer } from './live/observer.ts'
import { fromDatabase } from './live/source.ts'
import { Aggregates } from './models/aggregate.ts'
import { ModelDecisions } from './models/decision-model.ts'
import { Decisions } from './models/decisions.ts'
import { Snapshots } from './models/snapshots.ts'
import { States } from './models/states.ts'
import { Watches } from './models/watches.ts'
import { listenConnectionOf } from './notify/channel-registry.ts'
import { Coalescer } from './notify/coalescing/coalescer.ts'
import { Processes } from './processes/processes.ts'
import { ProjectionVersions } from './projections/projections.ts'
import { byIdsIn } from './read/by-ids.ts'
import { headBy } from './read/head.ts'
import type { QueryOptions, QueryPorts } from './read/query.ts'
import { query, seenKeyOf } from './read/query.ts'
import { QueryBatcher } from './read/query-batcher.ts'
import { Reader } from './read/reader.ts'
import { RecentHorizon } from './read/recent-horizon.ts'
import { TracedReader } from './read/traced-reader.ts'
import { Administration } from './subscriptions/admin/administer.ts'
import { Erasure } from './subscriptions/admin/erase.ts'
import { ParkedEvents } from './subscriptions/admin/parked.ts'
import { StallerList } from './subscriptions/admin/stallers.ts'
import { SubscriptionList } from './subscriptions/admin/subscriptions.ts'
import { Waiting } from './subscriptions/admin/wait.ts'
import { Subscriptions } from './subscriptions/subscriptions.ts'
import type { Worker } from './subscriptions/worker.ts'
import { TimerRunner } from './timers/runner.ts'
import { Timers } from './timers/timers.ts'
import { TimerWorker } from './timers/worker.ts'

export class Engine {
  readonly db: Database
  readonly appender: Appender
  readonly inlineProjections: Projections
  readonly reader: Reader
  readonly live: Live
  readonly observer: Observer
  readonly subscriptions: Subscriptions
  readonly subscriptionList: SubscriptionList
  readonly administration: Administration
  readonly erasure: Erasure
  readonly parked: ParkedEvents
  readonly waiting: Waiting
  readonly stallers: StallerList
  readonly aggregates: Aggregates
  readonly states: States
  readonly decisions: Decisions
  readonly modelDecisions: ModelDecisions
  readonly watches: Watches
  readonly projections: ProjectionVersions
  readonly timers: Timers
  readonly processes: Processes
  readonly #coalescer: Coalescer
  readonly #batcher: Batcher
  readonly #projected: ProjectedAppends
  readonly #queries: QueryPorts
  readonly #timerRunner: TimerRunner
  readonly #calls = new Set<Promise<unknown>>() // calls that have not settled
  readonly #limit: TimeLimit
  #closing: Promise<void> | undefined
  readonly #stopping = sharedController() // when it begins to close
  #closed = false

  constructor(db: Database) {
    const { telemetry } = db
    this.db = db
    this.#limit = new TimeLimit(db.clock)
    this.#coalescer = new Coalescer(db)
    const saw = (position: number) => this.#coalescer.saw(position)

    const batch = new Batch(db, saw)
    this.#batcher = new Batcher(db, batch)
    this.inlineProjections = new Projections(db)
    this.#projected = new ProjectedAppends(db, batch, this.inlineProjections)
    const reader = new Reader(db)
    const head = headBy(reader)
    const seenKey = seenKeyOf(db)
    this.#queries = { seenKey, horizon: new RecentHorizon(db), batcher: new QueryBatcher(db) }
    this.appender = telemetry
      ? new TracedAppender(batch, this.#batcher, head, seenKey, this.#projected, telemetry)
      : new Appender(batch, this.#batcher, head, seenKey, this.#projected)
    this.reader = telemetry ? new TracedReader(db, telemetry) : reader

    this.live = new Live(db, db.settings.listen ? listenConnectionOf(db) : undefined, saw)
    this.observer = new Observer(fromDatabase(db, this.live, reader))

    this.timers = new Timers(db, this.appender)
    this.#timerRunner = new TimerRunner(db, this.live.listener)
    this.#timerRunner.add(this.timers)
    const fireTimers = (worker: Worker) => {
      const release = this.#timerRunner.hold()
      worker.done.then(release, release)
    }
    this.subscriptions = new Subscriptions(db, this.live, reader, fireTimers)
    this.processes = new Processes(db, this.appender, this.subscriptions, this.#timerRunner)

    this.subscriptionList = new SubscriptionList(db)
    this.administration = new Administration(db, reader)
    this.erasure = new Erasure(db, this.inlineProjections, this.#projected)
    this.parked = new ParkedEvents(db)
    this.waiting = new Waiting(db, this.live.listener, this.subscriptions)
    this.stallers = new StallerList(db)
    this.projections = new ProjectionVersions(db, this.live.listener, this.subscriptions, this.waiting)

    this.aggregates = new Aggregates(this.reader, this.appender)
    const snapshots = new Snapshots(db)
    this.states = new States(this.reader, snapshots)
    this.decisions = new Decisions(this.states, snapshots, this.appender, byIdsIn(db), db.clock)
    this.modelDecisions = new ModelDecisions((...args) => this.query(...args), this.appender, db.clock)
    this.watches = new Watches(db, this.observer, this.states)

    telemetry?.observe(() => this.subscriptions.standings())
    if (telemetry)
      this.live.listener.status$
        .pipe(
          filter(({ state }) => state === 'listening'),
          skip(1),
        )
        .subscribe(() => telemetry.reconnected())
  }

  query(queried: EventQuery, options?: QueryOptions<any>) {
    return query(this.db, this.#queries, queried, options)
  }

  runTimers(): Worker {
    if (this.#closing) throw new ClosedError()
    return new TimerWorker(this.#timerRunner, this.#stopping.signal, this.db.settings.logger)
  }

  /** Runs a call of the store, which `close()` waits for. */
  call<T>(action: () => Promise<T>): Promise<T> {
    // The inline projection of a running append must be able to finish.
    if (this.#closed && !this.inlineProjections.isInsideHandler) return Promise.reject(new ClosedError())
    const call = action()
    this.#calls.add(call)
    const forget = () => this.#calls.delete(call)
    call.then(forget, forget)
    return call
  }

  /** Runs an action on a subscription. It also works right after `process()`, which creates the subscription. */
  callFor<T>(subscription: string, action: () => Promise<T>): Promise<T> {
    return this.call(() => this.subscriptions.known(subscription, action))
  }

  close(timeoutMs: number): Promise<void> {
    this.#closing ??= this.#close()
    this.#limit.set(timeoutMs)
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#stopping.abort()
    // Handlers that are still running may append and read.
    this.#closed = !this.subscriptions.running
    this.observer.close()
    this.watches.close()
    this.waiting.close()
    this.projections.close()
    const { up, over } = this.#limit
    await this.subscriptions.close(this.#limit)
    await this.#timerRunner.close(up)
    this.#closed = true
    const forget = whenAborted(up, () => this.#giveUp())
    try {
      const live = this.live.close()
      const ended = Promise.all([
        this.#batcher.close(),
        this.#projected.close(),
        live,
        Promise.allSettled(this.#calls),
      ])
      await settledOrAborted(
        ended.then(() => this.#coalescer.close()),
        up,
      )
      this.db.telemetry?.close()
      await settledOrAborted(Promise.all([live, this.db.close()]), over)
    } finally {
      forget()
      this.#limit.clear()
    }
  }

  /** Stops waiting for the calls that are still running. */
  #giveUp(): void {
    const { size: calls } = this.#calls
    if (calls > 0)
      this.db.settings.logger.warn({ calls }, 'close() gave up waiting for calls that have not ended')
    this.db.giveUp()
  }
}
