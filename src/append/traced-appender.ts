import type { NewEvent, StreamRef } from '../events/event.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { AppendAllOptions, AppendOptions, FindHead, StreamWrite } from './append.ts'
import { Appender } from './append.ts'
import type { Batch } from './batch.ts'
import type { Batcher } from './batcher.ts'
import type { SeenKey } from './condition.ts'
import type { ProjectedAppends } from './projected.ts'
import type { AppendResult } from './request.ts'

/** An appender that reports spans and metrics, if telemetry is on. */
export class TracedAppender extends Appender {
  readonly #telemetry: Telemetry

  constructor(
    batch: Batch,
    batcher: Batcher,
    head: FindHead,
    seenKey: SeenKey,
    projected: ProjectedAppends,
    telemetry: Telemetry,
  ) {
    super(batch, batcher, head, seenKey, projected)
    this.#telemetry = telemetry
  }

  override append(
    stream: StreamRef,
    events: NewEvent | readonly NewEvent[],
    options?: AppendOptions,
  ): Promise<AppendResult> {
    if (!this.#telemetry.active) return super.append(stream, events, options)
    return this.#telemetry.append(
      [{ stream, events }],
      () => super.append(stream, events, options),
      (result) => result.events,
    )
  }

  override appendAll(writes: readonly StreamWrite[], options?: AppendAllOptions): Promise<AppendResult[]> {
    if (!this.#telemetry.active) return super.appendAll(writes, options)
    return this.#telemetry.append(
      writes,
      () => super.appendAll(writes, options),
      (results) => results.flatMap(({ events }) => events),
    )
  }
}
