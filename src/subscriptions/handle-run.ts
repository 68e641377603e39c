import { AsyncResource } from 'node:async_hooks'
import type { Observable, Subscriber } from 'rxjs'
import { isObservable, Subject, takeUntil, takeWhile, timer } from 'rxjs'
import { sharedController } from '../core/abort.ts'
import { after } from '../core/clock.ts'
import { isPromise } from '../core/kinds.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Called } from '../events/event-context.ts'
import { CALL, endCall } from '../events/event-context.ts'
import type { WithTelemetry } from '../telemetry/telemetry.ts'
import { START_PROCESSING } from '../telemetry/telemetry.ts'
import type { Delivery } from './delivery.ts'
import { LeaseLostError } from './errors.ts'
import type { HandlerScope } from './handler-scope.ts'
import { callScope } from './handler-scope.ts'
import { Streams } from './streams.ts'

/** How long a failure waits for running handlers and for acks to become durable. */
const FAILURE_WAIT_MS = 5_000

/** The handler of the operator `handle`. */
export type HandleFunction<E> = (event: E, context: { attempt: number; signal: AbortSignal }) => unknown

/**
 * One subscription to the operator `handle`.
 *
 *     delivery -> waiting or running -> acked -> (the ack is durable) emitted
 *                        |                |
 *                        +---- failed ----+---> nothing more begins; when running handlers have ended and
 *                                               earlier acks are durable, the error is emitted
 */
export class HandleRun<E> {
  readonly #subscriber: Subscriber<E>
  readonly #fn: HandleFunction<E>
  readonly #streams: Streams<Delivery<E>>
  /** Deliveries that are not emitted yet, in the order of arrival. */
  readonly #unsettled = new Map<Delivery<E>, 'waiting or running' | 'acked'>()
  readonly #ended = sharedController()
  /** Ends the Observables that handlers returned. */
  readonly #cancel = new Subject<never>()
  #sourceIsOpen = true
  #isStarting = false
  #failure: { error: unknown; awaited?: Set<Delivery<E>> } | undefined

  constructor(subscriber: Subscriber<E>, fn: HandleFunction<E>, concurrency: number) {
    this.#subscriber = subscriber
    this.#fn = fn
    this.#streams = new Streams(concurrency, ({ event }) => streamOf(event))
  }

