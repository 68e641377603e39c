import { isPromise } from '../core/kinds.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { HandlerCall } from '../events/event-context.ts'
import { endCall, runCausedBy } from '../events/event-context.ts'

/** What surrounds a run of a handler: its call, or its telemetry. */
export interface HandlerScope {
  /** Run code that belongs to the handler. */
  run<T>(code: () => T): T
  /** The handler has ended. */
  end(failure?: { error: unknown }): void
}

/** The scope that gives what a handler appends the context of its event. */
export function callScope(
  event: Pick<RecordedEvent, 'id' | 'metadata'>,
  call: HandlerCall | undefined,
): HandlerScope {
  return {
    run: (code) => runCausedBy(event, code, call),
    end: () => {
      if (call) endCall(call)
    },
  }
}

/** Run a handler in a scope, and end the scope with the handler. Returns what the handler returns, as a native promise if it is one. */
export function runIn<T>(scope: HandlerScope, handler: () => T): T {
  let result: T
  try {
    result = scope.run(handler)
  } catch (error) {
    scope.end({ error })
    throw error
  }
  if (!isPromise(result)) {
    scope.end()
    return result
  }
  // `then` of the result is called only once: a thenable, such as a query builder, may do its work with each call.
  const ended = Promise.resolve(result).then(
    (value) => {
      scope.end()
      return value
    },
    (error) => {
      scope.end({ error })
      throw error
    },
  )
  return ended as T
}
