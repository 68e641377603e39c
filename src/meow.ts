// `connect`, which opens a store, and the store itself, `Meow`. Its methods are documented in `methods.ts` of the folder they
// belong to; its parts are in engine.ts.
import type { Observable } from 'rxjs'
import type { AppendAllOptions, AppendOptions, StreamWrite } from './append/append.ts'
import type { PostgresAppendMethods } from './append/methods.ts'
import type { ProjectionHandler } from './append/projections.ts'
import type { StopOptions } from './core/stop-options.ts'
import { closeOptionsSchema } from './core/stop-options.ts'
import { parse } from './core/validate.ts'
import type { ConnectOptions } from './database/connect-options.ts'
import { connectSettings } from './database/connect-options.ts'
import { Database } from './database/database.ts'
import { checkHealth } from './database/health.ts'
import type { SchemaMethods } from './database/methods.ts'
import { migrate } from './database/migrate.ts'
import { migrationPlan } from './database/migration-plan.ts'
import { Engine } from './engine.ts'
import type { StreamRef } from './events/event.ts'
import { enclosingCall } from './events/event-context.ts'
import { rejectOwnHandler } from './events/own-handler.ts'
import type { EventQuery } from './events/query.ts'
import type { Selection, Selector } from './events/selector.ts'
import type { AnyCategory } from './events/types.ts'
import type { Source } from './live/iterate.ts'
import type { LiveMethods } from './live/methods.ts'
import type { EventsOptions, From } from './live/observer.ts'
import type { Aggregate, AggregateClass, AggregateOptions } from './models/aggregate.ts'
import type { Decider } from './models/decider.ts'
import { isDecisionModel } from './models/decision-model.ts'
import type { ModelMethods } from './models/methods.ts'
import type { StateOptions } from './models/states.ts'
import type { StoreStatus } from './notify/listener.ts'
import type { ProcessManager } from './processes/define.ts'
import type { PostgresProcessManagerMethods } from './processes/methods.ts'
import type { ProcessInstancesOptions } from './processes/processes.ts'
import type { ProjectionDefinition } from './projections/definition.ts'
import type { ProjectionMethods } from './projections/methods.ts'
import type { RebuildOptions, SwitchOptions } from './projections/projections.ts'
import { lastVersion } from './read/head.ts'
import type { ReadMethods } from './read/methods.ts'
import type { QueryOptions } from './read/query.ts'
import type { CategoriesOptions, LoadOptions, ReadOptions, StreamPage } from './read/reader.ts'
import type { StreamsOptions } from './read/streams.ts'
import { streams } from './read/streams.ts'
import type { TraceOptions } from './read/trace.ts'
import { trace, traceSource } from './read/trace.ts'
import type { CloseMethods } from './store.ts'
import type { SubscriptionChanges } from './subscriptions/admin/administer.ts'
import type { EraseOptions } from './subscriptions/admin/erase.ts'
import type { HealthOptions } from './subscriptions/admin/health.ts'
import { health } from './subscriptions/admin/health.ts'
import type { PostgresSubscriptionAdminMethods } from './subscriptions/admin/methods.ts'
import type { DiscardOptions, ParkedOptions, ReplayOptions } from './subscriptions/admin/parked.ts'
import type { StoreAdminMethods } from './subscriptions/admin/store-methods.ts'
import type { SubscriptionsOptions } from './subscriptions/admin/subscriptions.ts'
import type { SettledOptions, WaitOptions } from './subscriptions/admin/wait.ts'
import type { PostgresSubscriptionMethods } from './subscriptions/methods.ts'
import type { SubscriptionOptions } from './subscriptions/options.ts'
import type { DurableSubscription } from './subscriptions/subscription.ts'
import { findTelemetry } from './telemetry/load.ts'
import type { PostgresTimerMethods } from './timers/methods.ts'
import type { Due } from './timers/timer.ts'
import type { ScheduledOptions, TimerOptions } from './timers/timers.ts'

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
  return new Store(db)
}

/**
 * A store: one PostgreSQL schema that holds events. `connect` opens it.
 *
 * Besides the errors that each method names, every method may reject with ValidationError (before anything is sent),
 * ConnectionError (the server cannot be reached, or privileges are missing), SchemaError (the schema is not migrated) and
 * ClosedError (after `close()`).
 */
