// Telemetry of a store through OpenTelemetry's API.
import type * as Api from '@opentelemetry/api'
import { ValidationError } from '../core/errors.ts'
import { redact, redactText } from '../core/secrets.ts'
import type { RecordedEvent } from '../events/event.ts'
import { inheritedMetadata, withMetadata } from '../events/event-context.ts'
import { OpenTelemetryConsumer } from './consumer.ts'
import { makeGauges } from './gauges.ts'
import type { Instruments } from './instruments.ts'
import { makeInstruments } from './instruments.ts'
import * as names from './names.ts'
import { Operation } from './operation.ts'
import { Meters, Tracers } from './providers.ts'
import { safely } from './safely.ts'
import type { ConsumerTelemetry, Standing, Telemetry, Write } from './telemetry.ts'
import { fromTraceparent, toTraceparent } from './traceparent.ts'

/** The largest number of links of one span, which is the default limit of SDKs. */
const MAX_LINKS = 128

/** Records spans and metrics with the providers that the application has registered. */
export class OpenTelemetry implements Telemetry {
  readonly #api: typeof Api
  readonly #schema: string
  readonly #tracers: Tracers
  readonly #meters: Meters<Instruments & { endGauges(): void }>
  readonly #handled: symbol
  #standings: (() => Promise<readonly Standing[]>) | undefined

  constructor(api: typeof Api, version: string, schema: string) {
    this.#api = api
    this.#schema = redactText(schema)
    this.#handled = api.createContextKey('meowmx: the traceparent of the event that is handled')
    this.#tracers = new Tracers(api, version)
    this.#meters = new Meters(
      api,
      version,
      (meter) => ({
        ...makeInstruments(meter),
        endGauges: makeGauges(meter, this.#schema, () => this.#standings?.()),
      }),
      ({ endGauges }) => endGauges(),
    )
  }

  get active(): boolean {
    return this.#tracers.current !== undefined || this.#meters.current !== undefined
  }

