import { Subscription } from 'rxjs'
import { abortable, abortWith } from '../core/abort.ts'
import { Condition } from '../core/condition.ts'
import { MeowError } from '../core/errors.ts'
import type { StopOptions } from '../core/stop-options.ts'
import { stopOptionsSchema } from '../core/stop-options.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import { isTransient, isTransientAtStart } from '../database/failures.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { statements } from '../database/statements.ts'
import type { Listener } from '../notify/listener.ts'
import type { BatchHandler } from '../subscriptions/invoke.ts'
import type { DurableSubscription } from '../subscriptions/subscription.ts'
import type { Subscriptions } from '../subscriptions/subscriptions.ts'
import type { Worker } from '../subscriptions/worker.ts'
import type { Checked } from './definition.ts'
import { ProjectionMismatchError } from './errors.ts'
import { setUp } from './set-up.ts'
import type { Outcome } from './switch.ts'
import { trySwitch } from './switch.ts'

/** The parts of a store that projections use. */
export interface ProjectionPorts {
  readonly db: Queries
  readonly listener: Pick<Listener, 'on'>
  readonly subscriptions: Subscriptions
  /** Aborts when the store closes. */
  readonly closing: AbortSignal
}

/** A generation of the version, as the database has it. */
interface Generation {
  readonly generation: number
  readonly schema: string
  readonly subscription: string
  readonly isSetUp: boolean
  readonly isLive: boolean
  readonly isComplete: boolean
  readonly wasLive: boolean
  readonly liveVersion: number | null
}

/** A generation that this process works on. */
interface Building {
  readonly worker: Worker
  readonly subscription: DurableSubscription<any>
  readonly watching: Subscription
  /** Whether its events are handled up to the horizon, as far as this process knows. */
  caughtUp: boolean
  failure?: { error: unknown }
  warned?: boolean
}

/**
 * Runs one version of a projection in this process, until it is stopped:
 *
 *     set up what is missing -> handle events -> has it caught up? switch to it, if that is its turn
 *            ^                                     |
 *            +---- a notification, a poll ---------+
 *
 * There may be two generations at once: the live one, and the one of a rebuild, which takes over.
 */
export class ProjectionWorker implements Worker {
  readonly ready: Promise<void>
  readonly done: Promise<void>
  readonly #ports: ProjectionPorts
  readonly #definition: Checked
  readonly #stopping: AbortController
  readonly #woken = new Condition()
  readonly #running = new Map<number, Building>()
  #stopOptions: StopOptions = {}

