// The JSON answers of the studio's server.
import { messageOf } from '../core/describe.ts'
import { MeowError } from '../core/errors.ts'
import { positionSchema, versionSchema } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import { historyOf } from './history.ts'
import { HttpError } from './http-error.ts'
import { CHANGES } from './operate.ts'
import { groupsOf, parkedOf } from './parked.ts'
import type { Request, Store } from './request.ts'
import { eventsSince, olderEvents, streamsOf, traceOf } from './search.ts'
import { instancesOf, timersOf } from './timers.ts'

type Answer = (store: Store, request: Request) => unknown

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
    async ({ queries, lagAge }, { query }) => {
      const wanted = required(query, 'name')
      const found = (await queries.subscriptions.get()).find((one) => one.name === wanted)
      if (!found) throw new HttpError(404, `there is no subscription "${wanted}"`)
      return { ...found, lagAgeMs: await lagAge.of(found) }
    },
  ],
  ['GET /api/rate', ({ openPages }) => openPages.rate],
  ['GET /api/lag', ({ openPages }, { query }) => openPages.lags.of(required(query, 'name'))],
  ['GET /api/parked', ({ meow }, { query }) => parkedOf(meow, required(query, 'name'))],
  ['GET /api/parked-groups', ({ meow }, { query }) => groupsOf(meow, required(query, 'name'))],
  ['GET /api/trace', ({ meow }, { query }) => traceOf(meow, required(query, 'id'))],
  [
    'GET /api/since',
    ({ meow }, { query, signal }) => eventsSince(meow, moment(required(query, 'time')), signal),
  ],
  [
    'GET /api/older',
    ({ meow }, { query, signal }) =>
      olderEvents(
        meow,
        parse(positionSchema, Number(required(query, 'before') || '-'), 'before'),
        query.get('filter') ?? '',
        signal,
      ),
  ],
  [
    'GET /api/streams',
    ({ meow }, { query }) =>
      streamsOf(meow, required(query, 'category'), query.get('prefix') ?? '', query.get('after')),
  ],
  ['GET /api/timers', ({ meow }, { query }) => timersOf(meow, query.get('prefix') ?? '')],
  [
    'GET /api/instances',
    ({ meow }, { query }) => instancesOf(meow, required(query, 'name'), query.get('id') || null),
  ],
  ...CHANGES,
])

function required(query: URLSearchParams, key: string): string {
  const value = query.get(key)
  if (value === null) throw new HttpError(400, `${key} is missing`)
  return value
}

function moment(text: string): Date {
  const time = new Date(text)
  if (Number.isNaN(time.getTime()))
    throw new HttpError(400, `time must be such as 2026-01-31T14:00:00Z, got "${text.slice(0, 100)}"`)
  return time
}

const STATUSES: Readonly<Record<string, number>> = {
  ERR_VALIDATION: 400,
  ERR_SUBSCRIPTION_NOT_FOUND: 404,
  ERR_PROJECTION_NOT_FOUND: 404,
  ERR_PROJECTION_REFUSED: 409,
  ERR_VERSION_CONFLICT: 409,
}

/** Turns an error into an HTTP error. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error
  if (!(error instanceof MeowError)) return new HttpError(500, messageOf(error))
  const status = STATUSES[error.code] ?? 503
  return new HttpError(status, error.message)
}
