// The errors that a client gets: problem details (RFC 9457) that reveal nothing about the store.
import { MeowError, ValidationError } from '../core/errors.ts'

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  410: 'Gone',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** Seconds after which a client may try again. */
const RETRY_SECONDS = '1'

/** A request cannot be answered: status and detail go to the client. */
export class Problem extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail)
    this.status = status
    this.headers = headers
  }
}

/** The same for whatever may not be read, whether it exists or not. */
export const forbidden = () => new Problem(403, 'this may not be read with these credentials')

/** Runs a check of what a request gives. @throws Problem 400 in place of a ValidationError, which may only be shown if it is about the request */
export function checked<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof ValidationError) throw new Problem(400, error.message)
    throw error
  }
}

/** Turns an error into one for the client. Errors that are not about the request are given to `log`, and not shown. */
export function toProblem(error: unknown, log: (error: unknown) => void): Problem {
  if (error instanceof Problem) return error
  const code = error instanceof MeowError ? error.code : ''
  if (code === 'ERR_HISTORY_LOST')
    return new Problem(410, 'the offset is ahead of the store, which has lost events or is another one')
  const isEnd = code === 'ERR_CLOSED' || (error as { name?: string } | null)?.name === 'AbortError' // the store was closed
  if (!isEnd) log(error)
  return (code === '' || code === 'ERR_VALIDATION') && !isEnd
    ? new Problem(500, 'the request failed')
    : new Problem(503, 'the store can not be read now', { 'Retry-After': RETRY_SECONDS })
}

/** The response of a problem; without a body for HEAD. */
export function problemResponse({ status, message, headers }: Problem, method: string): Response {
  const body = JSON.stringify({
    type: 'about:blank',
    title: TITLES[status] ?? 'Error',
    status,
    detail: message,
  })
  return new Response(method === 'HEAD' ? null : body, {
    status,
    headers: { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store', ...headers },
  })
}