  append<T>(
    writes: readonly Write[],
    call: () => Promise<T>,
    recorded: (result: T) => readonly RecordedEvent[],
  ): Promise<T> {
    const started = safely(this.#api, () => this.#append(writes))
    if (!started) return call()
    const { operation, traceparent, sent } = started
    // The span is not made active: appends of several callers share a transaction, and its queries belong to none of them.
    const result = traceparent ? withMetadata({ traceparent }, call) : call()
    return result.then(
      (result) => {
        safely(this.#api, () => {
          operation.span?.setAttributes(redact(written(recorded(result))) as Api.Attributes)
          sent()
          operation.end()
        })
        return result
      },
      (error) => {
        safely(this.#api, () => {
          const refused = error instanceof ValidationError // nothing was sent
          if (!refused) sent({ [names.ERROR]: names.errorType(error) })
          operation.end({ error }, !refused)
        })
        throw error
      },
    )
  }

  /** Starts the span of an append. undefined: there is nothing to write, or the input is invalid. */
  #append(writes: readonly Write[]) {
    const counts = countByCategory(writes)
    if (counts.size === 0) return
    const instruments = this.#meters.current
    const { links, isShared } = this.#callerContexts(writes)
    const total = [...counts.values()].reduce((a, b) => a + b)
    const operation = this.#start('append', [...counts.keys()], 'PRODUCER', links, {
      ...(total > 1 ? { [names.COUNT]: total } : {}),
      ...(writes.length === 1 ? { [names.STREAM]: writes[0]!.stream.streamId } : {}),
    })
    const { context } = operation
    return {
      operation,
      traceparent: context && !isShared ? toTraceparent(context) : undefined,
      sent: (error: Api.Attributes = {}) => {
        for (const [category, count] of counts)
          instruments?.sent.add(count, { ...this.#measured('append', [category]), ...error })
      },
    }
  }

  /**
   * Trace contexts that the caller gave to its events: they stay as they are, and the span links to them. `isShared`: one
   * context was given for all events. A handler's appends inherit the context of its event, which does not count as given.
   */
  #callerContexts(writes: readonly Write[]): { links: Api.Link[]; isShared: boolean } {
    const around = inheritedMetadata() as { traceparent?: unknown } | undefined
    const handled = this.#api.context.active().getValue(this.#handled)
    const isShared =
      around !== undefined &&
      'traceparent' in around &&
      (handled === undefined || around.traceparent !== handled)
    const texts = new Set<unknown>(isShared ? [around.traceparent] : [])
    for (const { events } of writes)
      for (const event of [events].flat())
        texts.add((event?.metadata as { traceparent?: unknown } | undefined)?.traceparent)
    const contexts = [...texts].map(fromTraceparent).filter((context) => context !== undefined)
    return { links: contexts.slice(0, MAX_LINKS).map((context) => ({ context })), isShared }
  }

  read<T>(
    name: 'load' | 'read',
    { category, streamId }: { category?: string | undefined; streamId?: string | undefined },
    call: () => Promise<T>,
    events: (result: T) => readonly RecordedEvent[],
  ): Promise<T> {
    // No links: a read may return 100,000 events of as many traces, and the same events are read again and again.
    const operation = safely(this.#api, () =>
      this.#start(name, typeof category === 'string' ? [category] : [], 'CLIENT', [], {
        ...(typeof streamId === 'string' ? { [names.STREAM]: streamId } : {}),
      }),
    )
    if (!operation) return call()
    const { context, trace } = this.#api
    const result = operation.span
      ? context.with(trace.setSpan(context.active(), operation.span), call)
      : call()
    return result.then(
      (result) => {
        safely(this.#api, () => {
          operation.span?.setAttribute(names.COUNT, events(result).length)
          operation.end()
        })
        return result
      },
      (error) => {
        safely(this.#api, () => operation.end({ error }, !(error instanceof ValidationError)))
        throw error
      },
    )
  }

  #start(
    name: 'append' | 'load' | 'read',
    categories: readonly string[],
    kind: 'PRODUCER' | 'CLIENT',
    links: Api.Link[],
    more: Api.Attributes,
  ): Operation {
    const attributes = this.#measured(name, categories)
    const span = this.#tracers.current?.startSpan(
      categories.length === 1 ? `${name} ${categories[0]}` : name,
      { kind: this.#api.SpanKind[kind], links, attributes: { ...attributes, ...more } },
    )
    return new Operation(this.#api, span, this.#meters.current?.operation, attributes)
  }

  #measured(name: names.OperationName, [category, ...others]: readonly string[]): Api.Attributes {
    const of = names.operation(name, this.#schema)
    return category !== undefined && others.length === 0
      ? { ...of, [names.DESTINATION]: redactText(category) }
      : of
  }

  consumer(subscription: string): ConsumerTelemetry {
    const dependencies = {
      api: this.#api,
      tracers: this.#tracers,
      meters: this.#meters,
      handled: this.#handled,
    }
    return new OpenTelemetryConsumer(dependencies, this.#schema, subscription)
  }

  notified(): void {
    safely(this.#api, () => this.#meters.current?.notifications.add(1, { [names.SCHEMA]: this.#schema }))
  }

  reconnected(): void {
    safely(this.#api, () => this.#meters.current?.reconnects.add(1, { [names.SCHEMA]: this.#schema }))
  }

  observe(standings: () => Promise<readonly Standing[]>): void {
    this.#standings = standings
    this.#meters.current // creates the gauges now: without other measurements, nothing else would
  }

  close(): void {
    this.#standings = undefined
    this.#meters.close()
  }
}

/** Counts the events of each category. The input is not validated yet: if it is invalid, the result is empty. */
function countByCategory(writes: readonly Partial<Write | null>[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const write of Array.isArray(writes) ? writes : []) {
    const category = write?.stream?.category
    if (typeof category !== 'string') return new Map()
    const count = [write.events].flat().length
    if (count > 0) counts.set(category, (counts.get(category) ?? 0) + count)
  }
  return counts
}

/** Attributes of events that are known only once they are written. */
function written(events: readonly RecordedEvent[]): Api.Attributes {
  const [first] = events
  const last = events.at(-1)
  if (!first || !last) return {}
  const { correlationId } = first.metadata
  const one = { [names.MESSAGE]: first.id, [names.TYPE]: first.type }
  return {
    ...(events.length === 1 ? one : {}),
    ...(typeof correlationId === 'string' ? { [names.CONVERSATION]: correlationId } : {}),
    [names.VERSION]: last.version,
    [names.POSITION]: last.position,
  }
}
