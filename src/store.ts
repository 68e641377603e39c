// The part of `Meow` that every kind of store has.
import type { Meow } from './meow.ts'

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
  | 'close'
  | typeof Symbol.asyncDispose
>
