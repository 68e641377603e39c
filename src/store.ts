import type { Meow } from './meow.ts'

/**
 * What a store of any kind can do: one in PostgreSQL (`connect`), or one in memory for unit tests (`memoryStore` of
 * `meowmx/testing`). Code that takes an `EventStore` is tested without a database.
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
  | 'categories'
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
