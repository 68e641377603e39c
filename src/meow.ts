// The store object `Meow`, which users call, and `connect`, which opens it.
import type { Observable } from 'rxjs'
import { filter, skip } from 'rxjs'
import type { AppendAllOptions, AppendOptions, AppendResults, StreamWrite } from './append/append.ts'
import { Appender } from './append/append.ts'
import { Batch } from './append/batch.ts'
import { Batcher } from './append/batcher.ts'
import { ProjectedAppends } from './append/projected.ts'
import type { ProjectionHandler } from './append/projections.ts'
import { Projections } from './append/projections.ts'
import type { AppendResult } from './append/request.ts'
import { TracedAppender } from './append/traced-appender.ts'
import { settledOrAborted, sharedController, whenAborted } from './core/abort.ts'
import { ClosedError } from './core/errors.ts'
import type { StopOptions } from './core/stop-options.ts'
import { closeOptionsSchema, TimeLimit } from './core/stop-options.ts'
import { parse } from './core/validate.ts'
import type { ConnectOptions } from './database/connect-options.ts'
import { connectSettings } from './database/connect-options.ts'
import { Database } from './database/database.ts'
import { checkHealth } from './database/health.ts'
import { migrate } from './database/migrate.ts'
import type { MigrationPlan } from './database/migration-plan.ts'
import { migrationPlan } from './database/migration-plan.ts'
import type { NewEvent, RecordedEvent, StreamRef } from './events/event.ts'
import { enclosingCall } from './events/event-context.ts'
import { rejectOwnHandler } from './events/own-handler.ts'
import type { EventQuery } from './events/query.ts'
import type { Selection, Selector } from './events/selector.ts'
import type { AnyCategory, EventOf, NewEventOf, SelectedEvent, TypeOf } from './events/types.ts'
import type { Source } from './live/iterate.ts'
import { Live } from './live/live.ts'
import type { EventsOptions, From } from './live/observer.ts'
import { Observer } from './live/observer.ts'
import { fromDatabase } from './live/source.ts'
import type { Aggregate, AggregateClass, AggregateOptions } from './models/aggregate.ts'
import { Aggregates } from './models/aggregate.ts'
import type { Decider } from './models/decider.ts'
import type { DecisionModel, ModelDecideOptions, ModelDecision, RunQuery } from './models/decision-model.ts'
import { isDecisionModel, ModelDecisions } from './models/decision-model.ts'
import type { DecideOptions, Decision } from './models/decisions.ts'
import { Decisions } from './models/decisions.ts'
import { Snapshots } from './models/snapshots.ts'
import type { StateOptions } from './models/states.ts'
import { States } from './models/states.ts'
import type { Watched } from './models/watches.ts'
import { Watches } from './models/watches.ts'
import { listenConnectionOf } from './notify/channel-registry.ts'
import { Coalescer } from './notify/coalescing/coalescer.ts'
import type { StoreStatus } from './notify/listener.ts'
import type { ProcessManager } from './processes/define.ts'
import type { ProcessInstance, ProcessInstancesOptions } from './processes/processes.ts'
import { Processes } from './processes/processes.ts'
import type { ProjectionDefinition } from './projections/definition.ts'
import type { ProjectionInfo } from './projections/list.ts'
import type { Projection } from './projections/projection.ts'
import type { RebuildOptions, SwitchOptions } from './projections/projections.ts'
import { ProjectionVersions } from './projections/projections.ts'
import { byIdsIn } from './read/by-ids.ts'
import { headBy, lastVersion } from './read/head.ts'
import type { QueryOptions, QueryPorts, QueryResult } from './read/query.ts'
import { query as queryTags, seenKeyOf } from './read/query.ts'
import { QueryBatcher } from './read/query-batcher.ts'
import type {
  CategoriesOptions,
  CategoryInfo,
  CategoryName,
  LoadOptions,
  ReadOptions,
  ReadResult,
  StreamPage,
} from './read/reader.ts'
import { Reader } from './read/reader.ts'
import { RecentHorizon } from './read/recent-horizon.ts'
import type { StreamInfo, StreamsOptions } from './read/streams.ts'
import { streams } from './read/streams.ts'
import type { TraceOptions } from './read/trace.ts'
import { trace, traceSource } from './read/trace.ts'
import { TracedReader } from './read/traced-reader.ts'
import type { SubscriptionChanges } from './subscriptions/admin/administer.ts'
import { Administration } from './subscriptions/admin/administer.ts'
import type { Erased, EraseOptions } from './subscriptions/admin/erase.ts'
import { Erasure } from './subscriptions/admin/erase.ts'
import type { Health, HealthOptions } from './subscriptions/admin/health.ts'
import { health } from './subscriptions/admin/health.ts'
import type {
  DiscardedEvent,
  DiscardOptions,
  ParkedEvent,
  ParkedOptions,
  ReplayOptions,
} from './subscriptions/admin/parked.ts'
import { ParkedEvents } from './subscriptions/admin/parked.ts'
import type { Staller } from './subscriptions/admin/stallers.ts'
import { StallerList } from './subscriptions/admin/stallers.ts'
import type { SubscriptionInfo, SubscriptionsOptions } from './subscriptions/admin/subscriptions.ts'
import { SubscriptionList } from './subscriptions/admin/subscriptions.ts'
import type { SettledOptions, WaitOptions } from './subscriptions/admin/wait.ts'
import { Waiting } from './subscriptions/admin/wait.ts'
import type { SubscriptionOptions } from './subscriptions/options.ts'
import type { DurableSubscription } from './subscriptions/subscription.ts'
import { Subscriptions } from './subscriptions/subscriptions.ts'
import type { Worker } from './subscriptions/worker.ts'
import { findTelemetry } from './telemetry/load.ts'
import { TimerRunner } from './timers/runner.ts'
import type { Due, ScheduledTimer } from './timers/timer.ts'
import type { ScheduledOptions, TimerOptions } from './timers/timers.ts'
import { Timers } from './timers/timers.ts'
import { TimerWorker } from './timers/worker.ts'

/**
 * Opens a store: checks the options, connects to the server and starts the listen connection.
 *
 * @param options see `ConnectOptions`; by default the PG* environment variables say where the server is
 * @returns the store; call `close()` when you no longer need it
 * @throws ValidationError if an option is invalid
 * @throws ConnectionError if the server cannot be reached, the login failed, or privileges are missing
 * @throws SchemaError if the schema is newer than this library, or in a state in which events could be lost
 * @example
 * const meow = await connect({ connectionString: 'postgres://localhost/shop' })
 * await meow.migrate()
 */
