import { z } from 'zod'
import { name } from '../../core/fields.ts'
import { parse } from '../../core/validate.ts'
import type { Database, Statement } from '../../database/database.ts'
import type { Selector } from '../../events/selector.ts'
import type { HeldBack } from '../../read/held-back.ts'
import { heldBack } from '../../read/held-back.ts'

/** One of the parts that executors share. */
export interface PartitionInfo {
  /** 0, 1, 2 … */
  partition: number
  /** All of its events up to here are acked or parked. */
  position: number
  /** The executor that holds its lease, `host:pid:…`; null: nobody. */
  owner: string | null
  /** By the database's clock; null where nobody owns it. */
  leaseUntil: Date | null
}

/** A durable subscription, as `meow.subscriptions()` tells of it. */
export interface SubscriptionInfo {
  name: string
  /** What it consumes; `category` is an array where there are several. */
  selector: Selector<string>
  /** All of them, by number. */
  partitions: PartitionInfo[]
  /** The least of its partitions' positions. */
  position: number
  /** Committed events that it has still to handle: above its partitions' positions, and replays under way. */
  lag: number
  /** Whether `lag` is an estimate. It is exact up to 1,000 events at least; an estimate is never 0. */
  lagIsEstimate: boolean
  /** What of the lag can't be delivered yet, because an append is open that may still commit before it. */
  heldBack: HeldBack
  /** Events that are parked: as many as `meow.parked()` lists without a limit. */
  parked: number
  /** Whether `parked` is an estimate. It is exact for 100 streams at least, unless the subscription selects types. */
  parkedIsEstimate: boolean
  /** Streams that are parked, exactly. */
  parkedStreams: number
  /**
   * How far a checkpoint is ahead of the last position of the store; 0 unless it comes from elsewhere (a reset too far, a
   * restore by halves). Events up to it are passed over: `resetSubscription`.
   */
  ahead: number
}

/** Which subscriptions `meow.subscriptions()` tells of, and how exactly. */
export interface SubscriptionsOptions {
  /** Only those with one of these names; names that no subscription has are ignored. Default: all. */
  names?: readonly string[] | undefined
  /**
   * Count every event, instead of estimating large numbers. Default false. It takes as long as reading an index of all these
   * events: about 1 s for 10,000,000, several times that if types are selected or partitions are not equally far.
   */
  exact?: boolean | undefined
}

const subscriptionsOptions = z.strictObject({
  names: z.array(name).readonly().optional(),
  exact: z.boolean().default(false),
})

/** Tells of the subscriptions of a store. */
export class SubscriptionList {
  readonly #db: Database
  readonly #statement: Statement

  constructor(db: Database) {
    this.#db = db
    this.#statement = db.file('subscriptions')
  }

  async read(options: SubscriptionsOptions = {}): Promise<SubscriptionInfo[]> {
    const { names = null, exact } = parse(subscriptionsOptions, options, 'options')
    const rows = await this.#db.query(this.#statement, [names, exact])
    return (rows as readonly (readonly (string | null)[])[]).map(
      ([name, categories, types, streamId, partitions, position, ...counts]) => ({
        name: name!,
        selector: selector(JSON.parse(categories ?? 'null'), JSON.parse(types ?? 'null'), streamId!),
        partitions: JSON.parse(partitions!).map(partitionInfo),
        position: Number(position),
        lag: Number(counts[0]),
        lagIsEstimate: counts[1] === 't',
        parked: Number(counts[3]),
        parkedIsEstimate: counts[4] === 't',
        parkedStreams: Number(counts[2]),
        ahead: Number(counts[5]),
        heldBack: heldBack(counts[6], counts[7]),
      }),
    )
  }
}

function selector(
  categories: string[] | null,
  types: string[] | null,
  streamId: string | null,
): Selector<string> {
  return {
    ...(categories ? { category: categories.length === 1 ? categories[0]! : categories } : {}),
    ...(types ? { types } : {}),
    ...(streamId === null ? {} : { streamId }),
  }
}

type PartitionRow = [partition: number, position: number, owner: string | null, leaseUntil: number | null]

function partitionInfo([partition, position, owner, leaseUntil]: PartitionRow): PartitionInfo {
  return { partition, position, owner, leaseUntil: leaseUntil === null ? null : new Date(leaseUntil) }
}