export interface Meow
  extends SchemaMethods,
    PostgresAppendMethods,
    ReadMethods,
    LiveMethods,
    PostgresSubscriptionMethods,
    PostgresSubscriptionAdminMethods,
    StoreAdminMethods,
    ModelMethods,
    ProjectionMethods,
    PostgresTimerMethods,
    PostgresProcessManagerMethods,
    CloseMethods {
  /** Whether push works (`listening`, `reconnecting`, `polling` or `closed`): the current value first, then each change; completes on close. */
  readonly status$: Observable<StoreStatus>
  /** @internal Returns the first events that `load` would return, as many as one query reads. */
  loadPage(stream: StreamRef, options?: LoadOptions): Promise<StreamPage>
  /** @internal Live pages of a selection, for `meowmx/http`, which sends them to many connections. */
  follow(selection: Selection, from: From, signal: AbortSignal): Promise<Source>
  /** @internal Runs an action on the database, as one of the calls that `close()` waits for. */
  use<T>(action: (db: Database) => Promise<T>): Promise<T>
}

/** Each method hands its arguments to the part that does the work. The generic types of `Meow` are not repeated here. */
class Store implements Meow {
  static readonly name = 'Meow' // for logs and debuggers
  readonly #engine: Engine
  readonly status$: Observable<StoreStatus>

  constructor(db: Database) {
    this.#engine = new Engine(db)
    this.status$ = this.#engine.live.listener.status$
  }

  async migrate(): Promise<{ applied: string[] }> {
    const { db } = this.#engine
    const result = await migrate(db)
    await checkHealth(db)
    return result
  }

  migrationPlan() {
    return this.use(migrationPlan)
  }

  append(stream: StreamRef, events: any, options?: AppendOptions): Promise<any> {
    return this.#engine.call(() => this.#engine.appender.append(stream, events, options))
  }

  appendAll(writes: any, options?: AppendAllOptions): Promise<any> {
    return this.#engine.call(() => this.#engine.appender.appendAll(writes, options))
  }

  project(category: any, handler: ProjectionHandler<any>) {
    return this.#engine.inlineProjections.add(category, handler)
  }

  load(stream: StreamRef, options?: LoadOptions): Promise<any[]> {
    return this.#engine.call(() => this.#engine.reader.load(stream, options))
  }

  loadPage(stream: StreamRef, options?: LoadOptions) {
    return this.#engine.call(() => this.#engine.reader.loadPage(stream, options))
  }

  follow(selection: Selection, from: From, signal: AbortSignal) {
    return this.#engine.observer.follow(selection, from, signal)
  }

  use<T>(action: (db: Database) => Promise<T>): Promise<T> {
    return this.#engine.call(() => action(this.#engine.db))
  }

  read(selector: Selector, options?: ReadOptions): Promise<any> {
    return this.#engine.call(() => this.#engine.reader.read(selector, options))
  }

  query(query: EventQuery, options?: QueryOptions<any>): Promise<any> {
    return this.#engine.call(() => this.#engine.query(query, options))
  }

  categories(options?: CategoriesOptions): Promise<any[]> {
    return this.#engine.call(() => this.#engine.reader.categories(options))
  }

  head(stream: StreamRef) {
    return this.use((db) => lastVersion(db, stream))
  }

  streams(category: string | AnyCategory, options?: StreamsOptions) {
    return this.use((db) => streams(db, category, options))
  }

  trace(id: string, options?: TraceOptions) {
    return this.use((db) => trace(traceSource(db), id, options))
  }

  events(selector: Selector, options?: EventsOptions): Observable<any> {
    return this.#engine.observer.events(selector, options)
  }

  iterate(selector: Selector, options?: EventsOptions): AsyncIterable<any> {
    return this.#engine.observer.iterate(selector, options)
  }

  subscription(name: string, options: SubscriptionOptions<any>): DurableSubscription<any> {
    return this.#engine.subscriptions.get(name, options)
  }

  subscriptions(options?: SubscriptionsOptions) {
    return this.#engine.call(() => this.#engine.subscriptionList.read(options))
  }

  alterSubscription(name: string, changes: SubscriptionChanges) {
    return this.#engine.callFor(name, () => this.#engine.administration.alter(name, changes))
  }

  resetSubscription(name: string, to: From) {
    return this.#engine.callFor(name, () => this.#engine.administration.reset(name, to))
  }

  pauseSubscription(name: string) {
    return this.#engine.callFor(name, () => this.#engine.administration.pause(name))
  }

  resumeSubscription(name: string) {
    return this.#engine.callFor(name, () => this.#engine.administration.resume(name))
  }

  deleteSubscription(name: string) {
    return this.#engine.callFor(name, () => this.#engine.administration.delete(name))
  }

