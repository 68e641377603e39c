import { AsyncResource } from 'node:async_hooks'
import type { OperatorFunction } from 'rxjs'
import { isObservable, Observable, Subject, takeUntil, takeWhile, timer } from 'rxjs'
import { z } from 'zod'
import { manyWaitFor } from '../core/abort.ts'
import { after } from '../core/clock.ts'
import { method } from '../core/fields.ts'
import { isPromise } from '../core/kinds.ts'
import { parse } from '../core/validate.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Called } from '../events/event-context.ts'
import { CALL, handling } from '../events/event-context.ts'
import type { WithTelemetry } from '../telemetry/telemetry.ts'
import { START_PROCESSING } from '../telemetry/telemetry.ts'
import type { Delivery } from './delivery.ts'
import { LeaseLostError } from './errors.ts'
import { Streams } from './streams.ts'

/** How `handle` handles. */
export interface HandleOptions {
  /** Events handled at once at most, each of another stream. Default 1, minimum 1. */
  concurrency?: number | undefined
}

const handleOptions = z.strictObject({ concurrency: z.number().int().min(1).default(1) })

/** How long a failure waits for what was begun or acked before it. */
const PATIENCE_MS = 5_000

/**
 * Handles deliveries: runs `fn` on each event, acks it, and emits it once its ack is durable.
 *
 * Each stream's events run in order, one at a time; with `concurrency` above 1 different streams run at once. An event
 * is handled when `fn` returns, its promise resolves or its Observable completes. The next one begins then, without
 * waiting for the ack: `fn` runs ahead of what is emitted (with `take(2)` more than two may be handled).
 *
 * Where `fn` fails nothing more begins. What runs may end, what is durable by then is emitted (for 5 s at most), and the
 * Observable fails with `fn`'s error. All the rest comes again to who subscribes anew: `retry({ delay: 1000 })` goes on
 * at the checkpoint. Failures to ack are such errors too, but for LeaseLostError: another executor has that event now.
 *
 * In the end, however it comes, `context.signal` aborts. What succeeds nevertheless is acked still: a handler that gives
 * up because of the signal has to throw. It must not wait for `meow.close()`, which waits for it: a DeadlockError says so.
 *
 * @param fn takes the event and `{ attempt, signal }`; `attempt` is 1, 2, 3 …
 * @throws ValidationError at once, where `fn` is no function or `concurrency` no integer of at least 1
 * @example
 * meow.subscription('mailer', { category: 'order' }).deliveries().pipe(
 *   handle((event, { signal }) => sendMail(event.data, { signal }), { concurrency: 8 }),
 *   retry({ delay: 1000 }),
 * ).subscribe((event) => console.log(`mailed ${event.streamId}`))
 */
