import { z } from 'zod'
import { abortWith, sharedController } from '../core/abort.ts'
import { ClosedError } from '../core/errors.ts'
import { ms, nameSchema, signalSchema } from '../core/fields.ts'
import { MAX_INT } from '../core/numbers.ts'
import { parse } from '../core/validate.ts'
import type { Queries } from '../database/database.ts'
import { retryForever, retryPolicy } from '../database/retry-policy.ts'
import { statements } from '../database/statements.ts'
import type { Listener } from '../notify/listener.ts'
import type { Waiting } from '../subscriptions/admin/wait.ts'
import type { Subscriptions } from '../subscriptions/subscriptions.ts'
import type { ProjectionDefinition } from './definition.ts'
import { checkDefinition } from './definition.ts'
import { ProjectionNotFoundError, ProjectionRefusedError, projectionError } from './errors.ts'
import type { ProjectionInfo } from './list.ts'
import { listProjections } from './list.ts'
import { Projection } from './projection.ts'
import { trySwitch, unlessLocked, untilDone } from './switch.ts'
import type { ProjectionPorts } from './worker.ts'

/** Options of `activateProjection` and `dropProjection`. */
export interface SwitchOptions {
  /**
   * How long to try: while long queries read the views, or the version is not as far as the live one. In ms; default 30_000, minimum 1.
   */
  timeoutMs?: number | undefined
  /** Ends the attempts, with its reason, when it aborts. */
  signal?: AbortSignal | undefined
}

/** Options of `rebuildProjection`. */
export interface RebuildOptions {
  /** How long to wait for the rebuild, which goes on after that. In ms; minimum 1; default: without limit. */
  timeoutMs?: number | undefined
  /** Ends the wait, with its reason, when it aborts. The rebuild goes on. */
  signal?: AbortSignal | undefined
}

const switchOptionsSchema = z.strictObject({
  timeoutMs: ms(1).default(30_000),
  signal: signalSchema.optional(),
})
const rebuildOptionsSchema = z.strictObject({ timeoutMs: ms(1).optional(), signal: signalSchema.optional() })
const projectionVersionSchema = z.number().int().min(1).max(MAX_INT)

/** The projections of a store: runs them in this process, and switches, rebuilds and drops their versions. @internal */
export class ProjectionVersions {
  readonly #db: Queries
  readonly #ports: ProjectionPorts
  readonly #waiting: Waiting
  readonly #closing = sharedController()

  constructor(db: Queries, listener: Listener, subscriptions: Subscriptions, waiting: Waiting) {
    this.#db = db
    this.#ports = { db, listener, subscriptions, closing: this.#closing.signal }
    this.#waiting = waiting
  }

