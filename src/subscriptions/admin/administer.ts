import { z } from 'zod'
import { ValidationError } from '../../core/errors.ts'
import { name } from '../../core/fields.ts'
import { parse, refuseUndefined } from '../../core/validate.ts'
import type { Database } from '../../database/database.ts'
import { select, selectorShape } from '../../events/selector.ts'
import type { AnyCategory } from '../../events/types.ts'
import type { From } from '../../live/observer.ts'
import { from } from '../../live/observer.ts'
import { SubscriptionMismatchError, SubscriptionNotFoundError } from '../errors.ts'

/** What `alterSubscription` changes; what is left out stays. `category` and `types` must not be `undefined`. */
export interface SubscriptionChanges {
  /** One or several; `null`: every category. Exactly one where the subscription is of one stream. */
  category?: string | AnyCategory | readonly (string | AnyCategory)[] | null
  /** `null`: every type. */
  types?: readonly string[] | null
  /** Minimum 1, maximum 1024. All of the new ones begin at the least position of the old ones. */
  partitions?: number | undefined
}

const subscriptionChanges = z.strictObject({
  category: selectorShape.category.nullable(),
  types: selectorShape.types.nullable(),
  partitions: z.number().int().min(1).max(1024).optional(),
})

/** How often to try where locks were taken crosswise: who is cancelled then has done nothing. */
const ATTEMPTS = 5

/** Changes subscriptions from outside. */
export class Administration {
  readonly #reaches: (position: number) => Promise<void>
  readonly #alter: (values: unknown[]) => Promise<void>
  readonly #reset: (values: unknown[]) => Promise<void>
  readonly #resetToEnd: (values: unknown[]) => Promise<void>
  readonly #delete: (values: unknown[]) => Promise<void>

  /** `reaches` throws if the store has not come to a position. */
  constructor(db: Database, reaches: (position: number) => Promise<void>) {
    this.#reaches = reaches
    this.#alter = prepare(db, 'alter_subscription')
    this.#reset = prepare(db, 'reset_subscription')
    this.#resetToEnd = prepare(db, 'reset_to_end')
    this.#delete = prepare(db, 'delete_subscription')
  }

  async alter(subscription: string, changes: SubscriptionChanges): Promise<void> {
    const named = parse(name, subscription, 'name')
    refuseUndefined(changes, 'changes', {
      category: 'that it stays as it is; null is every category',
      types: 'that they stay as they are; null is every type',
    })
    const { category, types, partitions } = parse(subscriptionChanges, changes, 'changes')
    // In the form that `subscription()` compares with.
    const selection = select({ ...(category ? { category } : {}), ...(types ? { types } : {}) })
    const json = JSON.stringify({
      ...(category === undefined ? {} : { categories: category === null ? null : selection.categories }),
      ...(types === undefined ? {} : { types: selection.types }),
      ...(partitions === undefined ? {} : { partitions }),
    })
    try {
      await this.#alter([named, json])
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      if (code === 'MW010') throw new SubscriptionMismatchError(named, message)
      if (code === 'MW012')
        throw new ValidationError('changes.category', `must be one category: ${message}`, category)
      throw error
    }
  }

  async reset(subscription: string, to: From): Promise<void> {
    const named = parse(name, subscription, 'name')
    const place = parse(from, to, 'to')
    if (typeof place === 'object') await this.#reaches(place.after)
    if (place === 'end') await this.#resetToEnd([named])
    else await this.#reset([named, place === 'start' ? 0 : place.after])
  }

  async delete(subscription: string): Promise<void> {
    await this.#delete([parse(name, subscription, 'name')])
  }
}

function prepare(db: Database, file: string): (values: unknown[]) => Promise<void> {
  const statement = db.file(file)
  return async (values) => {
    for (let attempt = 1; ; attempt++) {
      try {
        await db.query(statement, values)
        return
      } catch (error) {
        const { code } = error as { code?: string }
        if (code === 'MW011') throw new SubscriptionNotFoundError(values[0] as string)
        if (code !== '40P01' || attempt === ATTEMPTS) throw error
      }
    }
  }
}
