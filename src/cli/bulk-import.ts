// Writes events that were recorded elsewhere, many at a time.
import type { Database } from '../database/database.ts'
import { SQLSTATE } from '../database/sqlstate.ts'
import type { RowOf } from '../database/statement.ts'
import { statements } from '../database/statements.ts'
import { count, counted, type Progress } from './stderr.ts'

/** The largest size of one statement, in events and in characters. */
const MAX_EVENTS = 1_000
const MAX_SIZE = 8 * 1024 * 1024

/** An event that was recorded elsewhere. If a property is null, the store chooses its value. */
export interface CopiedEvent {
  readonly id: string | null
  readonly category: string
  readonly streamId: string
  readonly version: number | null
  readonly type: string
  /** JSON text. */
  readonly data: string
  /** JSON text. */
  readonly metadata: string | null
  readonly recordedAt: string | null
  /** Where the event comes from, for error messages. */
  readonly from: string
}

/**
 * Writes events that were recorded elsewhere, in order, one transaction for each batch (sql/queries/import.sql). It skips events
 * that are already in the store, for instance from an earlier run.
 */
export class BulkImport {
  readonly #db: Database
  readonly #renumber: boolean
  #batch: CopiedEvent[] = []
  #size = 0
  written = 0
  known = 0

  constructor(db: Database, renumber = false) {
    this.#db = db
    this.#renumber = renumber
  }

  async add(event: CopiedEvent): Promise<void> {
    this.#batch.push(event)
    this.#size += event.data.length + (event.metadata?.length ?? 0)
    if (this.#batch.length >= MAX_EVENTS || this.#size >= MAX_SIZE) await this.flush()
  }

  async flush(): Promise<void> {
    const batch = this.#batch
    if (batch.length === 0) return
    this.#batch = []
    this.#size = 0
    const [written, known, other] = await this.#write(batch)
    if (other) {
      throw new Error(
        `${batch[Number(other) - 1]!.from}: an event with this id is already in the store, with another stream, version, type or data; nothing of this batch was written. Remove the event, or import into another store`,
      )
    }
    this.written += Number(written)
    this.known += Number(known)
  }

  async #write(batch: readonly CopiedEvent[]): Promise<RowOf<typeof statements.import.columns>> {
    const values = {
      id: batch.map(({ id }) => id),
      category: batch.map(({ category }) => category),
      streamId: batch.map(({ streamId }) => streamId),
      version: batch.map(({ version }) => version),
      type: batch.map(({ type }) => type),
      data: batch.map(({ data }) => data),
      metadata: batch.map(({ metadata }) => metadata),
      recordedAt: batch.map(({ recordedAt }) => recordedAt),
      renumber: this.#renumber,
    }
    try {
      const [row] = await this.#db.query(statements.import, values)
      return row!
    } catch (error) {
      throw explain(error, `${batch[0]!.from} to ${batch.at(-1)!.from}`)
    }
  }

  get total(): number {
    return this.written + this.known
  }

  report(progress: Progress, share?: number): void {
    progress.update(this.total, share)
  }

  /** The result as text. */
  toString(): string {
    return `${counted(this.written, 'event')} written, ${count(this.known)} ${this.known === 1 ? 'was' : 'were'} already there`
  }
}

/** An error of a batch, with the place of the batch and what to do. */
function explain(error: unknown, where: string): unknown {
  const { code, message, detail, constraint, hint } = error as Record<string, string | undefined>
  const of = (what: string) => new Error(`${where}: ${what}`, { cause: error })
  if (code === SQLSTATE.versionGap)
    return of(
      `${message}. The file has only a part of that stream: use --renumber to give its events new versions`,
    )
  if (code === SQLSTATE.uniqueConstraint && constraint === 'events_version')
    return of(
      `the store has another event of that stream and version (${detail}): import into an empty store, or use --renumber`,
    )
  if (code === SQLSTATE.uniqueConstraint && constraint === 'events_id')
    return of(`an id occurs twice, or another process has just written it (${detail}): run the import again`)
  if (code?.startsWith(SQLSTATE.data) || code?.startsWith(SQLSTATE.constraint))
    return of(hint ? `${message}. ${hint}` : message!)
  return error
}
