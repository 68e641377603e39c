// The JSON answers of the studio's server.
import { z } from 'zod'
import { messageOf } from '../core/describe.ts'
import { MeowError } from '../core/errors.ts'
import { name, version } from '../core/fields.ts'
import { parse } from '../core/validate.ts'
import type { Meow } from '../meow.ts'
import type { Audience } from './audience.ts'
import { historyOf } from './history.ts'
import { parkedOf } from './parked.ts'
import type { Questions } from './questions.ts'
import { Refusal } from './refusal.ts'

export interface Store {
  readonly meow: Meow
  readonly questions: Questions
  readonly audience: Audience
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

const replayBody = z.strictObject({ subscription: name, streamId: name.optional() })

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
        wanted === null ? undefined : parse(version, Number(wanted || '-'), 'version'),
        signal,
      )
    },
  ],
  [
    'GET /api/subscription',
    async ({ questions }, { query }) => {
      const wanted = required(query, 'name')
      const found = (await questions.subscriptions.get()).find((one) => one.name === wanted)
      if (!found) throw new Refusal(404, `there is no subscription "${wanted}"`)
      return found
    },
  ],
  ['GET /api/rate', ({ audience }) => audience.rate],
  ['GET /api/lag', ({ audience }, { query }) => audience.lags.of(required(query, 'name'))],
  ['GET /api/parked', ({ meow }, { query }) => parkedOf(meow, required(query, 'name'))],
  [
    'POST /api/replay',
    async ({ meow, questions, write }, { body }) => {
      if (!write)
        throw new Refusal(403, 'the studio is read only: start it with --write to replay parked events')
      const { subscription, streamId } = parse(replayBody, body, 'body')
      const replayed = await meow.replayParked(subscription, streamId === undefined ? {} : { streamId })
      questions.subscriptions.forget()
      return { replayed }
    },
  ],
])

function required(query: URLSearchParams, key: string): string {
  const value = query.get(key)
  if (value === null) throw new Refusal(400, `${key} is missing`)
  return value
}

/** Turns an error into an HTTP error. */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (!(error instanceof MeowError)) return new Refusal(500, messageOf(error))
  const status = { ERR_VALIDATION: 400, ERR_SUBSCRIPTION_NOT_FOUND: 404 }[error.code] ?? 503
  return new Refusal(status, error.message)
}
