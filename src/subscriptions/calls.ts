// How an executor calls the functions of the database for its subscription.
import type pg from 'pg'
import type { Queries } from '../database/database.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { Arguments, RowOf, Statement } from '../database/statement.ts'
import { SubscriptionMismatchError, SubscriptionNotFoundError } from './errors.ts'

/** What a write needs to know of an owned partition. */
export type OwnedRef = { readonly number: number; readonly epoch: number; readonly lost?: boolean }

/** Calls functions for one subscription. Its errors name the subscription. */
export class Calls {
  readonly subscription: string
  readonly #db: Queries

  constructor(db: Queries, subscription: string) {
    this.#db = db
    this.subscription = subscription
  }

  async run<P extends string, C extends string>(
    statement: Statement<P, C>,
    values: Arguments<P>,
    client?: pg.ClientBase,
  ): Promise<RowOf<C>[]> {
    try {
      return await this.#db.query(statement, values, client)
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      if (code === SQLSTATE.subscriptionMismatch)
        throw new SubscriptionMismatchError(this.subscription, message)
      if (code === SQLSTATE.noSubscription) throw new SubscriptionNotFoundError(this.subscription)
      throw error
    }
  }

  /**
   * Calls a function for the partitions that are still owned when a connection is available: by then leases may be lost, for
   * example because the new connection is to a server that has lost history. A lost partition must not fail the others. If
   * none is left, nothing is written and the result is undefined.
   */
  async runFenced<P extends string, C extends string, T extends { readonly partition: OwnedRef }>(
    statement: Statement<P, C>,
    values: (still: readonly T[]) => Arguments<P>,
    held: readonly T[],
    client?: pg.ClientBase,
  ): Promise<RowOf<C> | undefined> {
    const call = async (on: pg.ClientBase) => {
      const still = held.filter(({ partition }) => !partition.lost)
      if (still.length === 0 && held.length > 0) return undefined
      const [row] = await this.run(statement, values(still), on)
      return row
    }
    return client ? call(client) : this.#db.withClient(call)
  }
}
