import type pg from 'pg'
import type { ParkedRow, Written } from '../../faults/audit.ts'
import { parkedRows, writtenCheckpoints } from '../../faults/audit.ts'
import type { Line } from '../facts.ts'
import { readLogs } from '../facts.ts'

/** An event that is in the table. */
export interface Committed {
  readonly position: number
  readonly id: string
  readonly category: string
  readonly streamId: string
  readonly version: number
  /** Spreads its stream over partitions. */
  readonly hash: number
}

export interface Subscribed {
  readonly name: string
  /** null: all. */
  readonly categories: readonly string[] | null
  readonly partitions: number
  /** Its handler writes into the table `effects`. */
  readonly transactional: boolean
}

/** The evidence of a run: the content of the tables, and the logs of its processes. */
export interface Evidence {
  /** By position. */
  readonly events: readonly Committed[]
  readonly subscriptions: readonly Subscribed[]
  /** Each write of a checkpoint, in the order of writing. */
  readonly written: readonly Written[]
  readonly parkedRows: readonly ParkedRow[]
  /** Rows of the table `effects`. */
  readonly effects: readonly { readonly subscription: string; readonly id: string }[]
  readonly lines: readonly Line[]
}

/** Reads it with plain SQL from tables only, without any function of the library. */
export async function gather(
  sql: Pick<pg.Pool, 'query'>,
  schema: string,
  subscriptions: readonly Subscribed[],
  directory: string,
): Promise<Evidence> {
  const { rows: events } = await sql.query(
    `select position::float8, id, category, stream_id as "streamId", version,
            (hashtextextended(stream_id, hashtextextended(category, 0)) & 2147483647)::float8 as hash
     from ${schema}.events order by position`,
  )
  const { rows: effects } = await sql.query(`select subscription, id from ${schema}.effects`)
  return {
    events,
    effects,
    subscriptions,
    written: await writtenCheckpoints(sql, schema),
    parkedRows: await parkedRows(sql, schema),
    lines: readLogs(directory),
  }
}

/** The facts of one kind. */
export function of<K extends Line['kind']>(
  lines: readonly Line[],
  ...kinds: K[]
): Extract<Line, { kind: K }>[] {
  return lines.filter(({ kind }) => kinds.includes(kind as K)) as Extract<Line, { kind: K }>[]
}

export function grouped<K, V>(items: Iterable<V>, key: (item: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}

export const selects = (categories: readonly string[] | null, event: Committed) =>
  categories === null || categories.includes(event.category)

export const stream = ({ category, streamId }: { category: string; streamId: string }) =>
  `${category}/${streamId}`

export const named = (event: Committed) => `${stream(event)} version ${event.version} at ${event.position}`

/** How many numbers of a sorted list are at most this one. */
export function countUpTo(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! > value) high = middle
    else low = middle + 1
  }
  return low
}
