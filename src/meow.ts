import type { Observable } from 'rxjs'
import { filter, skip } from 'rxjs'
import type { AppendOptions, StreamWrite } from './append/append.ts'
import { Appender } from './append/append.ts'
import { Batch } from './append/batch.ts'
import { Batcher } from './append/batcher.ts'
import { ProjectedAppends } from './append/projected.ts'
import type { ProjectionHandler } from './append/projections.ts'
import { Projections } from './append/projections.ts'
import type { AppendResult } from './append/request.ts'
import { TracedAppender } from './append/traced-appender.ts'
import { settledOrAborted, whenAborted } from './core/abort.ts'
import { ClosedError } from './core/errors.ts'
import type { StopOptions } from './core/stop-options.ts'
import { closeOptionsSchema, TimeLimit } from './core/stop-options.ts'
import { parse } from './core/validate.ts'
import type { ConnectOptions } from './database/connect-options.ts'
import { connectSettings } from './database/connect-options.ts'
import { Database } from './database/database.ts'
import { checkHealth } from './database/health.ts'
import { migrate } from './database/migrate.ts'
import type { NewEvent, StreamRef } from './events/event.ts'
import { enclosingCall } from './events/event-context.ts'
import { rejectOwnHandler } from './events/own-handler.ts'
import type { Selector } from './events/selector.ts'
import type { AnyCategory, EventOf, NewEventOf, SelectedEvent } from './events/types.ts'
import { Live } from './live/live.ts'
import type { EventsOptions, From } from './live/observer.ts'
import { Observer } from './live/observer.ts'
import { fromDatabase } from './live/source.ts'
import type { Aggregate, AggregateClass, AggregateOptions } from './models/aggregate.ts'
import { Aggregates } from './models/aggregate.ts'
import type { Decider } from './models/decider.ts'
import type { DecideOptions, Decision } from './models/decisions.ts'
import { Decisions } from './models/decisions.ts'
import { Snapshots } from './models/snapshots.ts'
import type { StateOptions } from './models/states.ts'
import { States } from './models/states.ts'
import type { Watched } from './models/watches.ts'
import { Watches } from './models/watches.ts'
import { listenConnectionOf } from './notify/channel-registry.ts'
import { Duty } from './notify/coalescing/duty.ts'
import type { StoreStatus } from './notify/listener.ts'
import { headBy } from './read/head.ts'
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
import { TracedReader } from './read/traced-reader.ts'
import type { SubscriptionChanges } from './subscriptions/admin/administer.ts'
import { Administration } from './subscriptions/admin/administer.ts'
import type { Erased, EraseOptions } from './subscriptions/admin/erase.ts'
import { Erasure } from './subscriptions/admin/erase.ts'
import type { ParkedEvent, ParkedOptions, ReplayOptions } from './subscriptions/admin/parked.ts'
import { Parking } from './subscriptions/admin/parked.ts'
import type { Staller } from './subscriptions/admin/stallers.ts'
import { StallerList } from './subscriptions/admin/stallers.ts'
import type { SubscriptionInfo, SubscriptionsOptions } from './subscriptions/admin/subscriptions.ts'
import { SubscriptionList } from './subscriptions/admin/subscriptions.ts'
import type { WaitOptions } from './subscriptions/admin/wait.ts'
import { Waiting } from './subscriptions/admin/wait.ts'
import type { SubscriptionOptions } from './subscriptions/options.ts'
import type { DurableSubscription } from './subscriptions/subscription.ts'
import { Subscriptions } from './subscriptions/subscriptions.ts'
import { findTelemetry } from './telemetry/load.ts'

/**
 * Open a store: check the options, reach the server, start the listener.
 *
 * @throws ValidationError for an option that can't be right
 * @throws ConnectionError where there is no server, no entry, no rights
 * @throws SchemaError where the schema is newer than this library, or in a state in which events could be lost
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
 * A store: one PostgreSQL schema that holds events. Made by `connect`.
 *
 * Beside what each method says it throws, all may reject with ValidationError (before anything is sent), ConnectionError (no
 * server, no rights), SchemaError (not migrated) and ClosedError (behind `close()`).
 */