export async function connect(options: ConnectOptions = {}): Promise<Meow> {
  const settings = connectSettings(options)
  const db = new Database(settings, await findTelemetry(settings))
  try {
    await checkHealth(db)
  } catch (error) {
    await db.close()
    throw error
  }
  return new Meow(db)
}

/**
 * A store: one PostgreSQL schema that holds events. `connect` opens it.
 *
 * Besides the errors that each method names, every method may reject with ValidationError (before anything is sent),
 * ConnectionError (the server cannot be reached, or privileges are missing), SchemaError (the schema is not migrated) and
 * ClosedError (after `close()`).
 */
export class Meow implements AsyncDisposable {
  readonly #db: Database
  readonly #coalescer: Coalescer
  readonly #batcher: Batcher
  readonly #projections: Projections
  readonly #projected: ProjectedAppends
  readonly #appender: Appender
  readonly #reader: Reader
  readonly #seenKey: () => Promise<Buffer>
  readonly #queries: QueryPorts
  readonly #live: Live
  readonly #observer: Observer
  readonly #subscriptions: Subscriptions
  readonly #list: SubscriptionList
  readonly #administration: Administration
  readonly #erasure: Erasure
  readonly #parked: ParkedEvents
  readonly #waiting: Waiting
  readonly #projectionVersions: ProjectionVersions
  readonly #stallers: StallerList
  readonly #aggregates: Aggregates
  readonly #states: States
  readonly #decisions: Decisions
  readonly #modelDecisions: ModelDecisions
  readonly #watches: Watches
  readonly #timers: Timers
  readonly #timerRunner: TimerRunner
  readonly #processes: Processes
  readonly #calls = new Set<Promise<unknown>>() // calls that have not settled
  readonly #limit: TimeLimit
  #closing: Promise<void> | undefined
  readonly #stopping = sharedController() // when it begins to close
  #closed = false

  /** Whether push works (`listening`, `reconnecting`, `polling` or `closed`): the current value first, then each change; completes on close. */
  readonly status$: Observable<StoreStatus>

