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

/** Links of one span at most, which is what SDKs keep. */
const MAX_LINKS = 128

/** Tells through OpenTelemetry's API, by whatever providers the application has registered. */
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
    const tell = safely(this.#api, () => this.#append(writes))
    if (!tell) return call()
    const { operation, traceparent, sent } = tell
    // The span is not made the active one: appends of many travel together, and what that takes belongs to none of them.
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
          const refused = error instanceof ValidationError // and nothing was sent
          if (!refused) sent({ [names.ERROR]: names.errorType(error) })
          operation.end({ error }, !refused)
        })
        throw error
      },
    )
  }

  /** undefined: nothing is to be written, or nothing can be. */
  #append(writes: readonly Write[]) {
    const counts = countByCategory(writes)
    if (counts.size === 0) return
    const instruments = this.#meters.current
    const { links, alone } = this.#given(writes)
    const total = [...counts.values()].reduce((a, b) => a + b)
    const operation = this.#start('append', [...counts.keys()], 'PRODUCER', links, {
      ...(total > 1 ? { [names.COUNT]: total } : {}),
      ...(writes.length === 1 ? { [names.STREAM]: writes[0]!.stream.streamId } : {}),
    })
    const { context } = operation
    return {
      operation,
      traceparent: context && !alone ? toTraceparent(context) : undefined,
      sent: (error: Api.Attributes = {}) => {
        for (const [category, count] of counts)
          instruments?.sent.add(count, { ...this.#measure('append', [category]), ...error })
      },
    }
  }

  /**
   * Contexts that the caller gave to his events, which stay as they are: they are linked to. `alone`: there is one for all of
   * them. What a handler's appends carry on from its event is none: they are the handler's, and so is their context.
   */
  #given(writes: readonly Write[]): { links: Api.Link[]; alone: boolean } {
    const around = inheritedMetadata() as { traceparent?: unknown } | undefined
    const handled = this.#api.context.active().getValue(this.#handled)
    const alone =
      around !== undefined &&
      'traceparent' in around &&
      (handled === undefined || around.traceparent !== handled)
    const texts = new Set<unknown>(alone ? [around.traceparent] : [])
    for (const { events } of writes)
      for (const event of [events].flat())
        texts.add((event?.metadata as { traceparent?: unknown } | undefined)?.traceparent)
    const contexts = [...texts].map(fromTraceparent).filter((context) => context !== undefined)
    return { links: contexts.slice(0, MAX_LINKS).map((context) => ({ context })), alone }
  }

  read<T>(
    name: 'load' | 'read',
    { category, streamId }: { category?: string | undefined; streamId?: string | undefined },
    call: () => Promise<T>,
    events: (result: T) => readonly RecordedEvent[],
  ): Promise<T> {
    // No links: what is read again and again is history, and may be 100,000 events of as many traces.
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
    const attributes = this.#measure(name, categories)
    const span = this.#tracers.current?.startSpan(
      categories.length === 1 ? `${name} ${categories[0]}` : name,
      { kind: this.#api.SpanKind[kind], links, attributes: { ...attributes, ...more } },
    )
    return new Operation(this.#api, span, this.#meters.current?.operation, attributes)
  }

  #measure(name: names.OperationName, [category, ...others]: readonly string[]): Api.Attributes {
    const of = names.operation(name, this.#schema)
    return category !== undefined && others.length === 0
      ? { ...of, [names.DESTINATION]: redactText(category) }
      : of
  }

  consumer(subscription: string): ConsumerTelemetry {
    const ports = { api: this.#api, tracers: this.#tracers, meters: this.#meters, handled: this.#handled }
    return new OpenTelemetryConsumer(ports, this.#schema, subscription)
  }

  notified(): void {
    safely(this.#api, () => this.#meters.current?.notifications.add(1, { [names.SCHEMA]: this.#schema }))
  }

  reconnected(): void {
    safely(this.#api, () => this.#meters.current?.reconnects.add(1, { [names.SCHEMA]: this.#schema }))
  }

  observe(standings: () => Promise<readonly Standing[]>): void {
    this.#standings = standings
    this.#meters.current // made now, for there may be nothing else to tell for long
  }

  close(): void {
    this.#standings = undefined
    this.#meters.close()
  }
}

/** Nothing is checked yet; where something can't be right nothing will be written. */
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

/** What is known of events once they are written. */
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