  get(definition: ProjectionDefinition<any>): Projection {
    return new Projection(this.#ports, checkDefinition(definition), this.#waiting)
  }

  list(): Promise<ProjectionInfo[]> {
    return listProjections(this.#db, null)
  }

  async activate(projection: string, number: number, options: SwitchOptions = {}): Promise<void> {
    const name = parse(nameSchema, projection, 'name')
    const version = parse(projectionVersionSchema, number, 'version')
    await this.#within(options, `switching to version ${version} of projection "${name}"`, async () => {
      const outcome = await trySwitch(this.#db, { name, version, generation: null }, 'asked')
      if (outcome === 'live') return true
      if (outcome === 'busy') return undefined
      const info = (await listProjections(this.#db, name)).filter((one) => one.version === version).at(-1)
      // One that is or was complete, and has a process, gets there by itself.
      if (info?.isRunning && info.completedAt !== null) return undefined
      throw new ProjectionRefusedError(
        name,
        `version ${version} of projection "${name}" is not complete, with ${info?.lag ?? 'all'} events to handle: start it in a process, and wait until its state is ready`,
      )
    })
  }

  async drop(projection: string, number: number, options: SwitchOptions = {}): Promise<void> {
    const name = parse(nameSchema, projection, 'name')
    const version = parse(projectionVersionSchema, number, 'version')
    await this.#drop({ name, version, generation: null }, options)
  }

  async #drop(
    target: { name: string; version: number; generation: number | null },
    options: SwitchOptions,
  ): Promise<void> {
    const { name, version } = target
    // In two transactions: processes that write into its tables learn of the first one, and then the second one is not in their way.
    for (const statement of [statements.dropProjection, statements.dropTablesOf] as const)
      await this.#within(options, `dropping version ${version} of projection "${name}"`, () =>
        unlessLocked(name, async () => {
          await this.#db.query(statement, target)
          return true
        }),
      )
  }

  async rebuild(projection: string, options: RebuildOptions = {}): Promise<void> {
    const name = parse(nameSchema, projection, 'name')
    const { timeoutMs, signal } = parse(rebuildOptionsSchema, options, 'options')
    const live = (await listProjections(this.#db, name)).find(({ state }) => state === 'live')
    if (live && !live.isRunning)
      throw new ProjectionRefusedError(
        name,
        `no process runs version ${live.version} of projection "${name}", so nobody would rebuild it: start it first`,
      )
    if (live) await this.#dropOlder(live)
    const [row] = await this.#db.query(statements.rebuildProjection, { name }).catch((error) => {
      throw projectionError(name, error)
    })
    const [version, generation] = row!.map(Number) as [number, number]
    const what = `rebuilding version ${version} of projection "${name}"`
    const taken = await this.#within({ timeoutMs: timeoutMs ?? MAX_INT, signal }, what, async () => {
      const policy = retryPolicy(this.#db, this.#closing.signal)
      const all = await retryForever(() => listProjections(this.#db, name), policy)
      const own = all.find((one) => one.version === version && one.generation === generation)
      if (!own)
        throw new ProjectionNotFoundError(
          name,
          `the rebuild of version ${version} of projection "${name}" was dropped: its setup failed, which the log of the process that runs it explains, or somebody dropped it`,
        )
      if (own.state === 'live' || own.state === 'retired') return own
      const other = all.find((one) => one.state === 'live' && one.version !== version)
      if (other) {
        await this.#drop({ name, version, generation }, {}).catch((error) => {
          if (!(error instanceof ProjectionNotFoundError)) throw error // another caller has dropped it
        })
        throw new ProjectionRefusedError(
          name,
          `version ${other.version} of projection "${name}" has become live, so the rebuild of version ${version} is given up`,
        )
      }
      if (own.state === 'ready' && own.parkedStreams > 0)
        throw new ProjectionRefusedError(
          name,
          `the rebuild of version ${version} of projection "${name}" is complete, but has ${own.parkedStreams} parked streams, so it is not switched to: replay or discard them (subscription "${own.subscription}"), or call activateProjection()`,
        )
      return undefined
    })
    await this.#dropOlder(taken)
  }

  /** What a rebuild has replaced is of no use any more. */
  async #dropOlder({ name, version, generation }: ProjectionInfo): Promise<void> {
    for (const one of await listProjections(this.#db, name))
      if (one.version === version && one.generation < generation && one.state !== 'live')
        await this.#drop({ name, version, generation: one.generation }, {})
  }

  async #within<T>(options: SwitchOptions, what: string, attempt: () => Promise<T | undefined>): Promise<T> {
    const { timeoutMs, signal } = parse(switchOptionsSchema, options, 'options')
    const giveUp = abortWith(this.#closing.signal, signal)
    try {
      return await untilDone(this.#db, { what, timeoutMs, signal: giveUp.signal }, attempt)
    } catch (error) {
      giveUp.signal.throwIfAborted()
      throw error
    } finally {
      giveUp.abort()
    }
  }

  /** Workers end with their subscriptions; what waits is rejected. */
  close(): void {
    this.#closing.abort(new ClosedError())
  }
}
