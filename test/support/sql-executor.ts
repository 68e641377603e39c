import type pg from 'pg'
import type { RecordedEvent } from '../../src/index.ts'
import { pgClient, storeSchema } from './store.ts'

/** An executor that is nothing but calls of the store's functions, on a connection of its own. */
export interface SqlExecutor {
  readonly client: pg.Client
  readonly owner: string
  /** Epochs of the partitions that it took, by partition. */
  readonly epochs: Map<number, number>
  /** Takes what it gets, and keeps it in `epochs`. */
  claim(): Promise<void>
  /** Writes a checkpoint of a partition, default 0; false: it is no longer its own. */
  advance(position: number, partition?: number): Promise<boolean>
  /** Sets an event's stream aside; false: its partition is no longer its own. */
  park(event: RecordedEvent, options?: ParkOptions): Promise<boolean>
  /** Gives all back. */
  leave(): Promise<void>
}

interface ParkOptions {
  partition?: number
  attempts?: number
  error?: string
  replaying?: boolean
}

/** Creates a subscription as the library does: from the start, of one partition, unless told otherwise. */
export async function createSubscription(
  name: string,
  {
    categories = null,
    types = null,
    streamId = null,
    partitions = 1,
    position = 0,
  }: {
    categories?: string[] | null
    types?: string[] | null
    streamId?: string | null
    partitions?: number
    position?: number
  } = {},
): Promise<void> {
  const client = await pgClient()
  const values = [name, categories, types, streamId, partitions, position]
  await client.query(`select ${storeSchema}.subscribe($1, $2, $3, $4, $5, $6)`, values)
  await client.end()
}

/** Takes partitions of a subscription, all where it is alone, for a minute unless told otherwise. */
export async function sqlExecutor(
  subscription: string,
  { owner = 'somebody', leaseMs = 60_000 }: { owner?: string; leaseMs?: number } = {},
): Promise<SqlExecutor> {
  const client = await pgClient()
  await client.query(`set search_path = ${storeSchema}`)
  const epochs = new Map<number, number>()
  const held = () => [[...epochs.keys()], [...epochs.values()]]
  const executor: SqlExecutor = {
    client,
    owner,
    epochs,
    claim: async () => {
      const { rows } = await client.query('select partition, epoch from claim($1, $2, $3, $4, $5)', [
        subscription,
        owner,
        leaseMs,
        ...held(),
      ])
      for (const { partition, epoch } of rows) if (partition !== null) epochs.set(partition, Number(epoch))
    },
    advance: async (position, partition = 0) => {
      const { rows } = await client.query('select advance($1, $2, $3, $4, $5) as ours', [
        subscription,
        leaseMs,
        [partition],
        [epochs.get(partition)],
        [position],
      ])
      return rows[0].ours.length === 1
    },
    park: async (
      { category, streamId, position },
      { partition = 0, attempts = 1, error = 'Error: no', replaying = false } = {},
    ) => {
      const { rows } = await client.query('select park($1, $2, $3, $4, $5, $6, $7, $8, $9) as ours', [
        subscription,
        partition,
        epochs.get(partition),
        category,
        streamId,
        position,
        attempts,
        error,
        replaying,
      ])
      return rows[0].ours
    },
    leave: async () => {
      const positions = [...epochs.keys()].map(() => 0)
      await client.query('select release($1, $2, $3, $4, $5, true)', [
        subscription,
        owner,
        ...held(),
        positions,
      ])
    },
  }
  await executor.claim()
  return executor
}

/** The partition of a stream. */
export async function partitionOf(
  { category, streamId }: { category: string; streamId: string },
  partitions: number,
): Promise<number> {
  const client = await pgClient()
  const { rows } = await client.query(`select ${storeSchema}.stream_hash($1, $2) % $3::int as partition`, [
    category,
    streamId,
    partitions,
  ])
  await client.end()
  return Number(rows[0].partition)
}

/** Ids of streams of a category: `each` is called for every partition. */
export async function streamsOf(category: string, partitions: number, each: number): Promise<string[][]> {
  const streams: string[][] = Array.from({ length: partitions }, () => [])
  for (let n = 0; streams.some(({ length }) => length < each); n++) {
    const found = streams[await partitionOf({ category, streamId: `s${n}_` }, partitions)]!
    if (found.length < each) found.push(`s${n}_`)
  }
  return streams
}
