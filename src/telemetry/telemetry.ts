// The interface between the store and telemetry, free of OpenTelemetry's types.
import type { NewEvent, RecordedEvent, StreamRef } from '../events/event.ts'

/**
 * Records what a store does, as spans and metrics. Without OpenTelemetry there is no such object, so callers write `telemetry?.`,
 * which costs nothing. No method throws, and none can make the recorded operation fail. No type of OpenTelemetry is used here,
 * so users that have not installed it can compile against our types.
 */
export interface Telemetry {
  /** Whether a provider is registered. Applications may register and remove providers at any time. */
  readonly active: boolean
  /** Runs an append. Its events get the context of its span. `recorded` returns the events of a result. */
  append<T>(
    writes: readonly Write[],
    call: () => Promise<T>,
    recorded: (result: T) => readonly RecordedEvent[],
  ): Promise<T>
  /** Runs a read. `category` is given if the read has exactly one. */
  read<T>(
    operation: 'load' | 'read',
    { category, streamId }: { category?: string | undefined; streamId?: string | undefined },
    call: () => Promise<T>,
    events: (result: T) => readonly RecordedEvent[],
  ): Promise<T>
  /** Returns the recorder of one subscription's executors. */
  consumer(subscription: string): ConsumerTelemetry
  /** A notification was received. */
  notified(): void
  /** The LISTEN connection was lost and is connected again. */
  reconnected(): void
  /** Sets the function that returns the numbers of this process's subscriptions; called each time that metrics are collected. */
  observe(standings: () => Promise<readonly Standing[]>): void
  /** Stops collecting metrics. */
  close(): void
}

/** The arguments of an append, not validated yet. */
export interface Write {
  stream: StreamRef
  events: NewEvent | readonly NewEvent[]
}

export interface ConsumerTelemetry {
  /** An event was given to the consumer, for the first time or again. */
  delivered(event: RecordedEvent, attempt: number): void
  /** A handler begins. undefined if no provider is registered. */
  process(event: RecordedEvent, attempt: number, partition: number): Processing | undefined
  /** The event failed for the last time, and its stream is parked. */
  parked(event: RecordedEvent): void
  leaseLost(): void
}

/** A running handler of one event. */
export interface Processing {
  /** Runs a function. Spans that it starts, also in asynchronous calls, are children of the handler's span. */
  run<T>(call: () => T): T
  end(failure?: { error: unknown }): void
}

/** Numbers of one subscription in this process. */
export interface Standing {
  readonly subscription: string
  /** Deliveries that are not acked. */
  readonly inFlight: number
  /** Events that are not acked; while the subscription catches up, those of all processes. */
  readonly lag: number
}

/** The key under which a delivery has the function that starts the span of its handler. */
export const START_PROCESSING: unique symbol = Symbol('meowmx.process')

export interface WithTelemetry {
  readonly [START_PROCESSING]?: () => Processing | undefined
}
