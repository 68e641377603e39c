import { z } from 'zod'
import { pauseAfter } from '../../core/backoff.ts'
import { ValidationError } from '../../core/errors.ts'
import { nameSchema } from '../../core/fields.ts'
import { parse, refuseUndefined } from '../../core/validate.ts'
import type { Database } from '../../database/database.ts'
import { retryDeadlocks } from '../../database/retry-deadlocks.ts'
import { SQLSTATE } from '../../database/sqlstate.ts'
import type { Arguments, Statement } from '../../database/statement.ts'
import { statements } from '../../database/statements.ts'
import { select, selectorOf, selectorShape } from '../../events/selector.ts'
import type { AnyCategory } from '../../events/types.ts'
import type { From } from '../../live/observer.ts'
import { fromSchema } from '../../live/observer.ts'
import type { Reader } from '../../read/reader.ts'
import { ProjectionRefusedError, SubscriptionMismatchError, SubscriptionNotFoundError } from '../errors.ts'

/** What `alterSubscription` changes. Omitted properties stay as they are; `category` and `types` must not be `undefined`. */
export interface SubscriptionChanges {
  /** One category or several; `null`: every category. Exactly one, if the subscription selects one stream. */
  category?: string | AnyCategory | readonly (string | AnyCategory)[] | null
  /** The event types; `null`: every type. */
  types?: readonly string[] | null
  /** The number of partitions; minimum 1, maximum 1024. All new ones begin at the lowest position of the old ones. */
  partitions?: number | undefined
}

/** How long `pause` waits for executors, in ms: the default length of a lease. */
const PAUSE_MS = 10_000

const subscriptionChangesSchema = z.strictObject({
  category: selectorShape.category.nullable(),
  types: selectorShape.types.nullable(),
  partitions: z.number().int().min(1).max(1024).optional(),
})

/** Alters, resets, pauses and deletes subscriptions; the functions are in sql/functions. */
export class Administration {
  readonly #db: Database
  readonly #reader: Pick<Reader, 'reaches' | 'positionAt'>

  constructor(db: Database, reader: Pick<Reader, 'reaches' | 'positionAt'>) {
    this.#db = db
    this.#reader = reader
  }

  async alter(subscription: string, changes: SubscriptionChanges): Promise<void> {
    const named = parse(nameSchema, subscription, 'name')
    refuseUndefined(changes, 'changes', {
      category: 'that it stays as it is; null is every category',
      types: 'that they stay as they are; null is every type',
    })
    const { category, types, partitions } = parse(subscriptionChangesSchema, changes, 'changes')
    // The same form as `subscription()` compares.
    const selection = select(selectorOf({ category, types }))
    const json = JSON.stringify({
      ...(category === undefined ? {} : { categories: category === null ? null : selection.categories }),
      ...(types === undefined ? {} : { types: selection.types }),
      ...(partitions === undefined ? {} : { partitions }),
    })
    try {
      await this.#run(statements.alterSubscription, { name: named, changes: json })
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      if (code === SQLSTATE.subscriptionMismatch) throw new SubscriptionMismatchError(named, message)
      if (code === SQLSTATE.needsOneCategory)
        throw new ValidationError('changes.category', `must be one category: ${message}`, category)
      throw error
    }
  }

  async reset(subscription: string, to: From): Promise<void> {
    const named = parse(nameSchema, subscription, 'name')
    const place = parse(fromSchema, to, 'to')
    if (place === 'end') return this.#run(statements.resetToEnd, { name: named })
    const position = place === 'start' ? 0 : await this.#position(place)
    await this.#run(statements.resetSubscription, { name: named, position })
  }

  async #position(place: { after: number } | { since: Date }): Promise<number> {
    // The horizon of the whole store is at or below that of any selection.
    if ('since' in place) return this.#reader.positionAt(place.since, { categories: [] })
    await this.#reader.reaches(place.after)
    return place.after
  }

  /** Resolves when no running executor begins an event any more; one that does not answer is waited for no longer than PAUSE_MS. */
  async pause(subscription: string): Promise<void> {
    const name = parse(nameSchema, subscription, 'name')
    await this.#run(statements.pauseSubscription, { name })
    const { clock, settings } = this.#db
    const began = clock.now()
    for (let attempt = 1; ; attempt++) {
      const [row] = await this.#db.query(statements.pausing, { name })
      const executors = Number(row![0])
      if (executors === 0) return
      if (clock.now() - began >= PAUSE_MS)
        return settings.logger.warn(
          { subscription: name, executors },
          'a subscription is paused, but executors have not answered yet: they stop as soon as they do',
        )
      await clock.sleep(pauseAfter(attempt, { firstMs: 2, maxMs: 100 }))
    }
  }

  async resume(subscription: string): Promise<void> {
    await this.#run(statements.resumeSubscription, { name: parse(nameSchema, subscription, 'name') })
  }

  async delete(subscription: string): Promise<void> {
    await this.#run(statements.deleteSubscription, { name: parse(nameSchema, subscription, 'name') })
  }

  async #run<P extends string>(
    statement: Statement<P>,
    values: Arguments<P> & { name: string },
  ): Promise<void> {
    await retryDeadlocks(() => this.#db.query(statement, values)).catch((error) => {
      if (error.code === SQLSTATE.projectionRefused)
        throw new ProjectionRefusedError(
          values.name,
          `${error.message}: use rebuildProjection or dropProjection`,
          error,
        )
      throw error.code === SQLSTATE.noSubscription ? new SubscriptionNotFoundError(values.name) : error
    })
  }
}
