import { z } from 'zod'
import { nameSchema } from '../../core/fields.ts'
import { parse } from '../../core/validate.ts'
import type { Database } from '../../database/database.ts'
import type { RowOf } from '../../database/statement.ts'
import { statements } from '../../database/statements.ts'
import type { Selector } from '../../events/selector.ts'
import { selectorOf } from '../../events/selector.ts'
import type { HeldBack } from '../../read/held-back.ts'
import { heldBack } from '../../read/held-back.ts'

/** A partition of a subscription. */
export interface PartitionInfo {
  /** The number of the partition: 0, 1, 2 … */
  partition: number
  /** All of its events up to this position are acked or parked. */
  position: number
  /** The executor that owns its lease, `host:pid:…`; null: there is none. */
  owner: string | null
  /** When its lease expires, by the database's clock; null: no executor owns it. */
  leaseUntil: Date | null
}

/** A durable subscription, as `meow.subscriptions()` describes it. */
export interface SubscriptionInfo {
  name: string
  /** `paused`: by `pauseSubscription`. `running`: an executor owns a partition. `stopped`: none does. */
  status: 'running' | 'paused' | 'stopped'
  /** Since when it is paused, by the database's clock; null: it is not. */
  pausedAt: Date | null
  /** What it consumes; `category` is an array if there are several. */
  selector: Selector<string>
  /** All partitions, ordered by number. */
  partitions: PartitionInfo[]
  /** The lowest position of its partitions. */
  position: number
  /** How many committed events it still has to handle: those above its partitions' positions, and those being replayed. */
  lag: number
  /** Whether `lag` is an estimate. It is exact up to 1,000 events at least; an estimate is never 0. */
  lagIsEstimate: boolean
  /** The part of `lag` that can't be delivered yet, because an open append may still commit lower positions. */
  heldBack: HeldBack
  /** How many events are parked: as many as `meow.parked()` lists without a limit. */
  parked: number
  /** Whether `parked` is an estimate. It is exact for 100 streams at least, unless the subscription selects types. */
  parkedIsEstimate: boolean
  /** How many streams are parked; always exact. */
  parkedStreams: number
  /**
   * How far a checkpoint is ahead of the last position of the store. It is 0, except after a wrong reset or an incomplete
   * restore. The subscription then skips all events up to the checkpoint: call `resetSubscription`.
   */
  ahead: number
}

/** Which subscriptions `meow.subscriptions()` returns, and how exactly it counts. */
export interface SubscriptionsOptions {
  /** Only those with one of these names; names that no subscription has are ignored. Default: all. */
  names?: readonly string[] | undefined
  /**
   * Count every event, instead of estimating large numbers. Default false. It takes as long as reading an index of all these
   * events: about 1 s for 10,000,000, several times that if types are selected or partitions are not equally far.
   */
  exact?: boolean | undefined
}

/** @internal */
export const subscriptionsOptionsSchema = z.strictObject({
  names: z.array(nameSchema).readonly().optional(),
  exact: z.boolean().default(false),
})

/** Lists the subscriptions of a store. */
export class SubscriptionList {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async read(options: SubscriptionsOptions = {}): Promise<SubscriptionInfo[]> {
    const { names = null, exact } = parse(subscriptionsOptionsSchema, options, 'options')
    return (await this.#db.query(statements.subscriptions, { names, exact })).map(subscriptionInfo)
  }
}

function subscriptionInfo(row: RowOf<typeof statements.subscriptions.columns>): SubscriptionInfo {
  const [name, categories, types, streamId, tags, partitions, position, ...counts] = row
  const [
    lag,
    lagIsEstimate,
    parkedStreams,
    parked,
    parkedIsEstimate,
    ahead,
    heldBackEvents,
    heldBackMs,
    pausedMs,
  ] = counts
  const all: PartitionInfo[] = JSON.parse(partitions).map(partitionInfo)
  const isOwned = all.some(({ owner }) => owner !== null)
  return {
    name,
    status: pausedMs !== null ? 'paused' : isOwned ? 'running' : 'stopped',
    pausedAt: pausedMs === null ? null : new Date(Number(pausedMs)),
    selector: selector(
      JSON.parse(categories ?? 'null'),
      JSON.parse(types ?? 'null'),
      streamId,
      JSON.parse(tags ?? 'null'),
    ),
    partitions: all,
    position: Number(position),
    lag: Number(lag),
    lagIsEstimate: lagIsEstimate === 't',
    parked: Number(parked),
    parkedIsEstimate: parkedIsEstimate === 't',
    parkedStreams: Number(parkedStreams),
    ahead: Number(ahead),
    heldBack: heldBack(heldBackEvents, heldBackMs),
  }
}

/** The public form of a stored selector. */
export function selector(
  categories: string[] | null,
  types: string[] | null,
  streamId: string | null,
  tags: string[] | null,
): Selector<string> {
  const category = categories?.length === 1 ? categories[0] : categories
  return selectorOf({ category, types, streamId, tags })
}

type PartitionRow = [partition: number, position: number, owner: string | null, leaseUntil: number | null]

function partitionInfo([partition, position, owner, leaseUntil]: PartitionRow): PartitionInfo {
  return { partition, position, owner, leaseUntil: leaseUntil === null ? null : new Date(leaseUntil) }
}
