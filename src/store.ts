// What every kind of store can do. The methods are documented in `methods.ts` of the folder they belong to.
import type { AppendMethods } from './append/methods.ts'
import type { StopOptions } from './core/stop-options.ts'
import type { LiveMethods } from './live/methods.ts'
import type { ModelMethods } from './models/methods.ts'
import type { ProcessManagerMethods } from './processes/methods.ts'
import type { ReadMethods } from './read/methods.ts'
import type { SubscriptionAdminMethods } from './subscriptions/admin/methods.ts'
import type { SubscriptionMethods } from './subscriptions/methods.ts'
import type { TimerMethods } from './timers/methods.ts'

/** Every store is closed in the same way. */
export interface CloseMethods extends AsyncDisposable {
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
  close(options?: StopOptions): Promise<void>
}

/**
 * What every kind of store can do: one in PostgreSQL (`connect`), and one in memory for unit tests (`memoryStore` of
 * `meowmx/testing`). Code that takes an `EventStore` can be tested without a database.
 *
 * @example
 * const placeOrder = (store: EventStore, id: string, price: number) => store.decide(order, id, { price })
 */
export interface EventStore
  extends AppendMethods,
    ReadMethods,
    LiveMethods,
    ModelMethods,
    SubscriptionMethods,
    SubscriptionAdminMethods,
    TimerMethods,
    ProcessManagerMethods,
    CloseMethods {}
