import { AsyncLocalStorage } from 'node:async_hooks'
import { ValidationError } from '../core/errors.ts'
import { encodeJson, isText, plainObject } from '../core/json.ts'
import type { RecordedEvent } from './event.ts'

/** A call of a handler. Other calls may be made inside it. */
export interface HandlerCall {
  /** The store whose events it handles. */
  readonly store: unknown
  /** What waits for it, of a subscription. */
  readonly worker?: unknown
  /** The name of that; undefined: it is an inline projection. */
  readonly subscription?: string
  readonly position: number
  /** It has not ended yet. */
  active: boolean
  /** The call that this one is made inside of. */
  readonly outer: HandlerCall | undefined
}

/** The call of a handler that a delivery of a subscription is handled by; for the operator `handle`. */
export const CALL: unique symbol = Symbol('meowmx.call')

export interface Called {
  readonly [CALL]?: () => HandlerCall
}

interface EventContext {
  readonly metadata: object
  readonly call: HandlerCall | undefined
}

const storage = new AsyncLocalStorage<EventContext>()

/** Metadata by which events are told to belong together. */
export interface Causation {
  /** Of all that one first event, or request, has led to. */
  correlationId: string
  /** The event that this one was made because of. */
  causationId: string
  /** W3C trace context: https://www.w3.org/TR/trace-context/#traceparent-header */
  traceparent?: string
}

/**
 * The metadata of an event that is made because of another: `causationId` is that one's id, `correlationId` and `traceparent`
 * are its own; if it has no `correlationId` it is the first, and its id is taken. What no event can hold, such as half a
 * surrogate pair that was written by plain SQL, counts as not there. Handlers of `process` and `handle` need not say so:
 * what they append has it by itself.
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
 * Run a function, all of whose appends, however deep or late, carry this metadata: each event's own metadata comes before it,
 * property by property; one that is `undefined` there is left out. Inside another, both count, the inner one first.
 *
 * @returns what the function returns
 * @throws ValidationError for metadata that is no object, or no function; what JSON can't hold is refused by the append
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

/** Run a handler: what it appends is caused by the event, and by nothing that happened to be around. */
export function runCausedBy<T>(
  event: Pick<RecordedEvent, 'id' | 'metadata'>,
  run: () => T,
  call = storage.getStore()?.call,
): T {
  return storage.run({ metadata: causedBy(event), call }, run)
}

/** What events that are appended now carry. */
export const inheritedMetadata = (): object | undefined => storage.getStore()?.metadata

/** Of the calls of handlers that this is done inside of, and that have not ended, the innermost one that is meant. */
export function enclosingCall(isMeant: (call: HandlerCall) => boolean = () => true): HandlerCall | undefined {
  let call = storage.getStore()?.call
  while (call && !(call.active && isMeant(call))) call = call.outer
  return call
}

/** Metadata of one's own beside what is inherited. A getter of one's own that throws is refused, with its path. */
export function mergeMetadata(inherited: object | undefined, own: object | undefined, path: string): object {
  try {
    return { ...inherited, ...own }
  } catch {
    encodeJson(own, path) // says which
    throw new ValidationError(path, 'can not be read', '[a getter that throws]')
  }
}