  /** @internal Use `connect`. */
  constructor(db: Database) {
    this.#coalescer = new Coalescer(db)
    const saw = (position: number) => this.#coalescer.saw(position)
    const batch = new Batch(db, saw)
    this.#db = db
    this.#limit = new TimeLimit(db.clock)
    this.#batcher = new Batcher(db, batch)
    this.#projections = new Projections(db)
    this.#projected = new ProjectedAppends(db, batch, this.#projections)
    const { telemetry } = db
    const reader = new Reader(db)
    const head = headBy(reader)
    this.#seenKey = seenKeyOf(db)
    this.#appender = telemetry
      ? new TracedAppender(batch, this.#batcher, head, this.#seenKey, this.#projected, telemetry)
      : new Appender(batch, this.#batcher, head, this.#seenKey, this.#projected)
    this.#reader = telemetry ? new TracedReader(db, telemetry) : reader
    this.#live = new Live(db, db.settings.listen ? listenConnectionOf(db) : undefined, saw)
    this.#observer = new Observer(fromDatabase(db, this.#live, reader))
    this.#timers = new Timers(db, this.#appender)
    this.#timerRunner = new TimerRunner(db, this.#live.listener)
    this.#timerRunner.add(this.#timers)
    const fireTimers = (worker: Worker) => {
      const release = this.#timerRunner.hold()
      worker.done.then(release, release)
    }
    this.#subscriptions = new Subscriptions(db, this.#live, reader, fireTimers)
    this.#processes = new Processes(db, this.#appender, this.#subscriptions, this.#timerRunner)
    this.#list = new SubscriptionList(db)
    this.#administration = new Administration(db, reader)
    this.#erasure = new Erasure(db, this.#projections, this.#projected)
    this.#parked = new ParkedEvents(db)
    this.#waiting = new Waiting(db, this.#live.listener, this.#subscriptions)
    this.#projectionVersions = new ProjectionVersions(
      db,
      this.#live.listener,
      this.#subscriptions,
      this.#waiting,
    )
    this.#stallers = new StallerList(db)
    this.#aggregates = new Aggregates(this.#reader, this.#appender)
    const snapshots = new Snapshots(db)
    this.#states = new States(this.#reader, snapshots)
    this.#decisions = new Decisions(this.#states, snapshots, this.#appender, byIdsIn(db), db.clock)
    this.#queries = {
      seenKey: this.#seenKey,
      horizon: new RecentHorizon(db),
      batcher: new QueryBatcher(db),
    }
    const byTags: RunQuery = (query, options) => queryTags(db, this.#queries, query, options)
    this.#modelDecisions = new ModelDecisions(byTags, this.#appender, db.clock)
    this.#watches = new Watches(db, this.#observer, this.#states)
    this.status$ = this.#live.listener.status$
    telemetry?.observe(() => this.#subscriptions.standings())
    if (telemetry)
      this.status$
        .pipe(
          filter(({ state }) => state === 'listening'),
          skip(1),
        )
        .subscribe(() => telemetry.reconnected())
  }

  /**
   * Creates the schema, or updates it to this version of the library, in one transaction. It does nothing if the schema is up
   * to date, and many processes may call it at once. The role needs the privilege to create schemas in the database.
   *
   * If the schema was renamed or copied, its functions and triggers still work on the old one: `migrate()` creates them again.
   *
   * It also installs functions and triggers whose text changed, and drops those that are gone.
   *
   * @returns the schema files that were applied, e.g. `['001_events.sql', …]`, and `'functions'` if functions or triggers were
   *   installed or dropped; an empty list if there was nothing to do
   * @throws SchemaError if the schema is newer than this library, or the encoding of the database is not UTF8
   * @example
   * const { applied } = await meow.migrate()
   */
  async migrate(): Promise<{ applied: string[] }> {
    const result = await migrate(this.#db)
    await checkHealth(this.#db)
    return result
  }

  /**
   * Returns the SQL that `migrate()` would run now, so that a DBA can run it with psql or another client. It changes nothing.
   *
   * @returns `sql`: one transaction, or an empty text if there is nothing to do; `pending`: what `migrate()` would return
   * @throws SchemaError if the schema is newer than this library, or the database does not have the encoding UTF8
   * @example
   * const { sql, pending } = await meow.migrationPlan()
   * if (pending.length > 0) await writeFile('migrate.sql', sql)
   */
  migrationPlan(): Promise<MigrationPlan> {
    return this.#open(() => migrationPlan(this.#db))
  }

  /**
   * Appends one or more events to one stream: all of them, or none.
   *
   * Calls that run concurrently in this process share a transaction, and each call has its own outcome. A retry with the same
   * event ids is always safe: it returns the first result, with `deduplicated: true`.
   *
   * @throws ValidationError if JSON or PostgreSQL cannot hold an event; nothing is sent
   * @throws VersionConflictError if the stream is not at `expectedVersion`; nothing is written
   * @throws DuplicateEventError if an id is already recorded with a different stream, type or data
   * @throws ConditionFailedError if an event matches `failIf` that was not seen; nothing is written
   * @throws OutcomeUnknownError if the connection broke after the append was sent, and the outcome could not be looked up
   * @example
   * await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: { price: 9 } }, { expectedVersion: 'no-stream' })
   */
  append<S extends StreamRef>(
    stream: S,
    events: NewEventOf<S> | readonly NewEventOf<S>[],
    options?: AppendOptions,
  ): Promise<AppendResult<EventOf<S>>> {
    const append = () => this.#appender.append(stream, events as NewEvent | NewEvent[], options)
    return this.#open(append as () => Promise<AppendResult<EventOf<S>>>)
  }

  /**
   * Appends to several streams, all or none, and returns the results in the order of `writes`. It throws what `append` throws.
   *
   * @example
   * await meow.appendAll([
   *   { stream: { category: 'account', streamId: 'a' }, events: { type: 'Withdrawn', data: { amount: 5 } }, expectedVersion: 3 },
   *   { stream: { category: 'account', streamId: 'b' }, events: { type: 'Deposited', data: { amount: 5 } } },
   * ])
   */
  appendAll<const S extends readonly StreamRef[]>(
    writes: { readonly [I in keyof S]: StreamWrite<S[I]> },
    options?: AppendAllOptions,
  ): Promise<AppendResults<S>> {
    const append = () => this.#appender.appendAll(writes as readonly StreamWrite[], options)
    return this.#open(append as () => Promise<AppendResults<S>>)
  }

  /**
   * Registers an inline projection: a handler that gets the events appended to one or more categories, in the transaction of
   * the append. What it writes through `client` commits together with the events. If it throws, the append rejects with that
   * error and writes nothing. Handlers run in the order of their registration, once for each call of `append`, `appendAll`,
   * `decide` or `saveAggregate`, with the events of their categories. A retry that is deduplicated runs none.
   *
   * **It sees only what this process appends through this store object.** Register it in every process that appends, before
   * the first append. It misses events that raw SQL or another process appends. If you are not sure, use a subscription with
   * `transactional`, which misses nothing.
   *
   * The append stays open until the handler has finished, and readers of the category wait for it, so be quick. A handler that
   * takes longer than `queryTimeoutMs` fails. After a lost race or a lost connection it runs again, in a new transaction, so
   * it must have no effects except through `client`. An append inside the handler must be given that `client`; its events
   * name the last event of the batch as their cause.
   *
   * @returns a function that removes the handler: later appends do not run it
   * @throws ValidationError if a category is invalid, or the handler is not a function
   * @throws MeowError (`ERR_PROJECTION`, from the append) if the handler ends the transaction, or hides that a query failed
   * @example
   * meow.project(Order, async (events, client) => {
   *   for (const event of events)
   *     if (event.known && event.type === 'OrderPlaced')
   *       await client.query('insert into orders values ($1, $2)', [event.streamId, event.data.price])
   * })
   */
  project<C extends string | AnyCategory = string>(
    category: C | readonly C[],
    handler: ProjectionHandler<SelectedEvent<C>>,
  ): () => void {
    return this.#projections.add(category, handler as ProjectionHandler<any>)
  }

  /**
   * Returns the events of one stream in version order; an empty list if the stream does not exist.
   *
   * It reads page by page, so that a long stream needs no long query, but the whole result is in memory.
   *
   * @throws UpcastError if the stream's zod category cannot read a stored event
   * @example
   * const events = await meow.load({ category: 'order', streamId: '42' }, { fromVersion: 10 })
   */
  load<S extends StreamRef>(stream: S, options?: LoadOptions): Promise<EventOf<S>[]> {
    return this.#open(() => this.#reader.load(stream, options) as Promise<EventOf<S>[]>)
  }

  /** @internal Returns the first events that `load` would return, as many as one query reads. */
  loadPage(stream: StreamRef, options?: LoadOptions): Promise<StreamPage> {
    return this.#open(() => this.#reader.loadPage(stream, options))
  }

  /** @internal Live pages of a selection, for `meowmx/http`, which sends them to many connections. */
  follow(selection: Selection, from: From, signal: AbortSignal): Promise<Source> {
    return this.#observer.follow(selection, from, signal)
  }

  /** @internal Runs an action on the database, as one of the calls that `close()` waits for. */
  use<T>(action: (db: Database) => Promise<T>): Promise<T> {
    return this.#open(() => action(this.#db))
  }

  /**
   * Returns one page of events in position order, up to the horizon, so no event can appear later inside the page.
   *
   * @returns `position`: pass it as `after` to read the next page. It also moves forward when no event was selected. You have
   *   read everything when `position` is at `horizon` (or at `until`); the number of events does not tell
   * @throws UpcastError if a zod category cannot read a stored event
   * @example
   * let after = 0
   * const page = await meow.read({ category: 'order' }, { after, limit: 100 })
   * after = page.position
   */
  read<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    selector: Selector<C, T>,
    options?: ReadOptions,
  ): Promise<ReadResult<SelectedEvent<C, T>>> {
    const read = () => this.#reader.read(selector, options)
    return this.#open(read as () => Promise<ReadResult<SelectedEvent<C, T>>>)
  }

  /**
   * Returns all committed events that match a query by tags, in position order, and what was seen.
   *
   * Pass `seen` to `failIf` of an append: it fails if an event that matches was appended meanwhile. It never waits for open appends,
   * and it misses none of them: `seen` is not a position.
   *
   * @param query one item or several, at most 32: the events that match any of them. An item has 1 to 32 tags, all of which an event
   *   must carry, and perhaps types, one of which it must have
   * @throws ValidationError if the query or an option is invalid
   * @throws SchemaError if the client's transaction is not READ COMMITTED
   * @throws UpcastError if a zod category of `categories` cannot read a stored event
   * @example
   * const query = { tags: ['coupon:SPRING'] } as const
   * const { events, seen } = await meow.query(query)
   * if (events.length === 0) await meow.append(stream, { type: 'CouponUsed', data: {}, tags: ['coupon:SPRING'] }, { failIf: { query, after: seen } })
   */
  query<C extends AnyCategory = any>(
    query: EventQuery,
    options?: QueryOptions<C>,
  ): Promise<QueryResult<SelectedEvent<C>>> {
    return this.#open(() => queryTags(this.#db, this.#queries, query, options))
  }

  /**
   * Returns all categories, sorted by name, with the numbers of their streams and events and their last positions.
   *
   * **It counts every event**, from an index: 1 to 2 s for 3,000,000 events. If you call it often, ask for names only
   * (`counts: false`), or count only what is new (`after`).
   *
   * @throws ValidationError if an option is invalid
   * @throws TimeoutError if it takes longer than `queryTimeoutMs`
   * @example
   * for (const { category, streams, events } of await meow.categories()) console.log(category, streams, events)
   * const names = await meow.categories({ counts: false }) // names and last positions
   */
  categories(options: CategoriesOptions & { counts: false }): Promise<CategoryName[]>
  categories(options?: CategoriesOptions & { counts?: true }): Promise<CategoryInfo[]>
  categories(options?: CategoriesOptions): Promise<any[]> {
    return this.#open(() => this.#reader.categories(options))
  }

  /**
   * Returns the version of a stream's last event; -1 if the stream does not exist. It takes one index probe.
   *
   * @example
   * const version = await meow.head({ category: 'order', streamId: '42' })
   */
  head(stream: StreamRef): Promise<number> {
    return this.#open(() => lastVersion(this.#db, stream))
  }

  /**
   * Returns the streams of a category, with the versions and positions of their last events. They are in the order of the bytes
   * of their ids; the last id of a page is the `after` of the next one. It takes two index probes a stream.
   *
   * @throws ValidationError if the category or an option is invalid
   * @example
   * const page = await meow.streams('order', { prefix: '2026-', limit: 50 })
   * const next = await meow.streams('order', { prefix: '2026-', limit: 50, after: page.at(-1)!.streamId })
   */
  streams(category: string | AnyCategory, options?: StreamsOptions): Promise<StreamInfo[]> {
    return this.#open(() => streams(this.#db, category, options))
  }

  /**
   * Returns all events of a correlation id, in position order: those with this `metadata.correlationId`, and the event that has
   * it as its own id. The id of any event gives the events of the correlation that it belongs to.
   *
   * The events are as they are stored, without upcasting. An index on the correlation id finds them.
   *
   * @throws ValidationError if the id is no text, or the limit is invalid
   * @example
   * for (const { type, metadata } of await meow.trace(request.id)) console.log(type, 'because of', metadata.causationId)
   */
  trace(id: string, options?: TraceOptions): Promise<RecordedEvent[]> {
    return this.#open(() => trace(traceSource(this.#db), id, options))
  }

  /**
   * Returns the selected events as a cold Observable: first the stored events after `from`, then new ones as they are appended.
   *
   * Events come in position order, each exactly once, and never one that could still roll back. A lost connection is not an
   * error: the Observable continues after the last event that it emitted.
   *
   * **There is no back-pressure**, because RxJS has none. If your consumer is slow, use `iterate` or a subscription.
   *
   * @throws HistoryLostError (as an error of the Observable) if a standby took over that is missing events: emitted events may
   *   no longer exist, and their positions will be used again; also if `from` is ahead of the store's last position
   * @throws UpcastError (as an error of the Observable) if a zod category cannot read a stored event
   * @example
   * meow.events({ category: 'order' }, { from: 'end' }).subscribe((event) => console.log(event.type))
   */
  events<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    selector: Selector<C, T>,
    options?: EventsOptions,
  ): Observable<SelectedEvent<C, T>> {
    return this.#observer.events(selector, options) as Observable<SelectedEvent<C, T>>
  }

  /**
   * Returns the same events as an async iterable, which reads at most two pages ahead of its consumer (2,000 events, or half
   * of `maxBufferedBytes`). It throws the errors of `events`.
   *
   * @example
   * for await (const event of meow.iterate({ category: 'order' }, { live: false })) console.log(event.type)
   */
  iterate<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    selector: Selector<C, T>,
    options?: EventsOptions,
  ): AsyncIterable<SelectedEvent<C, T>> {
    return this.#observer.iterate(selector, options) as AsyncIterable<SelectedEvent<C, T>>
  }

  /**
   * Returns a durable subscription: a named consumer whose checkpoint is in the store. The first subscriber of `deliveries()`,
   * or the first call of `process()`, creates it in the store if that name is new.
   *
   * @param name not empty, at most 255 characters; in all processes it must have the same selector and number of partitions
   * @throws ValidationError if an option is invalid. If the name exists with another selector or number of partitions,
   *   `deliveries()` and `process()` fail with SubscriptionMismatchError
   * @example
   * const worker = meow.subscription('mailer', { category: 'order' }).process((event) => sendMail(event))
   */
  subscription<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    name: string,
    options: SubscriptionOptions<C, T>,
  ): DurableSubscription<SelectedEvent<C, T>> {
    return this.#subscriptions.get(name, options) as DurableSubscription<any>
  }

