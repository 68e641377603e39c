// The public names of the package `meowmx`. The headings say what each group is for.

// Opening a store

export type { Logger } from './core/logger.ts'
export type { StopOptions } from './core/stop-options.ts'
export type { ConnectOptions } from './database/connect-options.ts'
export type { MigrationPlan } from './database/migration-plan.ts'
export { connect, Meow } from './meow.ts'
export type { StoreStatus } from './notify/listener.ts'
export type { EventStore } from './store.ts'

// Errors

export {
  ClosedError,
  ConnectionError,
  HistoryLostError,
  LimitError,
  MeowError,
  SchemaError,
  TimeoutError,
  ValidationError,
} from './core/errors.ts'
export type { UnknownWrite, UnseenEvent } from './events/errors.ts'
export {
  ConditionFailedError,
  DeadlockError,
  DuplicateEventError,
  OutcomeUnknownError,
  UpcastError,
  VersionConflictError,
} from './events/errors.ts'
export {
  LeaseLostError,
  SubscriptionMismatchError,
  SubscriptionNotFoundError,
} from './subscriptions/errors.ts'

// Events, their selectors and their context

export type { NewEvent, RecordedEvent, StreamRef } from './events/event.ts'
export type { Causation } from './events/event-context.ts'
export { causedBy, withMetadata } from './events/event-context.ts'
export type { EventQuery, QueryItem } from './events/query.ts'
export type { Selector } from './events/selector.ts'

// Typed categories

export type { CategoryOptions } from './events/category.ts'
export { defineCategory } from './events/category.ts'
export type {
  AnyCategory,
  Category,
  EventOf,
  EventSchemas,
  KnownEvent,
  NewEventOf,
  NewEventOptions,
  SelectedEvent,
  TypedCategory,
  TypedNewEvent,
  UnknownEvent,
  VersionedSchema,
} from './events/types.ts'

// Appending and inline projections

export type { AppendAllOptions, AppendOptions, AppendResults, StreamWrite } from './append/append.ts'
export type { FailIf } from './append/condition.ts'
export type { ProjectionHandler } from './append/projections.ts'
export type { AppendResult, ExpectedVersion } from './append/request.ts'
export type { Seen } from './append/seen.ts'
export type { SqlClient } from './core/sql-client.ts'

// Reading and observing

export type { EventsOptions, From } from './live/observer.ts'
export type { QueryOptions, QueryResult } from './read/query.ts'
export type {
  CategoriesOptions,
  CategoryInfo,
  CategoryName,
  LoadOptions,
  ReadOptions,
  ReadResult,
} from './read/reader.ts'
export type { StreamInfo, StreamsOptions } from './read/streams.ts'
export type { TraceOptions } from './read/trace.ts'

// Models: aggregates and deciders

export type { Aggregate, AggregateClass, AggregateOptions } from './models/aggregate.ts'
export type { Decider } from './models/decider.ts'
export type { Decided, DecisionModel, ModelDecideOptions, ModelDecision } from './models/decision-model.ts'
export type { DecideOptions, Decision } from './models/decisions.ts'
export type { EventBufferOptions, PendingEvents } from './models/event-buffer.ts'
export { EventBuffer } from './models/event-buffer.ts'
export type { StateOptions } from './models/states.ts'
export type { Watched } from './models/watches.ts'

// Durable subscriptions

export type { Delivery, NackOptions } from './subscriptions/delivery.ts'
export type { HandleOptions } from './subscriptions/handle.ts'
export { handle } from './subscriptions/handle.ts'
export type { BatchContext, BatchHandler, Handler, HandlerContext } from './subscriptions/invoke.ts'
export type { BatchOptions, ProcessOptions, SubscriptionOptions } from './subscriptions/options.ts'
export type { RetryOptions } from './subscriptions/retry.ts'
export type { SubscriptionStatus } from './subscriptions/status.ts'
export { DurableSubscription } from './subscriptions/subscription.ts'
export type { Worker } from './subscriptions/worker.ts'

// Projections

export type { ProjectionContext, ProjectionDefinition } from './projections/definition.ts'
export { defineProjection } from './projections/definition.ts'
export {
  ProjectionMismatchError,
  ProjectionNotFoundError,
  ProjectionRefusedError,
  ProjectionSetupError,
} from './projections/errors.ts'
export type { ProjectionInfo } from './projections/list.ts'
export type { ProjectionStatus } from './projections/projection.ts'
export { Projection } from './projections/projection.ts'
export type { RebuildOptions, SwitchOptions } from './projections/projections.ts'
// Timers

export type { Due, ScheduledTimer, TimerFailure } from './timers/timer.ts'
export type { ScheduledOptions, TimerOptions } from './timers/timers.ts'

// Process managers

export type { EventInput, ProcessManager, Reacting, TimerInput } from './processes/define.ts'
export { defineProcessManager } from './processes/define.ts'
export type {
  AppendEffect,
  CancelEffect,
  Effect,
  Effects,
  EndEffect,
  ScheduleEffect,
} from './processes/effects.ts'
export { effects } from './processes/effects.ts'
export type {
  ProcessInstance,
  ProcessInstancesOptions,
  ProcessTimer,
} from './processes/processes.ts'

// Managing subscriptions and the store

export type { SubscriptionChanges } from './subscriptions/admin/administer.ts'
export type { Erased, EraseOptions } from './subscriptions/admin/erase.ts'
export type { Health, HealthCheck, HealthOptions } from './subscriptions/admin/health.ts'
export type {
  DiscardedEvent,
  DiscardOptions,
  ParkedEvent,
  ParkedOptions,
  ReplayOptions,
} from './subscriptions/admin/parked.ts'
export type { Staller } from './subscriptions/admin/stallers.ts'
export type {
  PartitionInfo,
  SubscriptionInfo,
  SubscriptionsOptions,
} from './subscriptions/admin/subscriptions.ts'
export type { SettledOptions, WaitOptions } from './subscriptions/admin/wait.ts'
