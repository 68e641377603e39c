// The methods for an administrator of the store, with their documentation.
import type { StreamRef } from '../../events/event.ts'
import type { Erased, EraseOptions } from './erase.ts'
import type { Health, HealthOptions } from './health.ts'
import type { Staller } from './stallers.ts'

/** A store in PostgreSQL has these. */
export interface StoreAdminMethods {
  /**
   * Says whether this process can work with the store, for probes: whether the database answers, whether its schema is that of
   * this version, whether events are pushed, and, with `maxLag`, whether a subscription has more events to handle than that.
   * If something is wrong it does not reject: `ok` is false, and the `message` of a check says why.
   *
   * For a readiness probe take `ok`. For a liveness probe it is enough that the call returns: restarting a process because the
   * database is down makes things worse.
   *
   * @param options `maxLag`: minimum 0, default: lags are not checked; `timeoutMs`: after which the database counts as
   * unreachable,
   *   default 5000, minimum 1
   * @throws ValidationError if an option is invalid; ClosedError after `close()`
   * @example
   * app.get('/ready', async (_, response) => {
   *   const { ok, checks } = await meow.health({ maxLag: 10_000 })
   *   response.status(ok ? 200 : 503).json(checks)
   * })
   */
  health(options?: HealthOptions): Promise<Health>

  /**
   * Returns the blocking transactions, the oldest first: open transactions that have begun to append. Events that others append
   * meanwhile are stored, but delivered only after these transactions have ended.
   *
   * @example
   * for (const { pid, since, category } of await meow.stallers()) console.log(pid, since, category)
   */
  stallers(): Promise<Staller[]>

  /**
   * Erases a stream: empties its events, deletes its snapshots, blanks the errors of its parked events, and appends a tombstone,
   * an event of type `$erased`. It does all of this or nothing.
   *
   * An emptied event keeps its id, version, position, type and time; its data is `{}` and its metadata `{ erased: true }`. A zod
   * category reads it as `known: false`; code that folds events only by their type has to skip it. A second call empties the
   * events that were appended since the first; if there are none, it writes nothing.
   *
   * **It erases the store, but no copies:** read models, delivered events, backups, WAL, and the memory of running processes
   * (`watch` keeps its state, a handler keeps its event). Erase read models when you handle the tombstone; a subscription with
   * `types` must select `$erased` too. The files of the table hold the old rows until it is vacuumed. Names of streams, types
   * and `recordedAt` stay.
   *
   * It needs a privilege of its own (role `meowmx_eraser` in SECURITY.md). A very long stream may take longer than
   * `queryTimeoutMs`: connect with a larger value. If an error leaves the outcome open, call it again.
   *
   * @returns the number of emptied events, and the tombstone; 0 and null if the stream does not exist
   * @throws ConnectionError if this role lacks the privilege
   * @throws ValidationError if the stream is invalid, or `reason` has more than 255 characters
   * @example
   * const { events } = await meow.eraseStream({ category: 'customer', streamId: '42' }, { reason: 'GDPR 17, ticket 4711' })
   */
  eraseStream(stream: StreamRef, options?: EraseOptions): Promise<Erased>
}
