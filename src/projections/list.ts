import type { Queries } from '../database/database.ts'
import type { RowOf } from '../database/statement.ts'
import { statements } from '../database/statements.ts'

/** A version of a projection, as `meow.projections()` describes it. */
export interface ProjectionInfo {
  name: string
  version: number
  /** 1, and one more for each rebuild of the version. */
  generation: number
  /**
   * `building`: it has never been complete. `ready`: it is complete, and was never live. `live`: readers see it. `retired`: it was
   * live, and another version took over; as long as a process runs it, it stays up to date.
   */
  state: 'building' | 'ready' | 'live' | 'retired'
  /** The schema of its tables. */
  schema: string
  /** The schema of the views. */
  expose: string
  /** The names of its tables, which are those of the views if it is live. */
  tables: string[]
  /** The name of its subscription, for `parked`, `replayParked` and `pauseSubscription`. */
  subscription: string
  /** All of its events up to this position are handled or parked. */
  position: number
  /** No event can still appear at or below this position. */
  horizon: number
  /** How many committed events it still has to handle. */
  lag: number
  /** Whether `lag` is an estimate. It is exact up to 10,000 events. */
  lagIsEstimate: boolean
  /** How many streams are parked. While there are any, it does not become live by itself. */
  parkedStreams: number
  /** Whether a process works on it. */
  isRunning: boolean
  createdAt: Date
  /** Since when it has been complete; null: it has not been yet. */
  completedAt: Date | null
  /** When it became live for the last time; null: it was never live. */
  activatedAt: Date | null
}

/** The versions of a projection, or of all. */
export async function listProjections(db: Queries, name: string | null): Promise<ProjectionInfo[]> {
  return (await db.query(statements.projections, { name })).map(projectionInfo)
}

function projectionInfo(row: RowOf<typeof statements.projections.columns>): ProjectionInfo {
  const [name, version, generation, state, schema, subscription, expose, tables, ...progress] = row
  const [position, horizon, lag, lagIsEstimate, parkedStreams, isOwned, ...times] = progress
  const [createdAt, completedAt, activatedAt] = times.map((ms) => (ms === null ? null : new Date(Number(ms))))
  return {
    name,
    version: Number(version),
    generation: Number(generation),
    state: state as ProjectionInfo['state'],
    schema,
    expose,
    tables: JSON.parse(tables),
    subscription,
    position: Number(position),
    horizon: Math.max(Number(horizon), Number(position)),
    lag: Number(lag),
    lagIsEstimate: lagIsEstimate === 't',
    parkedStreams: Number(parkedStreams),
    isRunning: isOwned === 't',
    createdAt: createdAt!,
    completedAt: completedAt!,
    activatedAt: activatedAt!,
  }
}
