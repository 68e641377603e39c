// Saves and loads the snapshots of deciders (their table is in sql/schema/011_snapshots.sql).
import { isDeepStrictEqual } from 'node:util'
import { encodeJson } from '../core/json.ts'
import { MAX_INT } from '../core/numbers.ts'
import type { SqlClient } from '../core/sql-client.ts'
import { runCommands } from '../database/command.ts'
import type { Queries } from '../database/database.ts'
import { statements } from '../database/statements.ts'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import type { SnapshotSettings } from './decider.ts'

/** The state of a stream after the event at `version` and `position`; -1 and 0 if the stream has no events. */
export interface Folded<S> {
  readonly state: S
  readonly version: number
  readonly position: number
}

/** The snapshots of deciders. They are a cache: if anything goes wrong with them, the next read only takes longer. */
export class Snapshots {
  readonly #db: Queries

  constructor(db: Queries) {
    this.#db = db
  }

  /** Returns the latest snapshot of a stream below a version; undefined if there is none. */
  async load<S>(
    { category, streamId }: StreamRef,
    { name, version }: SnapshotSettings,
    below: number | undefined,
    client?: SqlClient,
  ): Promise<Folded<S> | undefined> {
    const values = { category, streamId, name, snapshotVersion: version, below: below ?? MAX_INT + 1 }
    const [row] = await this.#db.query(statements.snapshot, values, client)
    if (!row) return undefined
    return { version: Number(row[0]), position: Number(row[1]), state: JSON.parse(row[2]) }
  }

  /** Saves the state after `event`. It never rejects. In a caller's transaction a savepoint keeps the transaction usable. */
  async save(
    state: unknown,
    event: RecordedEvent,
    { name, version: snapshotVersion }: SnapshotSettings,
    client?: SqlClient,
  ): Promise<void> {
    const { category, streamId } = event
    try {
      const json = encodeJson(state, 'state')
      if (!isDeepStrictEqual(JSON.parse(json), state))
        throw new TypeError(
          'the state of a decider with snapshots must be JSON, and this one would change when it is read back: remove snapshotEvery, or use only JSON values in the state',
        )
      const { version, id: eventId } = event
      const values = { category, streamId, name, snapshotVersion, version, eventId, state: json }
      const save = () => this.#db.query(statements.saveSnapshot, values, client)
      await (client ? this.#inSavepoint(client, save) : save())
    } catch (error) {
      this.#db.settings.logger.warn(
        { err: error, category, streamId, decider: name },
        'a snapshot was not saved; the next read of this stream takes longer',
      )
    }
  }

  async #inSavepoint(client: SqlClient, action: () => Promise<unknown>): Promise<void> {
    const ask = (command: string) => runCommands(client, [command], this.#db.settings.queryTimeoutMs)
    await ask('savepoint meowmx_snapshot')
    try {
      await action()
    } catch (error) {
      await ask('rollback to savepoint meowmx_snapshot')
      throw error
    } finally {
      await ask('release savepoint meowmx_snapshot')
    }
  }
}