  /**
   * Returns all durable subscriptions, sorted by name: their selectors, owners, positions and lags.
   *
   * Large numbers of events are estimates, and then `lagIsEstimate` and `parkedIsEstimate` are true. That keeps the call below
   * a second with 500 subscriptions, even if they are far behind. `exact: true` counts every event: use it for few names.
   *
   * @throws ValidationError if an option is invalid
   * @throws TimeoutError if it takes longer than `queryTimeoutMs`, which an exact count may
   * @example
   * for (const { name, lag, lagIsEstimate } of await meow.subscriptions()) console.log(name, lagIsEstimate ? '~' : '', lag)
   * const [mailer] = await meow.subscriptions({ names: ['mailer'], exact: true })
   */
  subscriptions(options?: SubscriptionsOptions): Promise<SubscriptionInfo[]> {
    return this.#open(() => this.#list.read(options))
  }

  /**
   * Changes the selector or the number of partitions of a subscription that has no executor. What you leave out stays as it
   * is, and so do the position and the parked events. It makes all changes or none.
   *
   * **Events at or below its position are not delivered afterwards:** a category or type that you add starts after the
   * current position. If you change `partitions` (1 to 1024), all partitions start at the lowest of the old positions, so
   * some events are delivered again.
   *
   * @throws SubscriptionMismatchError if executors run or wait to run: the message names them; stop them first
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @throws ValidationError if the subscription reads a single stream and you give several categories, or none
   * @example
   * await meow.alterSubscription('mailer', { types: ['OrderPlaced', 'OrderShipped'], partitions: 4 })
   */
  alterSubscription(name: string, changes: SubscriptionChanges): Promise<void> {
    return this.#withSubscription(name, () => this.#administration.alter(name, changes))
  }

