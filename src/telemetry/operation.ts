// The span and the duration of one operation.
import type * as Api from '@opentelemetry/api'
import { now } from '../core/clock.ts'
import { readable } from '../core/describe.ts'
import { explain } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'
import { redact } from '../core/secrets.ts'
import { ERROR, errorType } from './names.ts'

/** A running append, read or handler: its span, and its start time. */
export class Operation {
  /** undefined if no tracer is registered. */
  readonly span: Api.Span | undefined
  readonly #api: typeof Api
  readonly #duration: Api.Histogram | undefined
  readonly #attributes: Api.Attributes
  readonly #began = now()

  /** `attributes` are recorded together with the duration. */
  constructor(
    api: typeof Api,
    span: Api.Span | undefined,
    duration: Api.Histogram | undefined,
    attributes: Readonly<Api.Attributes>,
  ) {
    this.#api = api
    this.span = span
    this.#duration = duration
    this.#attributes = attributes
  }

  /** The span's context if it is valid, so that it can be passed on. It may be a context that is not sampled. */
  get context(): Api.SpanContext | undefined {
    const context = this.span?.spanContext()
    return context && this.#api.isSpanContextValid(context) ? context : undefined
  }

  /** Ends the operation. `measured: false`: do not record its duration, because nothing was done. */
  end(failure?: { error: unknown }, measured = true): void {
    const failed = readable(failure?.error)
    const type = failure ? { [ERROR]: errorType(failed) } : {}
    if (measured) this.#duration?.record((now() - this.#began) / 1000, { ...this.#attributes, ...type })
    if (!this.span) return
    if (failure) {
      const error = redact(failed)
      const message = explain(error)
      this.span.setAttributes(type)
      this.span.recordException(isError(error) ? error : message)
      this.span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message })
    }
    this.span.end()
  }
}
