import { AsyncLocalStorage } from 'node:async_hooks'
import { ValidationError } from '../core/errors.ts'
import { encodeJson, isText, plainObject } from '../core/json.ts'
import type { RecordedEvent } from './event.ts'

/** One call of a handler. Other calls may happen inside it. */
export interface HandlerCall {
  /** The store whose events the handler receives. */
  readonly store: unknown
  /** The worker of the subscription, which waits for the call. */
  readonly worker?: unknown
  /** The name of the subscription; undefined if it is an inline projection. */
  readonly subscription?: string
  readonly position: number
  /** Whether the call has not ended yet. */
  active: boolean
  /** The call inside which this one happens. */
  outer: HandlerCall | undefined
}

/** The handler of this call has ended. Outer calls that have ended are forgotten, or a chain of them could grow without end. */
export function endCall(call: HandlerCall): void {
  call.active = false
  while (call.outer && !call.outer.active) call.outer = call.outer.outer
}

/** Where a delivery keeps the handler call that it belongs to, for the operator `handle`. */
export const CALL: unique symbol = Symbol('meowmx.call')

export interface Called {
  readonly [CALL]?: () => HandlerCall
}

interface EventContext {
  readonly metadata: object
  readonly call: HandlerCall | undefined
}

const storage = new AsyncLocalStorage<EventContext>()

/** Metadata that shows which events belong together. */
export interface Causation {
  /** The same for everything that one first event or request has caused. */
  correlationId: string
  /** The id of the event that caused this one. */
  causationId: string
  /** W3C trace context: https://www.w3.org/TR/trace-context/#traceparent-header */
  traceparent?: string
}

/**
 * Returns the metadata of an event that is caused by another event.
 *
 * `causationId` is the id of that event. `correlationId` and `traceparent` are copied from it; if it has no `correlationId`,
 * its own id is used. A value that no event can contain, such as a lone surrogate that plain SQL has written, is ignored.
 * Handlers of `process` and `handle` don't need this: what they append has this metadata automatically.
 *
 * @example
 * for await (const event of meow.iterate({ category: 'order' }))
 *   await meow.append(mail, { type: 'MailSent', data: {}, metadata: causedBy(event) })
 */
export function causedBy({ id, metadata }: Pick<RecordedEvent, 'id' | 'metadata'>): Causation {
  const { correlationId, traceparent } = metadata ?? {}
  return {
    correlationId: isText(correlationId) ? correlationId : id,
    causationId: id,
    ...(isText(traceparent) ? { traceparent } : {}),
  }
}

/**
 * Runs a function, and adds this metadata to every event that is appended inside it, at any depth and at any later time.
 *
 * An event's own metadata overrides it, property by property; a property that is `undefined` there is left out. If calls are
 * nested, both apply, and the inner one overrides the outer one.
 *
 * @returns what the function returns
 * @throws ValidationError if the metadata is not an object or `run` is not a function; the append refuses metadata that is not JSON
 * @example
 * app.use((request, _, next) => withMetadata({ correlationId: request.id, traceparent: request.headers.traceparent }, next))
 */
export function withMetadata<T>(metadata: object, run: () => T): T {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    throw new ValidationError('metadata', 'must be an object', metadata)
  if (typeof run !== 'function') throw new ValidationError('run', 'must be a function', run)
  const own = plainObject(metadata, 'metadata')
  const around = storage.getStore()
  return storage.run({ metadata: mergeMetadata(around?.metadata, own, 'metadata'), call: around?.call }, run)
}

/** Runs a handler. What it appends is caused by the event, whatever the context of the caller is. */
export function runCausedBy<T>(
  event: Pick<RecordedEvent, 'id' | 'metadata'>,
  run: () => T,
  call = storage.getStore()?.call,
): T {
  return storage.run({ metadata: causedBy(event), call }, run)
}

/** Runs code that belongs to no event or request, whatever the context of the caller is. */
export const withoutContext = <T>(run: () => T): T => storage.run({ metadata: {}, call: undefined }, run)

/** The metadata that events appended now inherit. */
export const inheritedMetadata = (): object | undefined => storage.getStore()?.metadata

/** The innermost handler call around this code that has not ended and that `isMeant` accepts. */
export function enclosingCall(isMeant: (call: HandlerCall) => boolean = () => true): HandlerCall | undefined {
  let call = storage.getStore()?.call
  while (call && !(call.active && isMeant(call))) call = call.outer
  return call
}

/**
 * The inherited metadata, overridden by the event's own. If a getter of the event's own metadata throws, that is refused with
 * its path.
 */
export function mergeMetadata(inherited: object | undefined, own: object | undefined, path: string): object {
  try {
    return { ...inherited, ...own }
  } catch {
    encodeJson(own, path) // throws with the path of the getter
    throw new ValidationError(path, 'can not be read', '[a getter that throws]')
  }
}
