import type { Observable } from 'rxjs'
import { Observable as Cold, distinctUntilChanged, ReplaySubject, share } from 'rxjs'
import { abortable, abortWith } from '../core/abort.ts'
import { Condition } from '../core/condition.ts'
import { ClosedError, TimeoutError } from '../core/errors.ts'
import { positionSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import { isTransientAtStart } from '../database/failures.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { statements } from '../database/statements.ts'
import type { Waiting, WaitOptions } from '../subscriptions/admin/wait.ts'
import { waitOptionsSchema } from '../subscriptions/admin/wait.ts'
import { SubscriptionNotFoundError } from '../subscriptions/errors.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { Checked } from './definition.ts'
import { placesOf } from './definition.ts'
import type { ProjectionInfo } from './list.ts'
import { listProjections } from './list.ts'
import type { Pace } from './pace.ts'
import { Pacer } from './pace.ts'
import type { ProjectionPorts } from './worker.ts'
import { ProjectionWorker } from './worker.ts'

/** How far a version of a projection is. */
export interface ProjectionStatus
  extends Pick<
      ProjectionInfo,
      'name' | 'version' | 'generation' | 'state' | 'position' | 'horizon' | 'lag' | 'parkedStreams'
    >,
    Pace {}

/** How long `waitFor` waits for one version before it checks which one is live, in ms. */
const LOOK_MS = 500

/** One version of a projection. `meow.projection` makes it. */
export class Projection {
  readonly name: string
  readonly version: number
  /**
   * How far this version is, in whatever processes it runs: the current value first, then each change. It is read once in
   * `pollIntervalMs`, and when a version is switched to; completes when the store closes.
   */
  readonly status$: Observable<ProjectionStatus>
  readonly #ports: ProjectionPorts
  readonly #definition: Checked
  readonly #waiting: Waiting

  /** @internal Use `meow.projection`. */
  constructor(ports: ProjectionPorts, definition: Checked, waiting: Waiting) {
    placesOf(ports.db.settings.schema, definition)
    this.#ports = ports
    this.#definition = definition
    this.#waiting = waiting
    this.name = definition.name
    this.version = definition.version
    this.status$ = this.#observe()
  }

  /**
   * Runs this version in this process: makes its tables if they are not there, handles events, and, with `activate: 'auto'`, switches
   * the readers' views to it as soon as it has caught up. Call it in as many processes as you like: they share the partitions. A
   * version that is not live any more is kept up to date, so that you can go back.
   *
   * If the tables or the definition are wrong, `ready` and `done` reject with:
   *
   * @throws ProjectionMismatchError if this version exists with a different setup or selector, or was dropped
   * @throws ProjectionSetupError if `setup` fails
   * @throws ProjectionRefusedError if the schema of this version can't be made
   * @example
   * const worker = meow.projection(orders).start()
   * await worker.ready
   */
  start(): Worker {
    if (this.#ports.closing.aborted) throw new ClosedError()
    return new ProjectionWorker(this.#ports, this.#definition)
  }

  /**
   * Waits until the live version shows the event at a position, so that any process can read its own writes through the views.
   * It also holds if another version takes over meanwhile. If nothing is live yet, it waits for that, too.
   *
   * @throws TimeoutError after `timeoutMs` (default 5000, minimum 1)
   * @throws ClosedError if the store is closing; if `signal` aborts, it rejects with the signal's reason
   * @example
   * const { position } = await meow.append(Order.stream('42'), Order.OrderPlaced({ price: 9 }))
   * await projection.waitFor(position)
   */
  async waitFor(position: number, options: WaitOptions = {}): Promise<void> {
    const at = parse(positionSchema, position, 'position')
    const { timeoutMs, signal } = parse(waitOptionsSchema, options, 'options')
    const { db, closing } = this.#ports
    const end = db.clock.now() + timeoutMs
    const giveUp = abortWith(closing, signal)
    try {
      for (let pauseMs = 5; ; pauseMs = Math.min(2 * pauseMs, 100)) {
        giveUp.signal.throwIfAborted()
        const left = end - db.clock.now()
        if (left <= 0)
          throw new TimeoutError(`waiting for projection "${this.name}" to show position ${at}`, timeoutMs)
        const [live] = await abortable(this.#live(giveUp.signal), giveUp.signal)
        if (live && (await this.#reached(live[2], at, Math.min(left, LOOK_MS), giveUp.signal))) return
        if (!live) await db.clock.sleep(Math.min(pauseMs, left), giveUp.signal)
      }
    } catch (error) {
      giveUp.signal.throwIfAborted()
      throw error
    } finally {
      giveUp.abort()
    }
  }

  #live(signal: AbortSignal) {
    const { db } = this.#ports
    const { name } = this
    const read = () => db.query(statements.liveProjection, { name })
    return retryForever(read, retryPolicy(db, signal), isTransientAtStart)
  }

  async #reached(subscription: string, at: number, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#waiting.waitFor(subscription, at, { timeoutMs: Math.max(Math.ceil(timeoutMs), 1), signal })
      return true
    } catch (error) {
      if (error instanceof TimeoutError || error instanceof SubscriptionNotFoundError) return false
      throw error
    }
  }

  #observe(): Observable<ProjectionStatus> {
    const { db, listener, closing } = this.#ports
    const { name } = this
    return new Cold<ProjectionStatus>((subscriber) => {
      const ended = abortWith(closing)
      const changed = new Condition()
      const pacer = new Pacer()
      let stopListening = () => {}
      const run = async () => {
        const policy = retryPolicy(db, ended.signal)
        const [channel] = await retryForever(
          () => db.query(statements.projectionChannel, { name }),
          policy,
          isTransientAtStart,
        )
        ended.signal.throwIfAborted()
        stopListening = listener.on(channel![0], () => changed.fire())
        for (;;) {
          const woken = changed.next()
          const all = await retryForever(() => listProjections(db, name), policy, isTransientAtStart)
          subscriber.next(this.#status(all, pacer))
          const cancel = db.clock.after(db.settings.pollIntervalMs, () => changed.fire())
          await abortable(woken, ended.signal).finally(cancel)
        }
      }
      run().catch((error) => (ended.signal.aborted ? subscriber.complete() : subscriber.error(error)))
      return () => {
        stopListening()
        ended.abort()
      }
    }).pipe(
      distinctUntilChanged((a, b) => JSON.stringify(a) === JSON.stringify(b)),
      share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }),
    )
  }

  /** The status of the newest generation: that of a rebuild, if one is under way. */
  #status(all: readonly ProjectionInfo[], pacer: Pacer): ProjectionStatus {
    const { name, version } = this
    const info = all.filter((one) => one.version === version).at(-1)
    const {
      generation = 1,
      state = 'building',
      position = 0,
      horizon = 0,
      lag = 0,
      parkedStreams = 0,
    } = info ?? {}
    const pace = info ? pacer.add(info, this.#ports.db.clock.now()) : { rate: 0, etaMs: null }
    return { name, version, generation, state, position, horizon, lag, parkedStreams, ...pace }
  }
}
