import type { Queries } from '../database/database.ts'
import type { RecordedEvent, StreamRef } from '../events/event.ts'
import type { Selector } from '../events/selector.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { LoadOptions, ReadOptions, ReadResult, StreamPage } from './reader.ts'
import { Reader } from './reader.ts'

/**
 * A reader that reports spans for reads that a caller asked for. Reads ahead of tails and feeds have no spans: by
 * OpenTelemetry's conventions, prefetched messages have none; their handlers have spans.
 */
export class TracedReader extends Reader {
  readonly #telemetry: Telemetry

  constructor(db: Queries, telemetry: Telemetry) {
    super(db)
    this.#telemetry = telemetry
  }

  override load(stream: StreamRef, options?: LoadOptions): Promise<RecordedEvent[]> {
    if (!this.#telemetry.active) return super.load(stream, options)
    return this.#telemetry.read(
      'load',
      stream ?? {},
      () => super.load(stream, options),
      (events) => events,
    )
  }

  override loadPage(stream: StreamRef, options?: LoadOptions): Promise<StreamPage> {
    if (!this.#telemetry.active) return super.loadPage(stream, options)
    return this.#telemetry.read(
      'load',
      stream ?? {},
      () => super.loadPage(stream, options),
      ({ events }) => events,
    )
  }

  override read(selector: Selector, options?: ReadOptions): Promise<ReadResult> {
    if (!this.#telemetry.active) return super.read(selector, options)
    const { category, streamId } = selector ?? {}
    return this.#telemetry.read(
      'read',
      { category: only(category), streamId },
      () => super.read(selector, options),
      ({ events }) => events,
    )
  }
}

/** The name of the one category that is selected. */
function only(category: Selector['category']): string | undefined {
  const all = [category].flat()
  const [one] = all
  return all.length !== 1 ? undefined : typeof one === 'string' ? one : one?.name
}