  /**
   * Moves a subscription: to the first event (`'start'`), to the current horizon (`'end'`), after a position, or to the first event
   * that was recorded at or after a moment (`{ since }`).
   *
   * It forgets the parked events and takes the leases away. Running executors continue at the new position; events that
   * they are handling can no longer be acked. It waits for a transactional handler that is running.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @throws HistoryLostError if the position is ahead of the store's last one: the events up to it would be skipped
   * @example
   * await meow.resetSubscription('mailer', { after: 4711 })
   * await meow.resetSubscription('mailer', { since: '2026-01-31T14:00Z' })
   */
  resetSubscription(name: string, to: From): Promise<void> {
    return this.#withSubscription(name, () => this.#administration.reset(name, to))
  }

  /**
   * Pauses a subscription, for all processes and until `resumeSubscription`. Executors take no further event; what
   * they hold, at most `maxInFlight` each, ends and is acked. A worker that starts meanwhile waits. Its state is `paused` in `status$` and in `subscriptions()`.
   *
   * It resolves when all running executors know; one that does not answer is waited for 10 s at most. Handlers that are running
   * are not waited for. If it is paused already, nothing changes. Reset, replay and delete work as usual: events are delivered
   * after it is resumed.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.pauseSubscription('mailer')
   */
  pauseSubscription(name: string): Promise<void> {
    return this.#withSubscription(name, () => this.#administration.pause(name))
  }

  /**
   * Lets a paused subscription go on, in all processes and at once. If it is not paused, nothing changes.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.resumeSubscription('mailer')
   */
  resumeSubscription(name: string): Promise<void> {
    return this.#withSubscription(name, () => this.#administration.resume(name))
  }

  /**
   * Deletes a subscription with its checkpoints and its parked events. Running executors end with an error, and so do calls of
   * `waitFor` that wait for it.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.deleteSubscription('mailer')
   */
  deleteSubscription(name: string): Promise<void> {
    return this.#withSubscription(name, () => this.#administration.delete(name))
  }

  /**
   * Returns the parked events of a subscription, including those that are being replayed. For each stream, in the order in
   * which the streams were parked, the first event is the one that failed; the later ones wait behind it.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * for (const { event, attempts, error } of await meow.parked('mailer')) console.log(event.streamId, attempts, error)
   */
  parked(name: string, options?: ParkedOptions): Promise<ParkedEvent[]> {
    return this.#withSubscription(name, () => this.#parked.list(name, options))
  }

  /**
   * Puts parked streams back, all or one: executors handle their events in order, before the stream's newer events.
   *
   * @returns the number of events that were put back; events that are already being replayed do not count again
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.replayParked('mailer', { streamId: '42' })
   */
  replayParked(name: string, options?: ReplayOptions): Promise<number> {
    return this.#withSubscription(name, () => this.#parked.replay(name, options))
  }

  /**
   * Skips the event for which a stream is parked, for ever. The later parked events of the stream are delivered again, in order,
   * before the stream's newer events. The event stays in its stream, and the store keeps what was discarded, when, why
   * and by whom (`discarded()`), also if the subscription is deleted. Only `resetSubscription` to an earlier position delivers
   * it again.
   *
   * @returns the number of later events that are delivered again
   * @throws ValidationError if no stream with this id is parked, or several categories have one and `category` is missing; if
   *   there is no `reason`
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.discardParked('mailer', { streamId: '42', reason: 'the address never existed, ticket 4711' })
   */
  discardParked(name: string, options: DiscardOptions): Promise<number> {
    return this.#withSubscription(name, () => this.#parked.discard(name, options))
  }

  /**
   * Returns the events of a subscription that were discarded, the newest first. There need not be such a subscription any more.
   *
   * @param options `limit`: default 100, minimum 1, maximum 100_000
   * @example
   * for (const { event, reason, discardedBy } of await meow.discarded('mailer')) console.log(event.streamId, reason, discardedBy)
   */
  discarded(name: string, options?: ParkedOptions): Promise<DiscardedEvent[]> {
    return this.#open(() => this.#parked.discarded(name, options))
  }

  /**
   * Waits until a subscription has handled or parked the event at a position, so that any process can read its own writes. If
   * the subscription does not select the event at that position, it waits until all partitions have reached the position.
   *
   * @throws TimeoutError after `timeoutMs` (default 5000, minimum 1)
   * @throws SubscriptionNotFoundError if there is no subscription with this name, or it was deleted
   * @throws ClosedError if the store is closing; if `signal` aborts, it rejects with the signal's reason
   * @example
   * const { position } = await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: {} })
   * await meow.waitFor('order-list', position)
   */
  waitFor(name: string, position: number, options?: WaitOptions): Promise<void> {
    return this.#open(() => this.#waiting.waitFor(name, position, options))
  }

