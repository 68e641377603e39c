import type { Database, Statement } from '../database.ts'
import type { Selector } from '../read/selector.ts'

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
  /** Events that it has still to handle: above its partitions' positions up to the horizon, and replays under way. */
  lag: number
  /** Events that are set aside: as many as `parked` lists without a limit. */
  parked: number
  /**
   * How far a checkpoint is ahead of the last position of the store; 0 unless it comes from elsewhere (a reset too far, a
   * restore by halves). Events up to it are passed over: `resetSubscription`.
   */
  ahead: number
}

/** Tells of all subscriptions of a store. */
export class SubscriptionList {
  readonly #db: Database
  readonly #statement: Statement

  constructor(db: Database) {
    this.#db = db
    this.#statement = db.file('subscriptions')
  }

  async read(): Promise<SubscriptionInfo[]> {
    const rows = await this.#db.query(this.#statement)
    return (rows as readonly (readonly (string | null)[])[]).map(
      ([name, categories, types, streamId, partitions, position, lag, parked, ahead]) => ({
        name: name!,
        selector: selector(JSON.parse(categories ?? 'null'), JSON.parse(types ?? 'null'), streamId!),
        partitions: JSON.parse(partitions!).map(partitionInfo),
        position: Number(position),
        lag: Number(lag),
        parked: Number(parked),
        ahead: Number(ahead),
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
