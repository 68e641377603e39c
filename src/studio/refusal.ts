import { redactText } from '../core/secrets.ts'

/** What a request is answered where it is not answered. */
export class Refusal extends Error {
  readonly status: number
  readonly headers: Record<string, string>

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(redactText(message))
    this.status = status
    this.headers = headers
  }
}