  /**
   * Erases a stream: empties its events, deletes its snapshots, blanks the errors of its parked events, and appends a tombstone,
   * an event of type `$erased`. It does all of this or nothing.
   *
   * An emptied event keeps its id, version, position, type and time; its data is `{}` and its metadata `{ erased: true }`. A zod
   * category reads it as `known: false`; code that folds events only by their type has to skip it. A second call empties the
   * events that were appended since the first; if there are none, it writes nothing.
   *
   * **It erases the store, but no copies:** read models, delivered events, backups, WAL, and the memory of running processes
   * (`watch` keeps its state, a handler keeps its event). Erase read models when you handle the tombstone; a subscription with
   * `types` must select `$erased` too. The files of the table hold the old rows until it is vacuumed. Names of streams, types
   * and `recordedAt` stay.
   *
   * It needs a privilege of its own (role `meowmx_eraser` in SECURITY.md). A very long stream may take longer than
   * `queryTimeoutMs`: connect with a larger value. If an error leaves the outcome open, call it again.
   *
   * @returns the number of emptied events, and the tombstone; 0 and null if the stream does not exist
   * @throws ConnectionError if this role lacks the privilege
   * @throws ValidationError if the stream is invalid, or `reason` has more than 255 characters
   * @example
   * const { events } = await meow.eraseStream({ category: 'customer', streamId: '42' }, { reason: 'GDPR 17, ticket 4711' })
   */
  eraseStream(stream: StreamRef, options?: EraseOptions): Promise<Erased> {
    return this.#open(() => this.#erasure.erase(stream, options))
  }

  /**
   * Returns one version of a projection, a read model in tables of its own: `start()` runs it in this process.
   *
   * @param definition what `defineProjection` returns
   * @throws ValidationError if the definition is invalid, or the name of its schema would be too long
   * @example
   * const projection = meow.projection(orders)
   * const worker = projection.start()
   */
  projection<C extends string | AnyCategory = string>(definition: ProjectionDefinition<C>): Projection {
    return this.#projectionVersions.get(definition)
  }

  /**
   * Returns the versions of all projections, sorted by name and version, with their states and their progress. A rebuild that is
   * under way is one more entry, with a higher `generation`.
   *
   * @example
   * for (const { name, version, state, lag } of await meow.projections()) console.log(name, version, state, lag)
   */
  projections(): Promise<ProjectionInfo[]> {
    return this.#open(() => this.#projectionVersions.list())
  }

  /**
   * Makes a version of a projection the live one, a newer or an older one, in one transaction: readers see all views of the one
   * version or of the other. Privileges and comments of the views stay. If it is live already, nothing changes.
   *
   * The version must be complete. One that is up to date shows at least what the live one has shown. An older one that no process
   * runs may be behind: you can go back to it in any case.
   *
   * @throws ProjectionRefusedError if it is not complete, or other objects depend on a view that would lose or change columns: the
   *   message names them; nothing was changed
   * @throws ProjectionNotFoundError if there is no such version
   * @throws TimeoutError after `timeoutMs` (default 30_000), if long queries use the views all the time
   * @example
   * await meow.activateProjection('orders', 1)
   */
  activateProjection(name: string, version: number, options?: SwitchOptions): Promise<void> {
    return this.#open(() => this.#projectionVersions.activate(name, version, options))
  }

  /**
   * Builds the live version of a projection once more, beside itself, and switches over: readers notice nothing. Processes that run
   * this version do the work. It resolves when it is done; if it rejects before, or this process ends, the rebuild goes on, and
   * another call waits for it.
   *
   * @throws ProjectionRefusedError if no process runs the live version, or streams were parked, so that it is not switched to
   * @throws ProjectionNotFoundError if there is no live version
   * @throws TimeoutError after `timeoutMs` (default: no limit)
   * @example
   * await meow.rebuildProjection('orders')
   */
  rebuildProjection(name: string, options?: RebuildOptions): Promise<void> {
    return this.#open(() => this.#projectionVersions.rebuild(name, options))
  }

  /**
   * Drops a version of a projection with its tables and its subscription. Its processes end with an error. A version that was live
   * once does not come back if an old process starts it; one that was never live can be built anew under the same number.
   *
   * @throws ProjectionRefusedError if the version is live, or other objects depend on its tables: the message names them
   * @throws ProjectionNotFoundError if there is no such version
   * @throws TimeoutError after `timeoutMs` (default 30_000), if somebody uses its tables all the time
   * @example
   * await meow.dropProjection('orders', 1)
   */
  dropProjection(name: string, version: number, options?: SwitchOptions): Promise<void> {
    return this.#open(() => this.#projectionVersions.drop(name, version, options))
  }

  /**
   * Waits until all subscriptions of the store, or those in `names`, have handled or parked everything that was appended before
   * the call, in any process. A subscription that is paused, or that no process works on, never gets there: name the others.
   *
   * @throws TimeoutError after `timeoutMs` (default 5000, minimum 1); it names a subscription that was not there yet
   * @throws SubscriptionNotFoundError if there is no subscription with one of the names
   * @throws ClosedError if the store is closing; if `signal` aborts, it rejects with the signal's reason
   * @example
   * await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: {} })
   * await meow.settled({ names: ['order-list', 'mailer'] })
   */
  settled(options?: SettledOptions): Promise<void> {
    return this.#open(() => this.#waiting.settled(options))
  }

  /**
   * Says whether this process can work with the store, for probes: whether the database answers, whether its schema is that of
   * this version, whether events are pushed, and, with `maxLag`, whether a subscription has more events to handle than that.
   * It does not reject because of what is wrong: `ok` is false then, and the `message` of a check says why.
   *
   * For a readiness probe take `ok`. For a liveness probe it is enough that the call returns: to restart a process because the
   * database is away makes matters worse.
   *
   * @param options `maxLag`: minimum 0, default: lags are not checked; `timeoutMs`: after which the database counts as away,
   *   default 5000, minimum 1
   * @throws ValidationError if an option is invalid; ClosedError after `close()`
   * @example
   * app.get('/ready', async (_, response) => {
   *   const { ok, checks } = await meow.health({ maxLag: 10_000 })
   *   response.status(ok ? 200 : 503).json(checks)
   * })
   */
  health(options?: HealthOptions): Promise<Health> {
    return this.#open(() => health(this.#db, this.#live.listener, this.#list, options))
  }

  /**
   * Returns the blocking transactions, the oldest first: open transactions that have begun to append. Events that others append
   * meanwhile are stored, but delivered only after these transactions have ended.
   *
   * @example
   * for (const { pid, since, category } of await meow.stallers()) console.log(pid, since, category)
   */
  stallers(): Promise<Staller[]> {
    return this.#open(() => this.#stallers.read())
  }

  /**
   * Loads an aggregate from the events of its stream: `new Class(events)`, with an empty list if the stream does not exist.
   *
   * @throws ValidationError if `Class` is not a class, or its `category` or the `streamId` is invalid
   * @example
   * const account = await meow.loadAggregate(Account, 'ann')
   */
  loadAggregate<A>(Class: AggregateClass<A>, streamId: string, options?: AggregateOptions): Promise<A> {
    return this.#open(() => this.#aggregates.load(Class, streamId, options))
  }

