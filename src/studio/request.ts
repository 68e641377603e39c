// What the server's answers are made from.
import type { Meow } from '../meow.ts'
import type { LagAge } from './lag-age.ts'
import type { OpenPages } from './open-pages.ts'
import type { Rebuilds } from './projections.ts'
import type { StudioQueries } from './studio-queries.ts'

export interface Store {
  readonly meow: Meow
  readonly queries: StudioQueries
  readonly openPages: OpenPages
  readonly lagAge: LagAge
  readonly rebuilds: Rebuilds
  readonly write: boolean
  readonly title: string
}

/** A request, not validated yet. */
export interface Request {
  readonly query: URLSearchParams
  readonly body: unknown
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal
}
