// The methods of a store that append, with their documentation.

import type { StreamRef } from '../events/event.ts'
import type { AnyCategory, EventOf, NewEventOf, SelectedEvent } from '../events/types.ts'
import type { AppendAllOptions, AppendOptions, AppendResults, StreamWrite } from './append.ts'
import type { ProjectionHandler } from './projections.ts'
import type { AppendResult } from './request.ts'

/** Every kind of store has these. */
export interface AppendMethods {
  /**
   * Appends one or more events to one stream: all of them, or none.
   *
   * Calls that run concurrently in this process share a transaction, and each call has its own outcome. A retry with the same
   * event ids is always safe: it returns the first result, with `deduplicated: true`.
   *
   * @throws ValidationError if JSON or PostgreSQL cannot hold an event; nothing is sent
   * @throws VersionConflictError if the stream is not at `expectedVersion`; nothing is written
   * @throws DuplicateEventError if an id is already recorded with a different stream, type or data
   * @throws ConditionFailedError if an event matches `failIf` that was not seen; nothing is written
   * @throws OutcomeUnknownError if the connection broke after the append was sent, and the outcome could not be looked up
   * @example
   * await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: { price: 9 } }, { expectedVersion: 'no-stream' })
   */
  append<S extends StreamRef>(
    stream: S,
    events: NewEventOf<S> | readonly NewEventOf<S>[],
    options?: AppendOptions,
  ): Promise<AppendResult<EventOf<S>>>

  /**
   * Appends to several streams, all or none, and returns the results in the order of `writes`. It throws what `append` throws.
   *
   * @example
   * await meow.appendAll([
   *   { stream: { category: 'account', streamId: 'a' }, events: { type: 'Withdrawn', data: { amount: 5 } }, expectedVersion: 3 },
   *   { stream: { category: 'account', streamId: 'b' }, events: { type: 'Deposited', data: { amount: 5 } } },
   * ])
   */
  appendAll<const S extends readonly StreamRef[]>(
    writes: { readonly [I in keyof S]: StreamWrite<S[I]> },
    options?: AppendAllOptions,
  ): Promise<AppendResults<S>>
}

/** A store in PostgreSQL also has these. */
export interface PostgresAppendMethods extends AppendMethods {
  /**
   * Registers an inline projection: a handler that gets the events appended to one or more categories, in the transaction of
   * the append. What it writes through `client` commits together with the events. If it throws, the append rejects with that
   * error and writes nothing. Handlers run in the order of their registration, once for each call of `append`, `appendAll`,
   * `decide` or `saveAggregate`, with the events of their categories. A retry that is deduplicated runs none.
   *
   * **It sees only what this process appends through this store object.** Register it in every process that appends, before
   * the first append. It misses events that raw SQL or another process appends. If you are not sure, use a subscription with
   * `transactional`, which misses nothing.
   *
   * The append stays open until the handler has finished, and readers of the category wait for it, so be quick. A handler that
   * takes longer than `queryTimeoutMs` fails. After a lost race or a lost connection it runs again, in a new transaction, so
   * it must have no effects except through `client`. An append inside the handler must be given that `client`; its events
   * name the last event of the batch as their cause.
   *
   * @returns a function that removes the handler: later appends do not run it
   * @throws ValidationError if a category is invalid, or the handler is not a function
   * @throws MeowError (`ERR_PROJECTION`, from the append) if the handler ends the transaction, or hides that a query failed
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
  ): () => void
}
