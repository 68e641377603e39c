import type { Database, Statement } from '../database/database.ts'
import { count, type Progress } from './talk.ts'

/** What one statement carries at most, in events and in characters. */
const MAX_EVENTS = 1_000
const MAX_SIZE = 8 * 1024 * 1024

/** An event that was recorded elsewhere; what is null is made here. */
export interface Copied {
  readonly id: string | null
  readonly category: string
  readonly streamId: string
  readonly version: number | null
  readonly type: string
  /** JSON. */
  readonly data: string
  /** JSON. */
  readonly metadata: string | null
  readonly recordedAt: string | null
  /** Where it comes from, for the error. */
  readonly from: string
}

const COLUMNS = ['id', 'category', 'streamId', 'version', 'type', 'data', 'metadata', 'recordedAt'] as const

/**
 * Writes events that were recorded elsewhere, in order, a batch a transaction: sql/queries/import.sql. What was written
 * before, by an earlier run too, is passed over.
 */
export class Bulk {
  readonly #db: Database
  readonly #statement: Statement
  readonly #renumber: boolean
  #batch: Copied[] = []
  #size = 0
  written = 0
  known = 0

  constructor(db: Database, renumber = false) {
    this.#db = db
    this.#statement = { ...db.file('import'), commits: true }
    this.#renumber = renumber
  }

  async add(event: Copied): Promise<void> {
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
        `${batch[Number(other) - 1]!.from}: an event of this id is in the store already, with another stream, version, type or data; nothing of this batch was written`,
      )
    }
    this.written += Number(written)
    this.known += Number(known)
  }

  async #write(batch: readonly Copied[]): Promise<readonly (string | null)[]> {
    const columns = COLUMNS.map((name) => batch.map((event) => event[name]))
    try {
      const [row] = await this.#db.query(this.#statement, [...columns, this.#renumber])
      return row as readonly (string | null)[]
    } catch (error) {
      throw explained(error, `${batch[0]!.from} to ${batch.at(-1)!.from}`)
    }
  }

  get total(): number {
    return this.written + this.known
  }

  report(progress: Progress, share?: number): void {
    progress.update(this.total, share)
  }

  /** In words. */
  toString(): string {
    return `${count(this.written)} events written, ${count(this.known)} were known already`
  }
}

/** What the store says of a batch, with where it is and what to do. */
function explained(error: unknown, where: string): unknown {
  const { code, message, detail, constraint, hint } = error as Record<string, string | undefined>
  const of = (what: string) => new Error(`${where}: ${what}`, { cause: error })
  if (code === 'MW003')
    return of(`${message}. Not all of that stream is here: --renumber numbers what is here anew`)
  if (code === '23505' && constraint === 'events_version')
    return of(
      `the store has another event of that stream and version (${detail}): import into a store of its own, or --renumber`,
    )
  if (code === '23505' && constraint === 'events_id')
    return of(`an id occurs twice, or was just written by somebody else (${detail}): run it again`)
  if (code?.startsWith('22') || code?.startsWith('23')) return of(hint ? `${message}. ${hint}` : message!)
  return error
}