  parked(name: string, options?: ParkedOptions) {
    return this.#engine.callFor(name, () => this.#engine.parked.list(name, options))
  }

  replayParked(name: string, options?: ReplayOptions) {
    return this.#engine.callFor(name, () => this.#engine.parked.replay(name, options))
  }

  discardParked(name: string, options: DiscardOptions) {
    return this.#engine.callFor(name, () => this.#engine.parked.discard(name, options))
  }

  discarded(name: string, options?: ParkedOptions) {
    return this.#engine.call(() => this.#engine.parked.discarded(name, options))
  }

  waitFor(name: string, position: number, options?: WaitOptions) {
    return this.#engine.call(() => this.#engine.waiting.waitFor(name, position, options))
  }

  settled(options?: SettledOptions) {
    return this.#engine.call(() => this.#engine.waiting.settled(options))
  }

  health(options?: HealthOptions) {
    const { live, subscriptionList } = this.#engine
    return this.use((db) => health(db, live.listener, subscriptionList, options))
  }

  stallers() {
    return this.#engine.call(() => this.#engine.stallers.read())
  }

  eraseStream(stream: StreamRef, options?: EraseOptions) {
    return this.#engine.call(() => this.#engine.erasure.erase(stream, options))
  }

  projection(definition: ProjectionDefinition<any>) {
    return this.#engine.projections.get(definition)
  }

  projections() {
    return this.#engine.call(() => this.#engine.projections.list())
  }

  activateProjection(name: string, version: number, options?: SwitchOptions) {
    return this.#engine.call(() => this.#engine.projections.activate(name, version, options))
  }

  rebuildProjection(name: string, options?: RebuildOptions) {
    return this.#engine.call(() => this.#engine.projections.rebuild(name, options))
  }

  dropProjection(name: string, version: number, options?: SwitchOptions) {
    return this.#engine.call(() => this.#engine.projections.drop(name, version, options))
  }

  loadAggregate<A>(Class: AggregateClass<A>, streamId: string, options?: AggregateOptions) {
    return this.#engine.call(() => this.#engine.aggregates.load(Class, streamId, options))
  }

  saveAggregate(aggregate: Aggregate, options?: AggregateOptions) {
    return this.#engine.call(() => this.#engine.aggregates.save(aggregate, options))
  }

  decide(model: any, ...args: [any, any?, any?]): Promise<any> {
    return this.#engine.call<unknown>(() =>
      isDecisionModel(model)
        ? this.#engine.modelDecisions.decide(model, args[0], args[1])
        : this.#engine.decisions.decide(model, ...(args as [any, any, any])),
    )
  }

  state(decider: Decider<any, any, any>, streamId: string, options?: StateOptions) {
    return this.#engine.call(() => this.#engine.states.state(decider, streamId, options))
  }

  watch(decider: Decider<any, any, any>, streamId: string) {
    return this.#engine.watches.watch(decider, streamId)
  }

  schedule(key: string, due: Due, write: StreamWrite, options?: TimerOptions) {
    return this.#engine.call(() => this.#engine.timers.schedule(key, due, write, options))
  }

  unschedule(key: string, options?: TimerOptions) {
    return this.#engine.call(() => this.#engine.timers.unschedule(key, options))
  }

  scheduled(options?: ScheduledOptions) {
    return this.#engine.call(() => this.#engine.timers.scheduled(options))
  }

  runTimer(key: string) {
    return this.#engine.call(() => this.#engine.timers.run(key))
  }

  runTimers() {
    return this.#engine.runTimers()
  }

  runProcessManager(processManager: ProcessManager<any, any, any>) {
    return this.#engine.processes.run(processManager)
  }

  processInstances(name: string, options?: ProcessInstancesOptions) {
    return this.#engine.callFor(name, () => this.#engine.processes.instances(name, options))
  }

  retryProcessTimers(name: string, options?: { id?: string | undefined }) {
    return this.#engine.callFor(name, () => this.#engine.processes.retryTimers(name, options))
  }

  deleteProcessInstance(name: string, id: string) {
    return this.#engine.call(() => this.#engine.processes.delete(name, id))
  }

  close(options: StopOptions = {}): Promise<void> {
    const { db } = this.#engine
    try {
      const { timeoutMs } = parse(closeOptionsSchema, options, 'options')
      const handler = options.timeoutMs === undefined ? enclosingCall(({ store }) => store === db) : undefined
      return rejectOwnHandler('meow.close()', this.#engine.close(timeoutMs), handler, db.clock)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The class of the stores that `connect` opens, for `instanceof`. */
export const Meow: abstract new (...args: never) => Meow = Store
