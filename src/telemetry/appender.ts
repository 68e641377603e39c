import type { AppendOptions, FindHead, StreamWrite } from '../append/append.ts'
import { Appender } from '../append/append.ts'
import type { Batch } from '../append/batch.ts'
import type { Batcher } from '../append/batcher.ts'
import type { ProjectedAppends } from '../append/projected.ts'
import type { AppendResult } from '../append/request.ts'
import type { NewEvent, StreamRef } from '../event.ts'
import type { Telemetry } from './telemetry.ts'

/** An appender that tells what it does, while somebody listens. */
export class TracedAppender extends Appender {
  readonly #telemetry: Telemetry

  constructor(
    batch: Batch,
    batcher: Batcher,
    head: FindHead,
    projected: ProjectedAppends,
    telemetry: Telemetry,
  ) {
    super(batch, batcher, head, projected)
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

  override appendAll(
    writes: readonly StreamWrite[],
    options?: Pick<AppendOptions, 'client'>,
  ): Promise<AppendResult[]> {
    if (!this.#telemetry.active) return super.appendAll(writes, options)
    return this.#telemetry.append(
      writes,
      () => super.appendAll(writes, options),
      (results) => results.flatMap(({ events }) => events),
    )
  }
}
