// The JSON answers of the studio's server.
import { z } from 'zod'
import { messageOf } from '../core/describe.ts'
import { MeowError } from '../core/errors.ts'
import { nameSchema, versionSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { Meow } from '../meow.ts'
import { historyOf } from './history.ts'
import { HttpError } from './http-error.ts'
import type { OpenPages } from './open-pages.ts'
import { parkedOf } from './parked.ts'
import type { StudioQueries } from './studio-queries.ts'

export interface Store {
  readonly meow: Meow
  readonly queries: StudioQueries
  readonly openPages: OpenPages
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

type Answer = (store: Store, request: Request) => unknown

const replayBodySchema = z.strictObject({ subscription: nameSchema, streamId: nameSchema.optional() })

/** The functions that answer with JSON, by method and path. */
export const ANSWERS: ReadonlyMap<string, Answer> = new Map<string, Answer>([
  ['GET /api/hello', ({ title, write }) => ({ title, write })],
  [
    'GET /api/stream',
    ({ meow }, { query, signal }) => {
      const stream = { category: required(query, 'category'), streamId: required(query, 'streamId') }
      const wanted = query.get('version')
      return historyOf(
        meow,
        stream,
        wanted === null ? undefined : parse(versionSchema, Number(wanted || '-'), 'version'),
        signal,
      )
    },
  ],
  [
    'GET /api/subscription',
    async ({ queries }, { query }) => {
      const wanted = required(query, 'name')
      const found = (await queries.subscriptions.get()).find((one) => one.name === wanted)
      if (!found) throw new HttpError(404, `there is no subscription "${wanted}"`)
      return found
    },
  ],
  ['GET /api/rate', ({ openPages }) => openPages.rate],
  ['GET /api/lag', ({ openPages }, { query }) => openPages.lags.of(required(query, 'name'))],
  ['GET /api/parked', ({ meow }, { query }) => parkedOf(meow, required(query, 'name'))],
  [
    'POST /api/replay',
    async ({ meow, queries, write }, { body }) => {
      if (!write)
        throw new HttpError(403, 'the studio is read only: start it with --write to replay parked events')
      const { subscription, streamId } = parse(replayBodySchema, body, 'body')
      const replayed = await meow.replayParked(subscription, streamId === undefined ? {} : { streamId })
      queries.subscriptions.invalidate()
      return { replayed }
    },
  ],
])

function required(query: URLSearchParams, key: string): string {
  const value = query.get(key)
  if (value === null) throw new HttpError(400, `${key} is missing`)
  return value
}

/** Turns an error into an HTTP error. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error
  if (!(error instanceof MeowError)) return new HttpError(500, messageOf(error))
  const status = { ERR_VALIDATION: 400, ERR_SUBSCRIPTION_NOT_FOUND: 404 }[error.code] ?? 503
  return new HttpError(status, error.message)
}