  /**
   * Appends the events that an aggregate has emitted, if its stream has not changed since it was loaded, and then calls `saved()`.
   *
   * After a save that failed, the same events are still pending. With `client` they count as saved before you commit: if you
   * roll back, load the aggregate again.
   *
   * @returns what `append` returns; if no event is pending, nothing is written
   * @throws VersionConflictError if another writer got there first: load the aggregate again and repeat the command
   * @throws the other errors of `append`. After OutcomeUnknownError append its `events` with their ids, then load again
   * @example
   * account.deposit(5)
   * await meow.saveAggregate(account)
   */
  saveAggregate(aggregate: Aggregate, options?: AggregateOptions): Promise<AppendResult> {
    return this.#open(() => this.#aggregates.save(aggregate, options))
  }

  /**
   * Decides on a command: loads the stream's state, lets the decider make events, and appends them; retries if another writer
   * got there first.
   *
   * With `snapshotEvery`, a long stream is read only from its last snapshot on. If a snapshot cannot be saved, the log has a
   * warning and the next call takes longer; nothing else changes.
   *
   * @returns the state after the new events, and the result of the append
   * @throws VersionConflictError if other writers got there first in the first attempt and in all `retries`
   * @throws what the decider throws, and the other errors of `append`. If `evolve` throws on a new event, that event is written
   * @example
   * const { state } = await meow.decide(show, 'hamlet', { seats: 2 })
   * const { result } = await meow.decide(show, 'hamlet', { seats: 2 }, { expectedVersion: 7, idempotencyKey: request.id })
   */
  decide<C, E, S>(
    decider: Decider<C, E, S>,
    streamId: string,
    command: C,
    options?: DecideOptions,
  ): Promise<Decision<S>>
  /**
   * Decides on a command with a decision model, over several streams: queries by tags, lets the model make events, and appends them
   * under the condition that no other event matches the query meanwhile; retries if one does.
   *
   * @returns the state after the new events, and the results of the append
   * @throws ConditionFailedError if other writers got there first in the first attempt and in all `retries`
   * @throws what the model throws, and the other errors of `append`. If `evolve` throws on a new event, that event is written
   * @example
   * const { state, results } = await meow.decide(subscribe, { course: 'sql', student: 'ada' })
   */
  decide<C, E, S>(
    model: DecisionModel<C, E, S>,
    command: C,
    options?: ModelDecideOptions,
  ): Promise<ModelDecision<S>>
  decide(model: any, ...args: [any, any?, any?]): Promise<any> {
    return this.#open<unknown>(() =>
      isDecisionModel(model)
        ? this.#modelDecisions.decide(model, args[0], args[1])
        : this.#decisions.decide(model, ...(args as [any, any, any])),
    )
  }

  /**
   * Returns the state of a stream, after all of its events or before a given version.
   *
   * @returns `version`: the version of the last event in the state; -1 if there is none, and the state is `initial`
   * @throws what `evolve` throws
   * @example
   * const { state, version } = await meow.state(show, 'hamlet')
   * const yesterday = await meow.state(show, 'hamlet', { toVersion: 17 })
   */
  state<C, E, S>(
    decider: Decider<C, E, S>,
    streamId: string,
    options?: StateOptions,
  ): Promise<{ state: S; version: number }> {
    return this.#open(() => this.#states.state(decider, streamId, options))
  }

  /**
   * Returns the state of a stream as a cold Observable: the current state, then the state after each new event; completes on close.
   *
   * Subscribers that watch the same stream with the same decider share one load and one fold; each gets the latest state
   * first. A lost connection is not an error: the Observable continues. If a standby took over that is missing events, it
   * continues with the state that the stream has there.
   *
   * **There is no back-pressure:** if you are slow and need only the latest state, use `auditTime` or a similar operator.
   *
   * @throws what `evolve` throws (as an error of the Observable)
   * @example
   * meow.watch(show, 'hamlet').subscribe(({ state, version }) => console.log(version, state.free))
   */
  watch<C, E, S>(decider: Decider<C, E, S>, streamId: string): Observable<Watched<S>> {
    return this.#watches.watch(decider, streamId)
  }

  /**
   * Makes a timer: appends events when it is due, once. It fires while any worker of the store runs, in any process
   * (`process`, `processBatches`, `runProcessManager`, `runTimers`), never before its time by the database's clock, and within
   * some ms after it. If none runs then, it fires as soon as one does.
   *
   * A timer with the same key is replaced. A timer of the same key, time and events that has fired does not fire again, so a
   * repeated call is safe.
   *
   * If the append is refused (a VersionConflictError, for instance), it is tried again with pauses of 0.1 to 30 s, at most 10
   * times, while other timers go on. Then the timer is kept as failed: `scheduled()` shows it with the error, until you schedule it
   * anew, run it (`runTimer`) or unschedule it. A conflict that no later attempt can solve fails at once.
   *
   * @param key names the timer; not empty, at most 255 characters
   * @param due a Date in the years 1 to 9999, or `{ inMs }` from now, at least 0, at most 100 years
   * @param write what `appendAll` takes; it is checked now. The events inherit the context of this call (`causationId`)
   * @param options `client`: in the caller's transaction, so that the timer exists if that commits
   * @throws ValidationError if the key, the time or an event is invalid; nothing is written
   * @example
   * const stream = { category: 'order', streamId: '42' }
   * await meow.schedule('pay-42', { inMs: 15 * 60_000 }, { stream, events: { type: 'PaymentOverdue', data: {} } })
   */
  schedule(key: string, due: Due, write: StreamWrite, options?: TimerOptions): Promise<void> {
    return this.#open(() => this.#timers.schedule(key, due, write, options))
  }

  /**
   * Deletes a timer. If it is being fired at this moment, it waits for that.
   *
   * @returns whether there was one; false: it has fired, or never existed
   * @example
   * if (!(await meow.unschedule('pay-42'))) console.log('too late')
   */
  unschedule(key: string, options?: TimerOptions): Promise<boolean> {
    return this.#open(() => this.#timers.unschedule(key, options))
  }

  /**
   * Returns the timers that have not fired, in the order of their times: also those that failed (`failure`).
   *
   * @param options `limit`: default 100, minimum 1, maximum 100_000; `prefix`: only keys that begin with it
   * @example
   * for (const { key, due, failure } of await meow.scheduled({ prefix: 'pay-' })) console.log(key, due, failure?.error)
   */
  scheduled(options?: ScheduledOptions): Promise<ScheduledTimer[]> {
    return this.#open(() => this.#timers.scheduled(options))
  }

  /**
   * Fires a timer now, whether it is due or not, also one that failed. It rejects with the error of the append if that is refused;
   * then the timer stays as it is.
   *
   * @returns false: there is no timer with this key
   * @example
   * await meow.runTimer('pay-42')
   */
  runTimer(key: string): Promise<boolean> {
    return this.#open(() => this.#timers.run(key))
  }

  /**
   * Fires timers until the worker is stopped. A process that runs any worker does that by itself; this is for one that runs none.
   * All workers of a process share one loop, which asks nothing of the database while no timer is due.
   *
   * @returns the worker; `ready` and `done` reject if this role may not fire timers (SECURITY.md: a writer may)
   * @throws ClosedError if the store is closed
   * @example
   * const worker = meow.runTimers()
   * await worker.stop()
   */
  runTimers(): Worker {
    if (this.#closing) throw new ClosedError()
    return new TimerWorker(this.#timerRunner, this.#stopping.signal, this.#db.settings.logger)
  }

  /**
   * Runs a process manager (`defineProcessManager`) in this process; run it in as many as you like. It is a durable subscription of
   * the same name, with what belongs to one: pause, parked events, lag.
   *
   * An input locks its instance, so each instance has one input at a time. Its new state, the events that it appends (caused by
   * the input), its timers and the checkpoint are written in one transaction: exactly once. An input that fails is tried again, then
   * parked like any event; a timer that fails is tried again, then kept as failed (`processInstances`, `retryProcessTimers`).
   *
   * The role must be able to append and to subscribe (SECURITY.md).
   *
   * @throws ValidationError if the definition is invalid; ClosedError if the store is closed
   * @example
   * const worker = meow.runProcessManager(deadline)
   * await worker.stop()
   */
  runProcessManager<C extends string | AnyCategory, S, T extends string>(
    processManager: ProcessManager<C, S, T>,
  ): Worker {
    return this.#processes.run(processManager)
  }

  /**
   * Returns the instances of a process manager with their states and timers, those that changed last first.
   *
   * @param options `id`: only this one; `limit`: default 100, minimum 1, maximum 100_000
   * @throws SubscriptionNotFoundError if there is no process manager with this name
   * @example
   * const [order] = await meow.processInstances('payment-deadline', { id: '42' })
   * console.log(order?.state, order?.timers)
   */
  processInstances(name: string, options?: ProcessInstancesOptions): Promise<ProcessInstance[]> {
    return this.#withSubscription(name, () => this.#processes.instances(name, options))
  }

  /**
   * Tries timers of a process manager that have failed again now: those of all instances, or of one (`id`).
   *
   * @returns how many
   * @throws SubscriptionNotFoundError if there is no process manager with this name
   * @example
   * await meow.retryProcessTimers('payment-deadline', { id: '42' })
   */
  retryProcessTimers(name: string, options?: { id?: string | undefined }): Promise<number> {
    return this.#withSubscription(name, () => this.#processes.retryTimers(name, options))
  }

  /**
   * Deletes an instance of a process manager, with its state and timers, for instance because they contain personal data. A later
   * event begins a new one.
   *
   * @returns whether there was one
   * @example
   * await meow.deleteProcessInstance('payment-deadline', '42')
   */
  deleteProcessInstance(name: string, id: string): Promise<boolean> {
    return this.#open(() => this.#processes.delete(name, id))
  }

  /**
   * Closes the store: waits for running calls and handlers, completes every Observable, and leaves no connection or timer
   * open. You may call it twice.
   *
   * After `timeoutMs` (in ms, default 30_000, minimum 0) it stops waiting and logs a warning. It then gives up handlers, as
   * `worker.stop({ timeoutMs })` does, and cuts the connections of appends and reads: an append rejects with ClosedError, or
   * with OutcomeUnknownError if it was already sent. The shortest limit of several calls counts. The hand-over of partitions may take
   * 5 s more if the database does not answer. `await using` closes with the default.
   *
   * @throws ValidationError if `timeoutMs` is invalid; nothing is closed
   * @throws DeadlockError if a handler of this store waits for `close()` without a `timeoutMs`; the store closes all the same
   * @example
   * await meow.close({ timeoutMs: 10_000 })
   */
  close(options: StopOptions = {}): Promise<void> {
    try {
      const { timeoutMs } = parse(closeOptionsSchema, options, 'options')
      const call =
        options.timeoutMs === undefined ? enclosingCall(({ store }) => store === this.#db) : undefined
      this.#closing ??= this.#close()
      this.#limit.set(timeoutMs)
      return rejectOwnHandler('meow.close()', this.#closing, call, this.#db.clock)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#stopping.abort()
    // Handlers that are still running may append and read.
    this.#closed = !this.#subscriptions.running
    this.#observer.close()
    this.#watches.close()
    this.#waiting.close()
    this.#projectionVersions.close()
    const { up, over } = this.#limit
    await this.#subscriptions.close(this.#limit)
    await this.#timerRunner.close(up)
    this.#closed = true
    const forget = whenAborted(up, () => this.#giveUp())
    try {
      const live = this.#live.close()
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
      this.#db.telemetry?.close()
      await settledOrAborted(Promise.all([live, this.#db.close()]), over)
    } finally {
      forget()
      this.#limit.clear()
    }
  }

  /** Stops waiting for the calls that are still running. */
  #giveUp(): void {
    const { size: calls } = this.#calls
    if (calls > 0)
      this.#db.settings.logger.warn({ calls }, 'close() gave up waiting for calls that have not ended')
    this.#db.giveUp()
  }

  /** Runs an action on a subscription. It also works right after `process()`, which creates the subscription. */
  #withSubscription<T>(name: string, action: () => Promise<T>): Promise<T> {
    return this.#open(() => this.#subscriptions.known(name, action))
  }

  #open<T>(action: () => Promise<T>): Promise<T> {
    // The inline projection of a running append must be able to finish.
    if (this.#closed && !this.#projections.isInsideHandler) return Promise.reject(new ClosedError())
    const call = action()
    this.#calls.add(call)
    const forget = () => this.#calls.delete(call)
    call.then(forget, forget)
    return call
  }
}