  constructor(ports: ProjectionPorts, definition: Checked) {
    this.#ports = ports
    this.#definition = definition
    this.#stopping = abortWith(ports.closing)
    let done: Promise<void> = Promise.resolve()
    this.ready = new Promise((resolve, reject) => {
      done = this.#run(resolve).catch((error) => {
        reject(error)
        throw error
      })
    })
    this.done = done
    this.ready.catch(() => {})
    this.done.catch(() => {}) // it is logged, so it must not be unhandled
  }

  async stop(options: StopOptions = {}): Promise<void> {
    this.#stopOptions = parse(stopOptionsSchema, options, 'options')
    this.#stopping.abort()
    await this.#stopAll() // a handler that waits for this gets a DeadlockError
    await this.done.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ worker }) => worker.stop(this.#stopOptions)))
  }

  async #run(isReady: () => void): Promise<void> {
    const { db, listener } = this.#ports
    const { name, version } = this.#definition
    const { clock } = db
    const { signal } = this.#stopping
    let stopListening = () => {}
    try {
      const policy = retryPolicy(db, signal)
      await retryForever(() => setUp(db, this.#definition), policy, isTransientAtStart)
      const [channel] = await retryForever(() => db.query(statements.projectionChannel, { name }), policy)
      stopListening = listener.on(channel![0], () => this.#woken.fire())
      for (let isFirst = true; ; isFirst = false) {
        const woken = this.#woken.next()
        await retryForever(() => this.#look(), policy)
        if (isFirst) {
          await Promise.all([...this.#running.values()].map(({ worker }) => abortable(worker.ready, signal)))
          isReady()
        }
        const cancel = clock.after(db.settings.pollIntervalMs, () => this.#woken.fire())
        await abortable(woken, signal).finally(cancel)
      }
    } catch (error) {
      if (signal.aborted) {
        isReady()
        return
      }
      db.settings.logger.error(
        { err: error, projection: name, version },
        'a worker of a projection has ended',
      )
      throw error
    } finally {
      stopListening()
      this.#stopping.abort()
      await Promise.allSettled(
        [...this.#running.values()].map(({ worker, watching }) => {
          watching.unsubscribe()
          return this.#ports.closing.aborted ? worker.done : worker.stop(this.#stopOptions)
        }),
      )
    }
  }

  /** Starts and stops generations here, according to the database. */
  async #look(): Promise<void> {
    const { db } = this.#ports
    const generations = await this.#read()
    if (generations.some(({ isSetUp }) => !isSetUp)) {
      await setUp(db, this.#definition)
      return this.#look()
    }
    const { name, version } = this.#definition
    if (generations.length === 0)
      throw new ProjectionMismatchError(
        name,
        `version ${version} of projection "${name}" was dropped: stop starting it, or give it a new version number`,
      )
    const newest = Math.max(...generations.filter(({ isLive }) => isLive).map(({ generation }) => generation))
    const wanted = generations.filter(({ generation }) => !(generation < newest)) // a rebuild has taken over
    for (const [generation, building] of this.#running) {
      const isThere = wanted.some((one) => one.generation === generation)
      if (isThere && building.failure) throw building.failure.error
      if (isThere) continue
      this.#running.delete(generation)
      building.watching.unsubscribe()
      await building.worker.stop()
    }
    for (const one of wanted) {
      const building = this.#running.get(one.generation) ?? this.#start(one)
      await this.#advance(one, building)
    }
  }

  async #read(): Promise<Generation[]> {
    const { name, version } = this.#definition
    const rows = await this.#ports.db.query(statements.generations, { name, version })
    return rows.map(
      ([generation, schema, subscription, isSetUp, isLive, completed, activated, liveVersion]) => ({
        generation: Number(generation),
        schema,
        subscription,
        isSetUp: isSetUp === 't',
        isLive: isLive === 't',
        isComplete: completed !== null,
        wasLive: activated !== null,
        liveVersion: liveVersion === null ? null : Number(liveVersion),
      }),
    )
  }

  #start({ generation, schema, subscription: name }: Generation): Building {
    const { subscriptions } = this.#ports
    const { selector, partitions, leaseMs, batchSize, retry } = this.#definition
    const maxInFlight = Math.min(Math.max(1_000, 2 * batchSize * partitions), 100_000)
    const subscription = subscriptions.get(name, { ...selector, partitions, leaseMs, maxInFlight }, true)
    const worker = subscription.processBatches(this.#handler(schema), {
      transactional: true,
      batchSize,
      retry,
    })
    const building: Building = { worker, subscription, watching: new Subscription(), caughtUp: false }
    const seen = subscription.status$.subscribe(({ state }) => {
      if (building.caughtUp === (state === 'live')) return
      building.caughtUp = state === 'live'
      if (building.caughtUp) this.#woken.fire()
    })
    building.watching.add(seen)
    this.#running.set(generation, building)
    const ended = (failure?: { error: unknown }) => {
      if (this.#stopping.signal.aborted || this.#running.get(generation) !== building) return
      building.failure = failure ?? { error: new MeowError('ERR_PROJECTION', 'a worker has ended') }
      this.#woken.fire()
    }
    worker.done.then(
      () => ended(),
      (error) => ended({ error }),
    )
    return building
  }

  #handler(schema: string): BatchHandler {
    const { db } = this.#ports
    const { name, version, handle } = this.#definition
    return async (events, { attempt, signal, client }) => {
      const [entered] = await db.query(statements.enterProjection, { schema }, client)
      if (!entered)
        throw new ProjectionMismatchError(name, `version ${version} of projection "${name}" was dropped`)
      await handle(events, { attempt, signal, client: client!, rebuilding: entered[0] === 't' })
    }
  }

  /** If this generation has caught up, tries to switch to it, or records that it is complete. */
  async #advance(one: Generation, building: Building): Promise<void> {
    const { db } = this.#ports
    const { name, version, activate } = this.#definition
    const { generation, isLive, wasLive, isComplete, liveVersion } = one
    if (isLive || wasLive || !building.caughtUp) return
    const isTurn = (activate === 'auto' || generation > 1) && !(liveVersion !== null && liveVersion > version)
    if (!isTurn && isComplete) return
    const outcome: Outcome | 'busy' = await trySwitch(
      db,
      { name, version, generation },
      isTurn ? 'auto' : 'complete',
    ).catch((error) => {
      if (isTransient(error)) throw error
      this.#warn(
        building,
        { err: error },
        'a version of a projection is complete, and can not be switched to',
      )
      return 'ready'
    })
    const { logger } = db.settings
    if (outcome === 'live')
      logger.info({ projection: name, version, generation }, 'a version of a projection is live')
    if (outcome === 'parked')
      this.#warn(
        building,
        { subscription: building.subscription.name },
        'a version of a projection is complete, but has parked streams, so it is not switched to: replay or discard them, or call activateProjection()',
      )
  }

  /** Once for each generation: it is tried again at each poll. */
  #warn(building: Building, fields: object, message: string): void {
    const { name, version } = this.#definition
    if (!building.warned)
      this.#ports.db.settings.logger.warn({ projection: name, version, ...fields }, message)
    building.warned = true
  }
}