  /** Handle the deliveries of `source`. */
  run(source: Observable<Delivery<E>>): void {
    this.#subscriber.add(() => this.#end())
    // A source that emits everything in subscribe() can only be ended by takeWhile.
    const deliveries = source.pipe(takeWhile(() => !this.#ended.signal.aborted))
    this.#subscriber.add(
      deliveries.subscribe({
        next: (delivery) => {
          this.#unsettled.set(delivery, 'waiting or running')
          this.#streams.push(delivery)
          this.#startNext()
        },
        error: (error) => this.#subscriber.error(error),
        complete: () => this.#sourceCompleted(),
      }),
    )
  }

  #sourceCompleted(): void {
    this.#sourceIsOpen = false
    // If another executor owns an event now, its handler here has no effect, so nothing waits for it.
    for (const [delivery, state] of [...this.#unsettled])
      if (state !== 'acked' && delivery.stale) this.#unsettled.delete(delivery)
    this.#finishIfDone()
  }

  #startNext(): void {
    if (this.#isStarting) return // the loop below is already running further up on the stack
    this.#isStarting = true
    for (let next = this.#streams.next(); next; next = this.#streams.next()) this.#start(next)
    this.#isStarting = false
  }

  #start(delivery: Delivery<E>): void {
    if (delivery.stale) {
      this.#streams.done(delivery)
      this.#settled(delivery)
      return
    }
    const { event, attempt } = delivery
    const scope = scopeOf(delivery)
    const succeeded = () => {
      scope.end()
      this.#succeeded(delivery)
    }
    const failed = (error: unknown) => {
      scope.end({ error })
      this.#failed(delivery, error)
    }
    let result: unknown
    try {
      result = scope.run(() => this.#fn(event, { attempt, signal: this.#ended.signal }))
    } catch (error) {
      failed(error)
      return
    }
    if (isObservable(result)) {
      // The Observable does its work inside the scope; bound callbacks run outside it again.
      const observer = { complete: AsyncResource.bind(succeeded), error: AsyncResource.bind(failed) }
      const effects = result.pipe(takeUntil(this.#cancel))
      scope.run(() => effects.subscribe(observer))
    } else if (isPromise(result)) Promise.resolve(result).then(succeeded, failed)
    else succeeded()
  }

  #succeeded(delivery: Delivery<E>): void {
    this.#ack(delivery)
    this.#streams.done(delivery)
    if (this.#failure) this.#finishIfDone()
    else this.#startNext()
  }

  #failed(delivery: Delivery<E>, error: unknown): void {
    this.#streams.done(delivery)
    if (this.#failure) this.#finishIfDone()
    else this.#fail(error)
  }

  #ack(delivery: Delivery<E>): void {
    const refused = (error: unknown) => {
      if (this.#failure || error instanceof LeaseLostError) return this.#settled(delivery)
      this.#unsettled.set(delivery, 'waiting or running') // for good: the checkpoint stays below it
      this.#fail(error)
    }
    this.#unsettled.set(delivery, 'acked')
    try {
      delivery.ack().then(() => {
        this.#subscriber.next(delivery.event)
        this.#settled(delivery)
      }, refused)
    } catch (error) {
      refused(error)
    }
  }

  #settled(delivery: Delivery<E>): void {
    this.#unsettled.delete(delivery)
    this.#failure?.awaited?.delete(delivery)
    this.#finishIfDone()
  }

  #fail(error: unknown): void {
    this.#failure = { error }
    this.#end()
    const giveUp = () => this.#subscriber.error(error)
    this.#subscriber.add(after(FAILURE_WAIT_MS, giveUp))
    this.#subscriber.add(timer(FAILURE_WAIT_MS).subscribe(giveUp)) // in the virtual time of RxJS's TestScheduler
    this.#finishIfDone()
  }

  #end(): void {
    this.#streams.clear()
    this.#ended.abort()
    this.#cancel.error(this.#ended.signal.reason)
  }

  #finishIfDone(): void {
    if (!this.#failure) {
      if (!this.#sourceIsOpen && this.#unsettled.size === 0) this.#subscriber.complete()
    } else if (this.#streams.busy === 0) {
      this.#failure.awaited ??= acksToAwait(this.#unsettled)
      if (this.#failure.awaited.size === 0) this.#subscriber.error(this.#failure.error)
    }
  }
}

/** What surrounds the handler of a delivery: its telemetry, and inside that its call. */
function scopeOf<E>(delivery: Delivery<E>): HandlerScope {
  const { event } = delivery
  const call = (delivery as Called)[CALL]?.()
  const telemetry = (delivery as WithTelemetry)[START_PROCESSING]?.()
  const inner = isEvent(event) ? callScope(event, call) : undefined
  return {
    run: (code) => {
      const inCall = () => (inner ? inner.run(code) : code())
      return telemetry ? telemetry.run(inCall) : inCall()
    },
    end: (failure) => {
      if (call) endCall(call)
      telemetry?.end(failure)
    },
  }
}

/** The acks that can become durable: in each partition, those before the first delivery that is not acked. */
function acksToAwait<E>(unsettled: Map<Delivery<E>, string>): Set<Delivery<E>> {
  const stuck = new Set<number>()
  const acked = new Set<Delivery<E>>()
  for (const [delivery, state] of unsettled) {
    if (state !== 'acked') stuck.add(delivery.partition)
    else if (!stuck.has(delivery.partition)) acked.add(delivery)
  }
  return acked
}

function isEvent(value: unknown): value is Pick<RecordedEvent, 'id' | 'metadata'> {
  const { id, metadata } = (value ?? {}) as Partial<RecordedEvent>
  return typeof id === 'string' && typeof metadata === 'object' && metadata !== null
}

/** The key of an event's stream. Values that have no stream are all handled as one stream. */
function streamOf(event: unknown): string {
  const { category, streamId } = (event ?? {}) as { category?: unknown; streamId?: unknown }
  return streamId === undefined ? '' : `${category}\u0000${streamId}`
}