export function handle<E>(
  fn: (event: E, context: { attempt: number; signal: AbortSignal }) => unknown,
  options: HandleOptions = {},
): OperatorFunction<Delivery<E>, E> {
  parse(method, fn, 'fn')
  const { concurrency } = parse(handleOptions, options, 'options')
  return (source) =>
    new Observable((subscriber) => {
      const streams = new Streams<Delivery<E>>(concurrency, ({ event }) => streamOf(event))
      const unsettled = new Map<Delivery<E>, 'waiting or running' | 'acked'>() // in the order of arrival
      const ended = manyWaitFor()
      const cancel = new Subject<never>()
      const { signal } = ended
      let open = true
      let pumping = false
      let failure: { error: unknown; awaited?: Set<Delivery<E>> } | undefined

      const end = () => {
        streams.clear()
        ended.abort()
        cancel.error(signal.reason)
      }
      const fail = (error: unknown) => {
        failure = { error }
        end()
        const giveUp = () => subscriber.error(error)
        subscriber.add(after(PATIENCE_MS, giveUp))
        subscriber.add(timer(PATIENCE_MS).subscribe(giveUp)) // in the virtual time of RxJS's TestScheduler
        check()
      }
      /** Whether it is over. */
      const check = () => {
        if (!failure) {
          if (!open && unsettled.size === 0) subscriber.complete()
        } else if (streams.busy === 0) {
          failure.awaited ??= covered(unsettled)
          if (failure.awaited.size === 0) subscriber.error(failure.error)
        }
      }
      const settled = (delivery: Delivery<E>) => {
        unsettled.delete(delivery)
        failure?.awaited?.delete(delivery)
        check()
      }
      const ack = (delivery: Delivery<E>) => {
        const refused = (error: unknown) => {
          if (failure || error instanceof LeaseLostError) return settled(delivery)
          unsettled.set(delivery, 'waiting or running') // for good: the checkpoint stays below it
          fail(error)
        }
        unsettled.set(delivery, 'acked')
        try {
          delivery.ack().then(() => {
            subscriber.next(delivery.event)
            settled(delivery)
          }, refused)
        } catch (error) {
          refused(error)
        }
      }
      const handled = (delivery: Delivery<E>) => {
        ack(delivery)
        streams.done(delivery)
        if (failure) check()
        else pump()
      }
      const failed = (delivery: Delivery<E>, error: unknown) => {
        streams.done(delivery)
        if (failure) check()
        else fail(error)
      }
      const run = (delivery: Delivery<E>) => {
        if (delivery.stale) {
          streams.done(delivery)
          return settled(delivery)
        }
        const { event, attempt } = delivery
        const processing = (delivery as WithTelemetry)[START_PROCESSING]?.()
        const own = (delivery as Called)[CALL]?.()
        const within = <T>(call: () => T): T => {
          const caused = () => (isEvent(event) ? handling(event, call, own) : call())
          return processing ? processing.run(caused) : caused()
        }
        const end = (failure?: { error: unknown }) => {
          if (own) own.active = false
          processing?.end(failure)
        }
        const success = () => {
          end()
          handled(delivery)
        }
        const error = (error: unknown) => {
          end({ error })
          failed(delivery, error)
        }
        let result: unknown
        try {
          result = within(() => fn(event, { attempt, signal }))
        } catch (thrown) {
          return error(thrown)
        }
        if (isObservable(result)) {
          // What it does is the handler's work, what comes of it is ours again.
          const observer = { complete: AsyncResource.bind(success), error: AsyncResource.bind(error) }
          const effects = result.pipe(takeUntil(cancel))
          within(() => effects.subscribe(observer))
        } else if (isPromise(result)) Promise.resolve(result).then(success, error)
        else success()
      }
      const pump = () => {
        if (pumping) return // it is further up on the stack, and goes on there
        pumping = true
        for (let delivery = streams.next(); delivery; delivery = streams.next()) run(delivery)
        pumping = false
      }

      subscriber.add(end)
      const deliveries = source.pipe(takeWhile(() => !signal.aborted)) // ends one that emits all in subscribe()
      subscriber.add(
        deliveries.subscribe({
          next: (delivery) => {
            unsettled.set(delivery, 'waiting or running')
            streams.push(delivery)
            pump()
          },
          error: (error) => subscriber.error(error),
          complete: () => {
            open = false
            // A handler whose event is another's by now is waited for no longer: nothing that it does counts.
            for (const [delivery, state] of [...unsettled])
              if (state !== 'acked' && delivery.stale) unsettled.delete(delivery)
            check()
          },
        }),
      )
    })
}

/** Acks that become durable: of each partition, those before the first delivery that is not handled. */
function covered<E>(unsettled: Map<Delivery<E>, string>): Set<Delivery<E>> {
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

/** Plain values, which belong to no stream, are taken for one. */
function streamOf(event: unknown): string {
  const { category, streamId } = (event ?? {}) as { category?: unknown; streamId?: unknown }
  return streamId === undefined ? '' : `${category}\u0000${streamId}`
}
