// The methods of a store that show and change its subscriptions, with their documentation.
import type { From } from '../../live/observer.ts'
import type { SubscriptionChanges } from './administer.ts'
import type { DiscardedEvent, DiscardOptions, ParkedEvent, ParkedOptions, ReplayOptions } from './parked.ts'
import type { SubscriptionInfo, SubscriptionsOptions } from './subscriptions.ts'
import type { SettledOptions, WaitOptions } from './wait.ts'

/** Every kind of store has these. */
export interface SubscriptionAdminMethods {
  /**
   * Returns all durable subscriptions, sorted by name: their selectors, owners, positions and lags.
   *
   * Large numbers of events are estimates, and then `lagIsEstimate` and `parkedIsEstimate` are true. That keeps the call below
   * a second with 500 subscriptions, even if they are far behind. `exact: true` counts every event: use it with a few names.
   *
   * @throws ValidationError if an option is invalid
   * @throws TimeoutError if it takes longer than `queryTimeoutMs`, which an exact count may
   * @example
   * for (const { name, lag, lagIsEstimate } of await meow.subscriptions()) console.log(name, lagIsEstimate ? '~' : '', lag)
   * const [mailer] = await meow.subscriptions({ names: ['mailer'], exact: true })
   */
  subscriptions(options?: SubscriptionsOptions): Promise<SubscriptionInfo[]>

  /**
   * Returns the parked events of a subscription, including those that are being replayed. For each stream, in the order in
   * which the streams were parked, the first event is the one that failed; the later ones wait for it.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * for (const { event, attempts, error } of await meow.parked('mailer')) console.log(event.streamId, attempts, error)
   */
  parked(name: string, options?: ParkedOptions): Promise<ParkedEvent[]>

  /**
   * Puts parked streams back, all or one: executors handle their events in order, before the stream's newer events.
   *
   * @returns the number of events that were put back; events that are already being replayed do not count again
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.replayParked('mailer', { streamId: '42' })
   */
  replayParked(name: string, options?: ReplayOptions): Promise<number>

  /**
   * Waits until a subscription has handled or parked the event at a position, so that any process can read its own writes. If
   * the subscription does not select the event at that position, it waits until all partitions have reached the position.
   *
   * @throws TimeoutError after `timeoutMs` (default 5000, minimum 1)
   * @throws SubscriptionNotFoundError if there is no subscription with this name, or it was deleted
   * @throws ClosedError if the store is closing; if `signal` aborts, it rejects with the signal's reason
   * @example
   * const { position } = await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: {} })
   * await meow.waitFor('order-list', position)
   */
  waitFor(name: string, position: number, options?: WaitOptions): Promise<void>
}

/** A store in PostgreSQL also has these. */
export interface PostgresSubscriptionAdminMethods extends SubscriptionAdminMethods {
  /**
   * Changes the selector or the number of partitions of a subscription that has no executor. What you leave out stays as it
   * is, and so do the position and the parked events. It makes all changes or none.
   *
   * **Events at or below its position are not delivered afterwards:** a category or type that you add starts after the
   * current position. If you change `partitions` (1 to 1024), all partitions start at the lowest of the old positions, so
   * some events are delivered again.
   *
   * @throws SubscriptionMismatchError if executors run or wait to run: the message names them; stop them first
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @throws ValidationError if the subscription reads a single stream and you give several categories, or none
   * @example
   * await meow.alterSubscription('mailer', { types: ['OrderPlaced', 'OrderShipped'], partitions: 4 })
   */
  alterSubscription(name: string, changes: SubscriptionChanges): Promise<void>

  /**
   * Moves a subscription: to the first event (`'start'`), to the current horizon (`'end'`), after a position, or to the first event
   * that was recorded at or after a moment (`{ since }`).
   *
   * It forgets the parked events and takes the leases away. Running executors continue at the new position; events that
   * they are handling can no longer be acked. It waits for a transactional handler that is running.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @throws HistoryLostError if the position is ahead of the store's last one: the events up to it would be skipped
   * @example
   * await meow.resetSubscription('mailer', { after: 4711 })
   * await meow.resetSubscription('mailer', { since: '2026-01-31T14:00Z' })
   */
  resetSubscription(name: string, to: From): Promise<void>

  /**
   * Pauses a subscription, for all processes and until `resumeSubscription`. Executors take no further event; deliveries in
   * flight, at most `maxInFlight` of each, end and are acked. A worker that starts meanwhile waits. Its state is `paused` in
   * `status$` and in `subscriptions()`.
   *
   * It resolves when all running executors have confirmed it; it waits at most 10 s for one that does not answer. Handlers that
   * are running are not waited for. If it is paused already, nothing changes. Reset, replay and delete work as usual: events
   * are delivered after it is resumed.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.pauseSubscription('mailer')
   */
  pauseSubscription(name: string): Promise<void>

  /**
   * Lets a paused subscription go on, in all processes and at once. If it is not paused, nothing changes.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.resumeSubscription('mailer')
   */
  resumeSubscription(name: string): Promise<void>

  /**
   * Deletes a subscription with its checkpoints and its parked events. Running executors end with an error, and so do calls of
   * `waitFor` that wait for it.
   *
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.deleteSubscription('mailer')
   */
  deleteSubscription(name: string): Promise<void>

  /**
   * Skips the event that a stream is parked for, for ever. The later parked events of the stream are delivered again, in order,
   * before the stream's newer events. The event stays in its stream, and the store keeps what was discarded, when, why
   * and by whom (`discarded()`), also if the subscription is deleted. Only `resetSubscription` to an earlier position delivers
   * it again.
   *
   * @returns the number of later events that are delivered again
   * @throws ValidationError if no stream with this id is parked, or several categories have one and `category` is missing; if
   *   there is no `reason`
   * @throws SubscriptionNotFoundError if there is no subscription with this name
   * @example
   * await meow.discardParked('mailer', { streamId: '42', reason: 'the address never existed, ticket 4711' })
   */
  discardParked(name: string, options: DiscardOptions): Promise<number>

  /**
   * Returns the events of a subscription that were discarded, the newest first. The subscription may have been deleted.
   *
   * @param options `limit`: default 100, minimum 1, maximum 100_000
   * @example
   * for (const { event, reason, discardedBy } of await meow.discarded('mailer')) console.log(event.streamId, reason, discardedBy)
   */
  discarded(name: string, options?: ParkedOptions): Promise<DiscardedEvent[]>

  /**
   * Waits until all subscriptions of the store, or those in `names`, have handled or parked everything that was appended before
   * the call, in any process. A subscription that is paused, or that no process works on, never gets there: name the others.
   *
   * @throws TimeoutError after `timeoutMs` (default 5000, minimum 1); it names a subscription that was not there yet
   * @throws SubscriptionNotFoundError if there is no subscription with one of the names
   * @throws ClosedError if the store is closing; if `signal` aborts, it rejects with the signal's reason
   * @example
   * await meow.append({ category: 'order', streamId: '42' }, { type: 'OrderPlaced', data: {} })
   * await meow.settled({ names: ['order-list', 'mailer'] })
   */
  settled(options?: SettledOptions): Promise<void>
}
