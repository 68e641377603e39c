import type { NewEvent, RecordedEvent, StreamRef } from '../events/event.ts'

/**
 * What is told of a store's work, as spans and metrics. Where OpenTelemetry is not there, neither is one of these: who has
 * something to tell says `telemetry?.`, which costs nothing. Nothing in here throws, and nothing that it does can fail
 * what it tells of. (No type of OpenTelemetry's: who has not installed it can still compile against ours.)
 */
export interface Telemetry {
  /** Whether anybody listens: providers may be registered, and taken away, at any time. */
  readonly active: boolean
  /** Run an append; what it writes carries the context of its span. `recorded`: the events of its result. */
  append<T>(
    writes: readonly Write[],
    call: () => Promise<T>,
    recorded: (result: T) => readonly RecordedEvent[],
  ): Promise<T>
  /** Run a read. `category`: where it is of one alone. */
  read<T>(
    operation: 'load' | 'read',
    { category, streamId }: { category?: string | undefined; streamId?: string | undefined },
    call: () => Promise<T>,
    events: (result: T) => readonly RecordedEvent[],
  ): Promise<T>
  /** What one subscription's executors tell. */
  consumer(subscription: string): ConsumerTelemetry
  /** A notification was received. */
  notified(): void
  /** The LISTEN connection was lost, and stands again. */
  reconnected(): void
  /** Who is asked how the subscriptions of this process stand, each time that metrics are collected. */
  observe(standings: () => Promise<readonly Standing[]>): void
  /** Ask no more. */
  close(): void
}

/** What is to be appended, as it was given to us: it may be anything yet. */
export interface Write {
  stream: StreamRef
  events: NewEvent | readonly NewEvent[]
}

export interface ConsumerTelemetry {
  /** An event was given to the consumer, for the first time or once more. */
  delivered(event: RecordedEvent, attempt: number): void
  /** A handler is to begin. undefined: nobody listens. */
  process(event: RecordedEvent, attempt: number, partition: number): Processing | undefined
  /** The event's stream is set aside from it on. */
  parked(event: RecordedEvent): void
  leaseLost(): void
}

/** A handler at work on one event. */
export interface Processing {
  /** What is called in here, however deep or late, belongs to it. */
  run<T>(call: () => T): T
  end(failure?: { error: unknown }): void
}

/** How a subscription stands in this process. */
export interface Standing {
  readonly subscription: string
  /** Deliveries that are not acked. */
  readonly inFlight: number
  /** Events that are not acked yet; while it catches up, of the whole subscription. */
  readonly lag: number
}

/** Under this key a delivery carries what begins the telling of its handler. */
export const PROCESS: unique symbol = Symbol('meowmx.process')

export interface Told {
  readonly [PROCESS]?: () => Processing | undefined
}
