import { isDeepStrictEqual } from 'node:util'
import type pg from 'pg'
import { encodeJson } from '../core/json.ts'
import { MAX_INT } from '../core/numbers.ts'
import type { Queries, Statement } from '../database/database.ts'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import type { Snapshooting } from './decider.ts'

/** The state of a stream after the event at `version` and `position`; -1 and 0: it has none. */
export interface Folded<S> {
  readonly state: S
  readonly version: number
  readonly position: number
}

/** What deciders remember; sql/schema/011_snapshots.sql. A cache: whatever goes wrong with it costs time, and nothing else. */
export class Snapshots {
  readonly #db: Queries
  readonly #load: Statement
  readonly #save: Statement

  constructor(db: Queries) {
    this.#db = db
    this.#load = db.file('snapshot')
    this.#save = db.file('save_snapshot')
  }

  /** What is remembered of a stream, below a version. */
  async load<S>(
    { category, streamId }: StreamRef,
    { name, version }: Snapshooting,
    below: number | undefined,
    client?: pg.ClientBase,
  ): Promise<Folded<S> | undefined> {
    const [row] = await this.#db.query(
      this.#load,
      [category, streamId, name, version, below ?? MAX_INT + 1],
      client,
    )
    if (!row) return undefined
    return { version: Number(row[0]), position: Number(row[1]), state: JSON.parse(row[2]!) }
  }

  /** Remember the state after `event`. Never rejects; inside a caller's transaction that stays usable. */
  async save(
    state: unknown,
    event: RecordedEvent,
    { name, version }: Snapshooting,
    client?: pg.ClientBase,
  ): Promise<void> {
    const { category, streamId } = event
    try {
      const json = encodeJson(state, 'state')
      if (!isDeepStrictEqual(JSON.parse(json), state))
        throw new TypeError(
          'the state of a decider with snapshots must be JSON: it would come back as another',
        )
      const values = [category, streamId, name, version, event.version, event.id, json]
      if (client) await guarded(client, () => this.#db.query(this.#save, values, client))
      else await this.#db.query(this.#save, values)
    } catch (error) {
      this.#db.settings.logger.warn(
        { err: error, category, streamId, decider: name },
        'a snapshot was not saved',
      )
    }
  }
}

async function guarded(client: pg.ClientBase, action: () => Promise<unknown>): Promise<void> {
  await client.query('savepoint meowmx_snapshot')
  try {
    await action()
  } catch (error) {
    await client.query('rollback to savepoint meowmx_snapshot')
    throw error
  } finally {
    await client.query('release savepoint meowmx_snapshot')
  }
}
