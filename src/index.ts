// Connecting

// Appending
export type { AppendOptions, StreamWrite } from './append/append.ts'
export type { AppendResult, ExpectedVersion } from './append/request.ts'
// Errors
export {
  ClosedError,
  ConnectionError,
  DuplicateEventError,
  LeaseLostError,
  MeowError,
  OutcomeUnknownError,
  SchemaError,
  SubscriptionMismatchError,
  SubscriptionNotFoundError,
  TimeoutError,
  ValidationError,
  VersionConflictError,
} from './errors.ts'
export type { NewEvent, RecordedEvent, StreamRef } from './event.ts'
export type { StoreStatus } from './live/listener.ts'
// Observing
export type { EventsOptions, From } from './live/observer.ts'
export { connect, Meow } from './meow.ts'
export type { ConnectOptions, Logger } from './options.ts'
// Reading
export type { CategoryInfo, LoadOptions, ReadOptions, ReadResult } from './read/reader.ts'
export type { Selector } from './read/selector.ts'
export type { Delivery } from './subscribe/delivery.ts'
export type { ExecutorStatus as SubscriptionStatus } from './subscribe/executor.ts'
export type { SubscriptionOptions } from './subscribe/subscription.ts'
// Subscribing
export { DurableSubscription } from './subscribe/subscription.ts'
export type { Handler, HandlerContext, Worker } from './subscribe/worker.ts'
