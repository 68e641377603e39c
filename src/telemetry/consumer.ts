// Spans and metrics of the executors of one subscription.
import type * as Api from '@opentelemetry/api'
import { redactText } from '../core/secrets.ts'
import type { RecordedEvent } from '../events/event.ts'
import type { Instruments } from './instruments.ts'
import * as names from './names.ts'
import { Operation } from './operation.ts'
import type { Meters, Tracers } from './providers.ts'
import { safely } from './safely.ts'
import type { ConsumerTelemetry, Processing } from './telemetry.ts'
import { fromTraceparent } from './traceparent.ts'

interface Dependencies {
  api: typeof Api
  tracers: Tracers
  meters: Pick<Meters<Instruments>, 'current'>
  /** The key under which a handler's context holds the traceparent of its event. */
  handled: symbol
}

/** Records what the executors of one subscription do. */
export class OpenTelemetryConsumer implements ConsumerTelemetry {
  readonly #dependencies: Dependencies
  readonly #attributes: Api.Attributes
  readonly #lease: Api.Attributes

  constructor(dependencies: Dependencies, schema: string, name: string) {
    const subscription = redactText(name)
    this.#dependencies = dependencies
    this.#attributes = { ...names.operation('process', schema), [names.GROUP]: subscription }
    this.#lease = { [names.GROUP]: subscription, [names.SCHEMA]: schema }
  }

  delivered(event: RecordedEvent, attempt: number): void {
    this.#count(({ consumed, retries }) => {
      const attributes = this.#of(event)
      consumed.add(1, attributes)
      if (attempt > 1) retries.add(1, attributes)
    })
  }

  parked(event: RecordedEvent): void {
    this.#count(({ parked }) => parked.add(1, this.#of(event)))
  }

  leaseLost(): void {
    this.#count(({ leaseLosses }) => leaseLosses.add(1, this.#lease))
  }

  /**
   * Starts the span of a handler. Its parent is the span that appended the event, as the conventions allow for a handler of
   * single events. So one trace leads from the request to its last effect, in any process, with the sampling decision of its
   * start. The span also links to that parent, as the conventions require. The span that was active when `process()` was
   * called is not its parent: that was the start of the program.
   */
  process(event: RecordedEvent, attempt: number, partition: number): Processing | undefined {
    const { api, tracers, meters, handled } = this.#dependencies
    const tracer = tracers.current
    const duration = meters.current?.process
    if (!tracer && !duration) return
    return safely(api, () => {
      const attributes = this.#of(event)
      const { correlationId, traceparent } = event.metadata
      const cause = tracer && fromTraceparent(traceparent)
      const parent = cause ? api.trace.setSpanContext(api.ROOT_CONTEXT, cause) : api.ROOT_CONTEXT
      const options = {
        kind: api.SpanKind.CONSUMER,
        links: cause ? [{ context: cause }] : [],
        attributes: {
          ...attributes,
          [names.PARTITION]: String(partition),
          [names.MESSAGE]: event.id,
          ...(typeof correlationId === 'string' ? { [names.CONVERSATION]: correlationId } : {}),
          [names.STREAM]: event.streamId,
          [names.TYPE]: event.type,
          [names.VERSION]: event.version,
          [names.POSITION]: event.position,
          [names.ATTEMPT]: attempt,
        },
      }
      const span = tracer?.startSpan(`process ${event.category}`, options, parent)
      const operation = new Operation(api, span, duration, attributes)
      const active = span && api.trace.setSpan(parent, span).setValue(handled, traceparent)
      return {
        run: <T>(call: () => T) => (active ? api.context.with(active, call) : call()),
        end: (failure) => safely(api, () => operation.end(failure)),
      }
    })
  }

  #of({ category }: RecordedEvent): Api.Attributes {
    return { ...this.#attributes, [names.DESTINATION]: redactText(category) }
  }

  #count(count: (instruments: Instruments) => void): void {
    const { api, meters } = this.#dependencies
    const instruments = meters.current
    if (instruments) safely(api, () => count(instruments))
  }
}
