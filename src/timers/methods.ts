// The methods of a store for timers, with their documentation.
import type { StreamWrite } from '../append/append.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { Due, ScheduledTimer } from './timer.ts'
import type { ScheduledOptions, TimerOptions } from './timers.ts'

/** Every kind of store has these. */
export interface TimerMethods {
  /**
   * Makes a timer: appends events when it is due, once. It fires while any worker of the store runs, in any process
   * (`process`, `processBatches`, `runProcessManager`, `runTimers`), never before its time by the database's clock, and within
   * some ms after it. If none runs then, it fires as soon as one does.
   *
   * A timer with the same key is replaced. A timer of the same key, time and events that has fired does not fire again, so a
   * repeated call is safe.
   *
   * If the append is refused (a VersionConflictError, for instance), it is tried again with pauses of 0.1 to 30 s, at most 10
   * times, while other timers go on. Then the timer is kept as failed: `scheduled()` shows it with the error, until you
   * schedule it again, run it (`runTimer`) or unschedule it. A conflict that no later attempt can solve fails at once.
   *
   * @param key names the timer; not empty, at most 255 characters
   * @param due a Date in the years 1 to 9999, or `{ inMs }` from now, at least 0, at most 100 years
   * @param write what `appendAll` takes; it is checked now. The events inherit the context of this call (`causationId`)
   * @param options `client`: in the caller's transaction, so that the timer exists if that commits
   * @throws ValidationError if the key, the time or an event is invalid; nothing is written
   * @example
   * const stream = { category: 'order', streamId: '42' }
   * await meow.schedule('pay-42', { inMs: 15 * 60_000 }, { stream, events: { type: 'PaymentOverdue', data: {} } })
   */
  schedule(key: string, due: Due, write: StreamWrite, options?: TimerOptions): Promise<void>

  /**
   * Deletes a timer. If it is being fired at this moment, it waits for that.
   *
   * @returns whether there was one; false: it has fired, or never existed
   * @example
   * if (!(await meow.unschedule('pay-42'))) console.log('too late')
   */
  unschedule(key: string, options?: TimerOptions): Promise<boolean>

  /**
   * Returns the timers that have not fired, in the order of their times: also those that failed (`failure`).
   *
   * @param options `limit`: default 100, minimum 1, maximum 100_000; `prefix`: only keys that begin with it
   * @example
   * for (const { key, due, failure } of await meow.scheduled({ prefix: 'pay-' })) console.log(key, due, failure?.error)
   */
  scheduled(options?: ScheduledOptions): Promise<ScheduledTimer[]>

  /**
   * Fires timers until the worker is stopped. A process that runs any worker does that by itself; this is for one that runs none.
   * All workers of a process share one loop, which sends no query while no timer is due.
   *
   * @returns the worker; `ready` and `done` reject if this role may not fire timers (SECURITY.md: a writer may)
   * @throws ClosedError if the store is closed
   * @example
   * const worker = meow.runTimers()
   * await worker.stop()
   */
  runTimers(): Worker
}

/** A store in PostgreSQL also has these. */
export interface PostgresTimerMethods extends TimerMethods {
  /**
   * Fires a timer now, whether it is due or not, also one that failed. It rejects with the error of the append if that is refused;
   * then the timer stays as it is.
   *
   * @returns false: there is no timer with this key
   * @example
   * await meow.runTimer('pay-42')
   */
  runTimer(key: string): Promise<boolean>
}
