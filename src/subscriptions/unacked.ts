import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/logger.ts'
import type { Entry } from './ack-window.ts'
import type { Partition } from './partition.ts'
import type { Replay } from './replay.ts'

/**
 * Warns once of each delivery that its consumer has not acked for a long time, perhaps because a `filter()` drops it or a
 * handler hangs. The checkpoint stays below such a delivery, and when the window is full nothing more is delivered.
 */
export function warnOfUnacked(
  { name, unackedWarningMs }: { name: string; unackedWarningMs: number },
  { clock, logger }: { clock: Clock; logger: Logger },
  partitions: () => readonly { partition: Partition; replay: Replay }[],
): () => void {
  const warned = new WeakSet<Entry>()
  const pauseMs = Math.min(Math.max(unackedWarningMs / 4, 10), 1_000)
  return clock.every(pauseMs, () => {
    for (const { partition, replay } of partitions()) {
      const { number, window } = partition
      const oldest = replay.oldest ?? window.oldest
      const ms = oldest ? clock.now() - oldest.since : 0
      if (!oldest || ms < unackedWarningMs || warned.has(oldest)) continue
      warned.add(oldest)
      const { position, event } = oldest
      logger.warn(
        {
          subscription: name,
          partition: number,
          position,
          category: event.category,
          streamId: event.streamId,
        },
        `position ${position} was delivered ${Math.round(ms)} ms ago and is neither acked, nacked nor parked: the checkpoint stays below it; ack, nack or park each delivery`,
      )
    }
  })
}
