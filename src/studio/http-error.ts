// The error that becomes an HTTP error.
import { redactText } from '../core/secrets.ts'

/** A request cannot be answered: its status and message go to the client. */
export class HttpError extends Error {
  readonly status: number
  readonly headers: Record<string, string>

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(redactText(message))
    this.status = status
    this.headers = headers
  }
}
