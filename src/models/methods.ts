// The methods of a store that load, decide and watch models, with their documentation.

import type { Observable } from 'rxjs'
import type { AppendResult } from '../append/request.ts'
import type { Aggregate, AggregateClass, AggregateOptions } from './aggregate.ts'
import type { Decider } from './decider.ts'
import type { DecisionModel, ModelDecideOptions, ModelDecision } from './decision-model.ts'
import type { DecideOptions, Decision } from './decisions.ts'
import type { StateOptions } from './states.ts'
import type { Watched } from './watches.ts'

/** Every kind of store has these. */
export interface ModelMethods {
  /**
   * Loads an aggregate from the events of its stream: `new Class(events)`, with an empty list if the stream does not exist.
   *
   * @throws ValidationError if `Class` is not a class, or its `category` or the `streamId` is invalid
   * @example
   * const account = await meow.loadAggregate(Account, 'ann')
   */
  loadAggregate<A>(Class: AggregateClass<A>, streamId: string, options?: AggregateOptions): Promise<A>

  /**
   * Appends the events that an aggregate has emitted, if its stream has not changed since it was loaded, and then calls `saved()`.
   *
   * After a save that failed, the same events are still pending. With `client` they count as saved before you commit: if you
   * roll back, load the aggregate again.
   *
   * @returns what `append` returns; if no event is pending, nothing is written
   * @throws VersionConflictError if another writer got there first: load the aggregate again and repeat the command
   * @throws the other errors of `append`. After OutcomeUnknownError append its `events` with their ids, then load again
   * @example
   * account.deposit(5)
   * await meow.saveAggregate(account)
   */
  saveAggregate(aggregate: Aggregate, options?: AggregateOptions): Promise<AppendResult>

  /**
   * Decides on a command: loads the stream's state, lets the decider make events, and appends them; retries if another writer
   * got there first.
   *
   * With `snapshotEvery`, a long stream is read only from its last snapshot on. If a snapshot cannot be saved, the log has a
   * warning and the next call takes longer; nothing else changes.
   *
   * @returns the state after the new events, and the result of the append
   * @throws VersionConflictError if other writers got there first in the first attempt and in all `retries`
   * @throws what the decider throws, and the other errors of `append`. If `evolve` throws on a new event, that event is written
   * @example
   * const { state } = await meow.decide(show, 'hamlet', { seats: 2 })
   * const { result } = await meow.decide(show, 'hamlet', { seats: 2 }, { expectedVersion: 7, idempotencyKey: request.id })
   */
  decide<C, E, S>(
    decider: Decider<C, E, S>,
    streamId: string,
    command: C,
    options?: DecideOptions,
  ): Promise<Decision<S>>

  /**
   * Decides on a command with a decision model, over several streams: queries by tags, lets the model make events, and appends them
   * under the condition that no other event matches the query meanwhile; retries if one does.
   *
   * @returns the state after the new events, and the results of the append
   * @throws ConditionFailedError if other writers got there first in the first attempt and in all `retries`
   * @throws what the model throws, and the other errors of `append`. If `evolve` throws on a new event, that event is written
   * @example
   * const { state, results } = await meow.decide(subscribe, { course: 'sql', student: 'ada' })
   */
  decide<C, E, S>(
    model: DecisionModel<C, E, S>,
    command: C,
    options?: ModelDecideOptions,
  ): Promise<ModelDecision<S>>

  /**
   * Returns the state of a stream, after all of its events or before a given version.
   *
   * @returns `version`: the version of the last event in the state; -1 if there is none, and the state is `initial`
   * @throws what `evolve` throws
   * @example
   * const { state, version } = await meow.state(show, 'hamlet')
   * const yesterday = await meow.state(show, 'hamlet', { toVersion: 17 })
   */
  state<C, E, S>(
    decider: Decider<C, E, S>,
    streamId: string,
    options?: StateOptions,
  ): Promise<{ state: S; version: number }>

  /**
   * Returns the state of a stream as a cold Observable: the current state, then the state after each new event; completes on close.
   *
   * Subscribers that watch the same stream with the same decider share one load and one fold; each gets the latest state
   * first. A lost connection is not an error: the Observable continues. If a standby took over that is missing events, it
   * continues with the state that the stream has there.
   *
   * **There is no back-pressure:** if you are slow and need only the latest state, use `auditTime` or a similar operator.
   *
   * @throws what `evolve` throws (as an error of the Observable)
   * @example
   * meow.watch(show, 'hamlet').subscribe(({ state, version }) => console.log(version, state.free))
   */
  watch<C, E, S>(decider: Decider<C, E, S>, streamId: string): Observable<Watched<S>>
}
