// Connecting

// Appending
export type { AppendOptions, StreamWrite } from './append/append.ts'
export type { ProjectionHandler } from './append/projections.ts'
export type { AppendResult, ExpectedVersion } from './append/request.ts'
export type { Causation } from './carried.ts'
export { causedBy, withMetadata } from './carried.ts'
// Errors
export type { UnknownWrite } from './errors.ts'
export {
  ClosedError,
  ConnectionError,
  DeadlockError,
  DuplicateEventError,
  HistoryLostError,
  LeaseLostError,
  LimitError,
  MeowError,
  OutcomeUnknownError,
  SchemaError,
  SubscriptionMismatchError,
  SubscriptionNotFoundError,
  TimeoutError,
  UpcastError,
  ValidationError,
  VersionConflictError,
} from './errors.ts'
export type { NewEvent, RecordedEvent, StreamRef } from './event.ts'
export type { StopOptions } from './limit.ts'
export type { StoreStatus } from './live/listener.ts'
// Observing
export type { EventsOptions, From } from './live/observer.ts'
// Managing
export type { SubscriptionChanges } from './manage/administer.ts'
export type { Erased, EraseOptions } from './manage/erase.ts'
export type { ParkedEvent, ParkedOptions, ReplayOptions } from './manage/parked.ts'
export type { Staller } from './manage/stallers.ts'
export type { PartitionInfo, SubscriptionInfo, SubscriptionsOptions } from './manage/subscriptions.ts'
export type { WaitOptions } from './manage/wait.ts'
export { connect, Meow } from './meow.ts'
export type { Aggregate, AggregateClass, AggregateOptions } from './model/aggregate.ts'
export type { CategoryOptions } from './model/category.ts'
// Models
export { defineCategory } from './model/category.ts'
export type { Decider } from './model/decider.ts'
export type { DecideOptions, Decision } from './model/decisions.ts'
export type { EventBufferOptions, PendingEvents } from './model/event-buffer.ts'
export { EventBuffer } from './model/event-buffer.ts'
export type { StateOptions } from './model/states.ts'
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
} from './model/types.ts'
export type { Watched } from './model/watches.ts'
export type { ConnectOptions, Logger } from './options.ts'
// Reading
export type {
  CategoriesOptions,
  CategoryInfo,
  CategoryName,
  LoadOptions,
  ReadOptions,
  ReadResult,
} from './read/reader.ts'
export type { Selector } from './read/selector.ts'
export type { EventStore } from './store.ts'
export type { Delivery, NackOptions } from './subscribe/delivery.ts'
export type { HandleOptions } from './subscribe/handle.ts'
export { handle } from './subscribe/handle.ts'
export type { Handler, HandlerContext } from './subscribe/invoke.ts'
export type { ProcessOptions, SubscriptionOptions } from './subscribe/options.ts'
export type { RetryOptions } from './subscribe/retry.ts'
export type { SubscriptionStatus } from './subscribe/status.ts'
// Subscribing
export { DurableSubscription } from './subscribe/subscription.ts'
export type { Worker } from './subscribe/worker.ts'
