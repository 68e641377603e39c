import type { OperatorFunction } from 'rxjs'
import { Observable } from 'rxjs'
import { z } from 'zod'
import { methodSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { Delivery } from './delivery.ts'
import { HandleRun } from './handle-run.ts'

/** Options of the operator `handle`. */
export interface HandleOptions {
  /** How many events are handled at once at most, each of a different stream. Default 1, minimum 1. */
  concurrency?: number | undefined
}

const handleOptionsSchema = z.strictObject({ concurrency: z.number().int().min(1).default(1) })

/**
 * Handles deliveries: runs `fn` on each event, acks it, and emits it once its ack is durable.
 *
 * The events of a stream run in order, one at a time; if `concurrency` is above 1, different streams run at once. An event
 * is handled when `fn` returns, its promise resolves or its Observable completes. The next event begins then, without
 * waiting for the ack. So `fn` may have handled more events than are emitted: with `take(2)` perhaps more than two.
 *
 * If `fn` fails, no other event begins. Running handlers may end, and the acks that become durable are emitted; this takes
 * at most 5 s. Then the Observable fails with the error of `fn`. All other events come again with the next subscribe:
 * `retry({ delay: 1000 })` continues at the checkpoint. A failed ack is such an error too, except LeaseLostError: another
 * executor owns that event now.
 *
 * `context.signal` aborts when the Observable ends for any reason. A handler that succeeds after that is still acked, so a
 * handler that gives up because of the signal must throw. A handler must not wait for `meow.close()`, which waits for the
 * handler: it would get a DeadlockError.
 *
 * @param fn is called with the event and `{ attempt, signal }`; `attempt` is 1, 2, 3 …
 * @throws ValidationError at once, if `fn` is not a function or `concurrency` is not an integer of at least 1
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
  parse(methodSchema, fn, 'fn')
  const { concurrency } = parse(handleOptionsSchema, options, 'options')
  return (source) => new Observable((subscriber) => new HandleRun(subscriber, fn, concurrency).run(source))
}
