import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import type pg from 'pg'
import { readable } from '../core/describe.ts'
import { MeowError, TimeoutError, ValidationError } from '../core/errors.ts'
import { methodSchema } from '../core/fields.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { withTimeout } from '../core/timeout.ts'
import { check } from '../core/validate.ts'
import type { Database } from '../database/database.ts'
import { lendClient } from '../database/lent-client.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { HandlerCall } from '../events/event-context.ts'
import { enclosingCall, endCall, runCausedBy } from '../events/event-context.ts'
import { select, selectorShape } from '../events/selector.ts'
import type { AnyCategory } from '../events/types.ts'

/** Writes the consequences of events through `client`, in the transaction of their append. */
export type ProjectionHandler<E = RecordedEvent> = (
  events: E[],
  client: pg.ClientBase,
) => unknown | Promise<unknown>

/** One registered projection. */
interface Projection {
  of(category: string): boolean
  see(event: RecordedEvent): RecordedEvent
  readonly handler: ProjectionHandler
}

/** The projections that run with one append, in the order in which they were registered. */
export interface AppendProjections {
  readonly projections: readonly Projection[]
  /** Handlers run in the context of their append, even if the batch was sent by another caller. */
  readonly scope: AsyncResource
}

/** Wraps what a handler threw as `cause`. Whatever it is, it says nothing about the append's connection. */
export class ProjectionFailed extends MeowError {
  constructor(cause: unknown) {
    super('ERR_PROJECTION', 'an inline projection failed')
    this.cause = cause // unchanged, because it is handed on and not printed
  }
}

/** The error that a handler threw, or the error itself if it is not a handler's. */
export const causeOfProjection = (error: unknown): unknown =>
  error instanceof ProjectionFailed ? error.cause : error

const categories = selectorShape.category.unwrap()

/** The inline projections of a store object. Appends call them. */
export class Projections {
  readonly #db: Database
  readonly #all = new Set<Projection>()
  readonly #running = new AsyncLocalStorage<{ active: boolean }>()

  constructor(db: Database) {
    this.#db = db
  }

  add(
    category: string | AnyCategory | readonly (string | AnyCategory)[],
    handler: ProjectionHandler,
  ): () => void {
    check(categories, category, 'category', '')
    const selection = select({ category }, 'project')
    const projection: Projection = {
      of: (name) => selection.categories.includes(name),
      see: selection.view ?? ((event) => event),
      handler: check(methodSchema, handler, 'handler', ''),
    }
    this.#all.add(projection)
    return () => void this.#all.delete(projection)
  }

  /** Whether the code runs inside one of our handlers that has not ended. */
  get isInsideHandler(): boolean {
    return this.#running.getStore()?.active === true
  }

  /** The projections that run with an append to these categories; undefined if there are none. */
  select(names: () => readonly string[]): AppendProjections | undefined {
    if (this.#all.size === 0) return undefined
    const categories = names()
    const projections = [...this.#all].filter(({ of }) => categories.some(of))
    return projections.length > 0
      ? { projections, scope: new AsyncResource('meowmx.project', { requireManualDestroy: false }) }
      : undefined
  }

  /** Runs the projections for events that were just appended, in the same transaction. */
  async run({ projections, scope }: AppendProjections, events: readonly RecordedEvent[], client: SqlClient) {
    for (const { of, see, handler } of projections) {
      const lent = lendClient(client)
      const own = events.filter((event) => of(event.category))
      const { position } = own.at(-1)!
      const outer = scope.runInAsyncScope(() => enclosingCall())
      const running: HandlerCall = { store: this.#db, position, active: true, outer }
      try {
        const call = () => {
          const seen = own.map(see)
          return runCausedBy(seen.at(-1)!, () => handler(seen, lent.client), running)
        }
        await this.#withTimeout(async () => scope.runInAsyncScope(() => this.#running.run(running, call)))
      } catch (error) {
        throw new ProjectionFailed(readable(error))
      } finally {
        endCall(running)
        lent.revoke()
      }
    }
  }

  /** The category's readers wait for an open append, so a handler that hangs must end. */
  #withTimeout(call: () => Promise<unknown>): Promise<unknown> {
    const { settings, clock, givenUp } = this.#db
    const late = () => {
      throw new TimeoutError('an inline projection', settings.queryTimeoutMs)
    }
    return withTimeout(settings.queryTimeoutMs, call, late, { clock, signal: givenUp })
  }

  /** An append that a handler makes outside its transaction would wait for the transaction, and the handler for the append. */
  refuseOutside(): void {
    if (this.isInsideHandler)
      throw new ValidationError(
        'options.client',
        'must be given inside an inline projection, the one that the handler gets',
        undefined,
      )
  }
}
