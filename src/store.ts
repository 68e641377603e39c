// The part of `Meow` that every kind of store has.
import type { AnyCategory, SelectedEvent, TypeOf } from './events/types.ts'
import type { Meow } from './meow.ts'
import type { SubscriptionOptions } from './subscriptions/options.ts'
import type { DurableSubscription } from './subscriptions/subscription.ts'

/**
 * What every kind of store can do: one in PostgreSQL (`connect`), and one in memory for unit tests (`memoryStore` of
 * `meowmx/testing`). Code that takes an `EventStore` can be tested without a database.
 *
 * @example
 * const placeOrder = (store: EventStore, id: string, price: number) => store.decide(order, id, { price })
 */
export type EventStore = Pick<
  Meow,
  | 'append'
  | 'appendAll'
  | 'load'
  | 'read'
  | 'query'
  | 'categories'
  | 'head'
  | 'streams'
  | 'trace'
  | 'events'
  | 'iterate'
  | 'loadAggregate'
  | 'saveAggregate'
  | 'decide'
  | 'state'
  | 'watch'
  | 'subscriptions'
  | 'parked'
  | 'replayParked'
  | 'waitFor'
  | 'schedule'
  | 'unschedule'
  | 'scheduled'
  | 'runTimers'
  | 'runProcessManager'
  | 'processInstances'
  | 'close'
  | typeof Symbol.asyncDispose
> & {
  /** As `meow.subscription`, without deliveries that are acked by hand. In memory a worker can't be `transactional`. */
  subscription<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    name: string,
    options: SubscriptionOptions<C, T>,
  ): Pick<DurableSubscription<SelectedEvent<C, T>>, 'name' | 'process' | 'processBatches'>
}
