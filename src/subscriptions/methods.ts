// The method of a store that returns a durable subscription, with its documentation.
import type { AnyCategory, SelectedEvent, TypeOf } from '../events/types.ts'
import type { SubscriptionOptions } from './options.ts'
import type { DurableSubscription } from './subscription.ts'

/** Every kind of store has this. */
export interface SubscriptionMethods {
  /** As `meow.subscription`, without deliveries that are acked by hand. In memory a worker can't be `transactional`. */
  subscription<C extends string | AnyCategory = string, const T extends TypeOf<C> = TypeOf<C>>(
    name: string,
    options: SubscriptionOptions<C, T>,
  ): Pick<DurableSubscription<SelectedEvent<C, T>>, 'name' | 'process' | 'processBatches'>
}

/** A store in PostgreSQL has this instead, which can do more. */
export interface PostgresSubscriptionMethods {
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
  ): DurableSubscription<SelectedEvent<C, T>>
}
