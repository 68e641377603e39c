import type * as Api from '@opentelemetry/api'
import { now } from '../core/clock.ts'
import { readable } from '../core/describe.ts'
import { explain } from '../core/errors.ts'
import { isError } from '../core/kinds.ts'
import { redact } from '../core/secrets.ts'
import { ERROR, errorType } from './names.ts'

/** One append, read or handler under way: its span, and how long it takes. */
export class Operation {
  /** undefined: no tracer is registered. */
  readonly span: Api.Span | undefined
  readonly #api: typeof Api
  readonly #duration: Api.Histogram | undefined
  readonly #attributes: Api.Attributes
  readonly #began = now()

  /** `attributes`: what the duration is measured by. */
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

  /** Its context, where that can be handed on: one that is not sampled can, too. */
  get context(): Api.SpanContext | undefined {
    const context = this.span?.spanContext()
    return context && this.#api.isSpanContextValid(context) ? context : undefined
  }

  /** `measured: false`: nothing came of it that took time. */
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