export class Meow implements AsyncDisposable {
  readonly #db: Database
  readonly #duty: Duty
  readonly #batcher: Batcher
  readonly #projections: Projections
  readonly #projected: ProjectedAppends
  readonly #appender: Appender
  readonly #reader: Reader
  readonly #live: Live
  readonly #observer: Observer
  readonly #subscriptions: Subscriptions
  readonly #list: SubscriptionList
  readonly #administration: Administration
  readonly #erasure: Erasure
  readonly #parking: Parking
  readonly #waiting: Waiting
  readonly #stallers: StallerList
  readonly #aggregates: Aggregates
  readonly #states: States
  readonly #decisions: Decisions
  readonly #watches: Watches
  readonly #calls = new Set<Promise<unknown>>() // under way
  readonly #limit: TimeLimit
  #closing: Promise<void> | undefined
  #closed = false

  /** How push stands: the current value first, then each change; completes on close. */
  readonly status$: Observable<StoreStatus>

  /** @internal Use `connect`. */
  constructor(db: Database) {
    this.#duty = new Duty(db)
    const saw = (position: number) => this.#duty.saw(position)
    const batch = new Batch(db, saw)
    this.#db = db
    this.#limit = new TimeLimit(db.clock)
    this.#batcher = new Batcher(db, batch)
    this.#projections = new Projections(db)
    this.#projected = new ProjectedAppends(db, batch, this.#projections)
    const { telemetry } = db
    const reader = new Reader(db)
    const head = headBy(reader)
    this.#appender = telemetry
      ? new TracedAppender(batch, this.#batcher, head, this.#projected, telemetry)
      : new Appender(batch, this.#batcher, head, this.#projected)
    this.#reader = telemetry ? new TracedReader(db, telemetry) : reader
    this.#live = new Live(db, db.settings.listen ? listenConnectionOf(db) : undefined, saw)
    this.#observer = new Observer(fromDatabase(db, this.#live, reader))
    this.#subscriptions = new Subscriptions(db, this.#live, reader)
    this.#list = new SubscriptionList(db)
    this.#administration = new Administration(db, (position) => reader.reaches(position))
    this.#erasure = new Erasure(db, this.#projections, this.#projected)
    this.#parking = new Parking(db)
    this.#waiting = new Waiting(db, this.#live.listener, (name, read, signal) =>
      this.#subscriptions.known(name, read, signal),
    )
    this.#stallers = new StallerList(db)
    this.#aggregates = new Aggregates(this.#reader, this.#appender)
    const snapshots = new Snapshots(db)
    this.#states = new States(this.#reader, snapshots)
    this.#decisions = new Decisions(this.#states, snapshots, this.#appender, db.clock)
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
   * Create the schema, or bring it up to date; all of it or nothing. Does nothing where nothing is to be done, and is
   * safe when run by many processes at once. Needs the right to create in the database.
   *
   * Of a schema that was renamed or copied it installs all functions and triggers once more, for they still work in the old one.
   *
   * @returns the schema files that were applied, e.g. `['001_events.sql', …]`, and `'functions'` if functions or triggers were
   * installed or dropped; or none
   * @throws SchemaError if the schema is newer than this library, or the encoding of the database is not UTF8
   */
  async migrate(): Promise<{ applied: string[] }> {
    const result = await migrate(this.#db)
    await checkHealth(this.#db)
    return result
  }

  /**
   * Append one event or several to one stream, all or none.
   *
   * Appends that run concurrently in this process travel together, each with its own outcome. A retry with the same
   * ids is safe for ever: it returns the first result, with `deduplicated: true`.
   *
   * @throws ValidationError for what JSON or PostgreSQL can't hold, before anything is sent
   * @throws VersionConflictError where the stream is not as `expectedVersion` says; nothing is written
   * @throws DuplicateEventError where an id is known with another stream, type or data
   * @throws OutcomeUnknownError where the connection broke after sending and stayed away
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
   * Append to several streams, all or none; results in the order of `writes`. Errors as of `append`.
   *
   * @example
   * await meow.appendAll([
   *   { stream: { category: 'account', streamId: 'a' }, events: { type: 'Withdrawn', data: { amount: 5 } }, expectedVersion: 3 },
   *   { stream: { category: 'account', streamId: 'b' }, events: { type: 'Deposited', data: { amount: 5 } } },
   * ])
   */
  appendAll(
    writes: readonly StreamWrite[],
    options?: Pick<AppendOptions, 'client'>,
  ): Promise<AppendResult[]> {
    return this.#open(() => this.#appender.appendAll(writes, options))
  }

  /**
   * Project inline: a handler of what is appended to a category, or several, in the transaction of the append. What it writes
   * through `client` is committed with the events, or not at all; where it throws, that append rejects with what it threw, and
   * nothing of it is written. Several are called in the order of their registration, each once a call of `append`,
   * `appendAll`, `decide` or `saveAggregate`, with the events of its categories; not for a retry that is deduplicated.
   *
   * **Only what this process appends through this store object is projected:** register it in every process that appends,
   * before the first append. What raw SQL or another process appends passes it by. When in doubt take a subscription with
   * `transactional`, which misses nothing.
   *
   * The append is open until the handler is done, and readers of the category wait for it: be quick. One that takes longer
   * than `queryTimeoutMs` fails. A lost race or connection runs it again, in a new transaction: it must have no effects but
   * through `client`. What it appends is given that `client` too, and tells of the last of the events as its cause.
   *
   * @returns takes it back: appends from then on are without it
   * @throws ValidationError for what can't be a category, or no function
   * @throws MeowError (`ERR_PROJECTION`, as an append's) where a handler ends the transaction, or hides that a query failed
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
   * The events of one stream, the whole stream unless limited; none where there is no such stream. It is read by pages, so a
   * long one takes no longer query than a short one, but all that is returned is in memory.
   *
   * @throws UpcastError where the stream's zod category can't read what is stored
   * @example
   * const events = await meow.load({ category: 'order', streamId: '42' }, { fromVersion: 10 })
   */
  load<S extends StreamRef>(stream: S, options?: LoadOptions): Promise<EventOf<S>[]> {
    return this.#open(() => this.#reader.load(stream, options) as Promise<EventOf<S>[]>)
  }

  /** @internal The first events that `load` would return, as many as one query reads. */
  loadPage(stream: StreamRef, options?: LoadOptions): Promise<StreamPage> {
    return this.#open(() => this.#reader.loadPage(stream, options))
  }

  /** @internal Do something with the database below, as one of its calls. */
  use<T>(action: (db: Database) => Promise<T>): Promise<T> {
    return this.#open(() => action(this.#db))
  }

  /**
   * One page of events in position order, up to the horizon: nothing can still appear in what it covers.
   *
   * @returns `position`: where the next page begins (`after`); it moves on where nothing is selected, too. It, and not the
   *   number of events, tells whether that was all: it is at the horizon (or `until`) then
   * @throws UpcastError where a zod category can't read what is stored
   * @example
   * let after = 0
   * const page = await meow.read({ category: 'order' }, { after, limit: 100 })
   * after = page.position
   */
  read<C extends string | AnyCategory = string>(
    selector: Selector<C>,
    options?: ReadOptions,
  ): Promise<ReadResult<SelectedEvent<C>>> {
    const read = () => this.#reader.read(selector, options)
    return this.#open(read as () => Promise<ReadResult<SelectedEvent<C>>>)
  }

  /**
   * All categories, by name, with what they hold.
   *
   * **It counts every event**, from an index: about 1 s for 3,000,000. What is called again and again asks for names only
   * (`counts: false`), or adds what has come since (`after`).
   *
   * @throws ValidationError for an option that can't be right
   * @throws TimeoutError if it takes longer than `queryTimeoutMs`
   * @example
   * for (const { category, streams, events } of await meow.categories()) console.log(category, streams, events)
   * const names = await meow.categories({ counts: false }) // and their last positions
   */
  categories(options: CategoriesOptions & { counts: false }): Promise<CategoryName[]>
  categories(options?: CategoriesOptions & { counts?: true }): Promise<CategoryInfo[]>
  categories(options?: CategoriesOptions): Promise<any[]> {
    return this.#open(() => this.#reader.categories(options))
  }

  /**
   * Events as a cold Observable: catches up from `from`, then goes on live, in position order, each exactly once;
   * never an event that could still roll back. A lost connection is not an error: it goes on where it was.
   *
   * **No back-pressure:** RxJS has none. A slow consumer takes `iterate` or a subscription.
   *
   * @throws (as an error of the Observable) HistoryLostError where a server took over that had not got all that was seen: what
   *   was emitted may exist no longer, and its positions come again; or if `from` is ahead of the store's last position
   * @throws (likewise) UpcastError where a zod category can't read what is stored
   * @example
   * meow.events({ category: 'order' }, { from: 'end' }).subscribe((event) => console.log(event.type))
   */
  events<C extends string | AnyCategory = string>(
    selector: Selector<C>,
    options?: EventsOptions,
  ): Observable<SelectedEvent<C>> {
    return this.#observer.events(selector, options) as Observable<SelectedEvent<C>>
  }

  /**
   * The same events, pulled: reads at most two pages ahead of its consumer (2,000 events, or half of `maxBufferedBytes`).
   * Throws as `events` errors.
   *
   * @example
   * for await (const event of meow.iterate({ category: 'order' }, { live: false })) console.log(event.type)
   */
  iterate<C extends string | AnyCategory = string>(
    selector: Selector<C>,
    options?: EventsOptions,
  ): AsyncIterable<SelectedEvent<C>> {
    return this.#observer.iterate(selector, options) as AsyncIterable<SelectedEvent<C>>
  }

  /**
   * A durable, named consumer with a checkpoint in the store. Nothing happens before `deliveries()` is subscribed to,
   * or `process()` is called; then it is made, or found by its name as it is.
   *
   * @param name non-empty, at most 255 characters; with its selector and partitions it is the same in all processes
   * @throws ValidationError for an option that can't be right; whoever runs it hears of a SubscriptionMismatchError
   * @example
   * const worker = meow.subscription('mailer', { category: 'order' }).process((event) => sendMail(event))
   */
  subscription<C extends string | AnyCategory = string>(
    name: string,
    options: SubscriptionOptions<C>,
  ): DurableSubscription<SelectedEvent<C>> {
    return this.#subscriptions.get(name, options) as DurableSubscription<any>
  }

  /**
   * All durable subscriptions, by name: what each consumes, who owns its partitions, how far it is and how far behind.
   *
   * Large numbers of events are estimated, and `lagIsEstimate` and `parkedIsEstimate` say so. So the call takes less than
   * a second with 500 subscriptions, however far they are behind. `exact: true` counts every event: ask for few names then.
   *
   * @throws ValidationError for an option that can't be right
   * @throws TimeoutError if it takes longer than `queryTimeoutMs`, as an exact count may
   * @example
   * for (const { name, lag, lagIsEstimate } of await meow.subscriptions()) console.log(name, lagIsEstimate ? '~' : '', lag)
   * const [mailer] = await meow.subscriptions({ names: ['mailer'], exact: true })
   */
  subscriptions(options?: SubscriptionsOptions): Promise<SubscriptionInfo[]> {
    return this.#open(() => this.#list.read(options))
  }

  /**
   * Change what a subscription consumes, or its number of partitions, while nobody owns it; what is left out stays, as do
   * its position and its parked events. All or nothing.
   *
   * **Events below its position stay behind it:** of a category or type that is added, those that follow are consumed.
   * After a change of `partitions` (1 to 1024) all begin at the least of the old positions: some events come again.
   *
   * @throws SubscriptionMismatchError while executors own it, or wait to: the message names them; stop them first
   * @throws SubscriptionNotFoundError where there is none of this name
   * @throws ValidationError for several categories, or all, where the subscription is of one stream
   * @example
   * await meow.alterSubscription('mailer', { types: ['OrderPlaced', 'OrderShipped'], partitions: 4 })
   */
  alterSubscription(name: string, changes: SubscriptionChanges): Promise<void> {
    return this.#about(name, () => this.#administration.alter(name, changes))
  }

  /**
   * Go on from somewhere else: the first event (`'start'`), the horizon of now (`'end'`), or after a position. Takes the
   * leases away and forgets what is parked; executors that run go on from there, and what they have in hand can't be
   * acked any more. Waits for a transactional handler that is at work.
   *
   * @throws SubscriptionNotFoundError where there is none of this name
   * @throws HistoryLostError if the position is ahead of the store's last one: events up to it would be passed over
   * @example
   * await meow.resetSubscription('mailer', { after: 4711 })
   */
  resetSubscription(name: string, to: From): Promise<void> {
    return this.#about(name, () => this.#administration.reset(name, to))
  }

  /**
   * Delete a subscription, its checkpoints and its parked events. Executors that run end with an error, and so does whoever
   * waits for it.
   *
   * @throws SubscriptionNotFoundError where there is none of this name
   * @example
   * await meow.deleteSubscription('mailer')
   */
  deleteSubscription(name: string): Promise<void> {
    return this.#about(name, () => this.#administration.delete(name))
  }

  /**
   * Events that a subscription has set aside, those of a replay under way too: stream by stream, in the order in which
   * they were blocked, the event that failed, then the later ones of its stream, which wait behind it.
   *
   * @throws SubscriptionNotFoundError where there is none of this name
   * @example
   * for (const { event, attempts, error } of await meow.parked('mailer')) console.log(event.streamId, attempts, error)
   */
  parked(name: string, options?: ParkedOptions): Promise<ParkedEvent[]> {
    return this.#about(name, () => this.#parking.list(name, options))
  }

  /**
   * Put parked streams back, all or one: executors handle their events in order, before the stream's newer ones.
   *
   * @returns the number of events that are put back; those that are being replayed already do not count again
   * @throws SubscriptionNotFoundError where there is none of this name
   * @example
   * await meow.replayParked('mailer', { streamId: '42' })
   */
  replayParked(name: string, options?: ReplayOptions): Promise<number> {
    return this.#about(name, () => this.#parking.replay(name, options))
  }

  /**
   * Read your own writes, from any process: resolves once the subscription has handled the event at a position (its
   * checkpoint in the store covers it) or has set it aside. Where no event of this subscription is at that position: once
   * all of its partitions have come so far.
   *
   * @throws TimeoutError after `timeoutMs`, default 5000, minimum 1
   * @throws SubscriptionNotFoundError where there is none of this name, or no longer
   * @throws ClosedError when the store begins to close; an aborted `signal` rejects with its reason
   * @example
   * const { position } = await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: {} })
   * await meow.waitFor('order-list', position)
   */
  waitFor(name: string, position: number, options?: WaitOptions): Promise<void> {
    return this.#open(() => this.#waiting.waitFor(name, position, options))
  }

  /**
   * Erase a stream: empty its events, delete its snapshots, blank what handlers said of those that are parked, and append a
   * tombstone, an event of type `$erased`; all or nothing. An emptied event keeps id, version, position, type and time; its
   * data is `{}`, its metadata `{ erased: true }`. A zod category has it as `known: false`; whoever folds events by their
   * type alone has to pass over it. Again, it empties what came since; where that is nothing, nothing is written.
   *
   * **It erases the store, and no copies:** read models, what was delivered, backups and WAL, running processes (`watch` goes
   * on from the state it has, a handler with the event it has in hand). Erase read models
   * where the tombstone is handled; who selects `types` must select `$erased` too. Until the table is vacuumed its files
   * hold the old rows. Names of streams, types and `recordedAt` stay.
   *
   * Needs a right of its own (`meowmx_eraser` in SECURITY.md). A very long stream may take longer than
   * `queryTimeoutMs`: connect with a larger one. Where an error leaves it open whether it is done, call it again.
   *
   * @returns how many events were emptied, and the tombstone; 0 and null where there is no such stream
   * @throws ConnectionError where this role may not
   * @throws ValidationError for what can't be a stream, or a `reason` of more than 255 characters
   * @example
   * const { events } = await meow.eraseStream({ category: 'customer', streamId: '42' }, { reason: 'GDPR 17, ticket 4711' })
   */
  eraseStream(stream: StreamRef, options?: EraseOptions): Promise<Erased> {
    return this.#open(() => this.#erasure.erase(stream, options))
  }

  /**
   * Open transactions that have begun to append, the oldest first. What others append meanwhile is in the store, but not
   * delivered before these have ended: one that lasts is why a subscription stands still.
   *
   * @example
   * for (const { pid, since, category } of await meow.stallers()) console.log(pid, since, category)
   */
  stallers(): Promise<Staller[]> {
    return this.#open(() => this.#stallers.read())
  }

  /**
   * An aggregate from the events of its stream: `new Class(events)`, with no events where there is no such stream.
   *
   * @throws ValidationError for what is no class, or a `category` or `streamId` that can't be one
   * @example
   * const account = await meow.loadAggregate(Account, 'ann')
   */
  loadAggregate<A>(Class: AggregateClass<A>, streamId: string, options?: AggregateOptions): Promise<A> {
    return this.#open(() => this.#aggregates.load(Class, streamId, options))
  }

  /**
   * Append what an aggregate has emitted, where its stream is as it was when it was loaded; then call `saved()`. A save
   * that fails forgets nothing: the same events are pending still. With `client` they count as saved before you commit:
   * where you roll back, load the aggregate anew.
   *
   * @returns as `append`; where nothing is pending nothing is written
   * @throws VersionConflictError where somebody was faster: load it again, and decide anew
   * @throws whatever else `append` throws. OutcomeUnknownError: append its `events`, ids and all, then load it again
   * @example
   * account.deposit(5)
   * await meow.saveAggregate(account)
   */
  saveAggregate(aggregate: Aggregate, options?: AggregateOptions): Promise<AppendResult> {
    return this.#open(() => this.#aggregates.save(aggregate, options))
  }

  /**
   * Decide on a command: load the stream's state, let the decider make events of the command, append them where the stream
   * is as it was loaded. Where somebody was faster, load and decide again.
   *
   * With `snapshotEvery` a long stream is read from what is remembered of it on. A snapshot that can't be saved is a warning
   * in the log, and costs nothing but time.
   *
   * @returns the state after the command's events, and what came of the append
   * @throws VersionConflictError where others were faster `retries` times more
   * @throws whatever the decider throws (where `evolve` can't take the new events: once they are written), and whatever else
   *   `append` throws
   * @example
   * const { state } = await meow.decide(show, 'hamlet', { seats: 2 })
   */
  decide<C, E, S>(
    decider: Decider<C, E, S>,
    streamId: string,
    command: C,
    options?: DecideOptions,
  ): Promise<Decision<S>> {
    return this.#open(() => this.#decisions.decide(decider, streamId, command, options))
  }

  /**
   * The state of a stream, now or before any of its events.
   *
   * @returns `version`: of the last event that is in it; -1: there is none, and the state is the initial one
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
   * The state of a stream as a cold Observable: as it is now, then after each event of it, pushed; completes when the store
   * closes. Many who watch one stream by one decider share one load and one fold; each gets the latest state first. A lost
   * connection is not an error: it goes on where it was; or, where a server took over that had not got all events, at the
   * state that it has.
   *
   * **No back-pressure:** who is slow and wants only the latest takes `auditTime` or the like.
   *
   * @throws (as an error of the Observable) whatever `evolve` throws
   * @example
   * meow.watch(show, 'hamlet').subscribe(({ state, version }) => console.log(version, state.free))
   */
  watch<C, E, S>(decider: Decider<C, E, S>, streamId: string): Observable<Watched<S>> {
    return this.#watches.watch(decider, streamId)
  }

  /**
   * Drain what is under way, complete every Observable, and leave no connection, timer or handle. Twice is fine.
   *
   * After `timeoutMs` (in ms, default 30_000, minimum 0) it gives up what has not ended by then, with a warning in the log:
   * handlers, as `worker.stop({ timeoutMs })` does; appends and reads, whose connections are cut (an append rejects with
   * ClosedError, or OutcomeUnknownError if it was sent). Of several calls the shortest limit counts. Giving partitions back
   * may take up to 5 s more if the database does not answer. `await using` closes with the default.
   *
   * @throws ValidationError for a `timeoutMs` that can't be right; nothing is closed then
   * @throws DeadlockError if a handler of this store waits for it, without a `timeoutMs`; the store closes nevertheless
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
    // Handlers that are drained may still append and read.
    this.#closed = !this.#subscriptions.running
    this.#observer.close()
    this.#watches.close()
    this.#waiting.close()
    const { up, over } = this.#limit
    await this.#subscriptions.close(this.#limit)
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
        ended.then(() => this.#duty.close()),
        up,
      )
      this.#db.telemetry?.close()
      await settledOrAborted(Promise.all([live, this.#db.close()]), over)
    } finally {
      forget()
      this.#limit.clear()
    }
  }

  /** What is still under way is waited for no longer. */
  #giveUp(): void {
    const { size: calls } = this.#calls
    if (calls > 0)
      this.#db.settings.logger.warn({ calls }, 'close() gave up waiting for calls that have not ended')
    this.#db.giveUp()
  }

  /** Of a subscription; right behind `process()`, which makes it, too. */
  #about<T>(name: string, action: () => Promise<T>): Promise<T> {
    return this.#open(() => this.#subscriptions.known(name, action))
  }

  #open<T>(action: () => Promise<T>): Promise<T> {
    // A handler of an append under way has to come to its end.
    if (this.#closed && !this.#projections.isInsideHandler) return Promise.reject(new ClosedError())
    const call = action()
    this.#calls.add(call)
    const forget = () => this.#calls.delete(call)
    call.then(forget, forget)
    return call
  }
}
