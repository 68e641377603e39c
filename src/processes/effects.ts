// What a process manager can make happen. Effects are plain objects: `react` returns them, and the store carries them out.
import type { FailIf } from '../append/condition.ts'
import type { ExpectedVersion } from '../append/request.ts'
import type { StreamRef } from '../events/event.ts'
import type { NewEventOf } from '../events/types.ts'
import type { Due } from '../timers/timer.ts'

/** Append events to a stream. */
export interface AppendEffect {
  readonly type: 'append'
  readonly stream: StreamRef
  readonly events: unknown
  readonly expectedVersion?: ExpectedVersion
  readonly failIf?: FailIf
}

/** Come again at a time. */
export interface ScheduleEffect<T extends string = string> {
  readonly type: 'schedule'
  readonly name: T
  readonly due: Due
}

/** Do not come again. */
export interface CancelEffect<T extends string = string> {
  readonly type: 'cancel'
  readonly name: T
}

/** The instance has done its work. */
export interface EndEffect {
  readonly type: 'end'
}

/** What a process manager makes happen. */
export type Effect<T extends string = string> = AppendEffect | ScheduleEffect<T> | CancelEffect<T> | EndEffect

/** The functions that make effects. */
export interface Effects<T extends string = string> {
  /**
   * Appends one or more events to a stream. Default for `expectedVersion`: `'any'`. With `failIf`, only if no event matches its
   * query. A conflict, or a condition that does not hold, is a failure of the input.
   */
  append<S extends StreamRef>(
    stream: S,
    events: NewEventOf<S> | readonly NewEventOf<S>[],
    options?: { expectedVersion?: ExpectedVersion; failIf?: FailIf },
  ): AppendEffect
  /** Schedules the input `{ type: '$timer', name, due }` at a moment, or after this many ms. A timer of the same name is replaced. */
  schedule(name: T, due: Due): ScheduleEffect<T>
  /** Take a timer of this instance back. If there is none, nothing happens. */
  cancel(name: T): CancelEffect<T>
  /** Ends the instance: its timers are cancelled, and it ignores later events. */
  end(): EndEffect
}

/**
 * The functions that make effects, for tests: `react` gets them as its third argument.
 *
 * @example
 * given(deadline).when(placed).then([effects.schedule('late', { inMs: 2000 })])
 */
export const effects: Effects<any> = Object.freeze({
  append: (stream, events, options = {}) => ({ ...options, type: 'append', stream, events }),
  schedule: (name, due) => ({ type: 'schedule', name, due }),
  cancel: (name) => ({ type: 'cancel', name }),
  end: () => ({ type: 'end' }),
} satisfies Effects<any>)
