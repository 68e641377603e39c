// Replays the parked streams of a partition.
import type { Clock } from '../../core/clock.ts'
import { messageOf } from '../../core/describe.ts'
import type { Outcome } from './delivery.ts'
import { HeldDelivery } from './delivery.ts'
import type { Parked, ParkedMessage } from './parked.ts'

/**
 * The last token of the subject of a message that asks for a replay. It is in the partition's own order, so the server gives it
 * to one process, and nothing else of the partition meanwhile. No type of an event becomes such a token.
 */
export const REPLAY = '$replay'

export interface Replaying {
  deliver(delivery: HeldDelivery): void
  /** Aborts when the process stops: nothing more begins. */
  readonly signal: AbortSignal
  /** Aborts when nothing is waited for any more. */
  readonly ended: AbortSignal
  readonly clock: Clock
}

/**
 * Hands out what is parked, each stream from its first message on, until it is empty or a message is parked again. `only` is the
 * subject of one stream; empty: all of the partition. Returns false if it was interrupted; what is left is still parked.
 */
export async function replayPartition(
  parked: Parked,
  partition: number,
  only: string,
  how: Replaying,
): Promise<boolean> {
  for (const subject of (await parked.subjects(partition)).keys()) {
    if (only !== '' && only !== subject) continue
    for (let next = await parked.first(subject); next; next = await parked.first(subject)) {
      const outcome = await handle(parked, next, partition, how)
      if (outcome === 'parked') break
      if (outcome === 'interrupted') return false
    }
  }
  return true
}

async function handle(
  parked: Parked,
  message: ParkedMessage,
  partition: number,
  { deliver, signal, ended, clock }: Replaying,
): Promise<'acked' | 'parked' | 'interrupted'> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    const outcome = await new Promise<Outcome | 'interrupted'>((resolve, reject) => {
      ended.addEventListener('abort', () => resolve('interrupted'), { once: true })
      const given = { event: message.event, attempt, redelivered: true, partition, signal }
      const acked = () => parked.remove(message).then(() => resolve('acked'))
      const delivery = new HeldDelivery(given, {
        acked: () =>
          acked().catch((error) => {
            reject(error) // it is handled, and comes again
            throw error
          }),
        nacked: (retryMs) => resolve({ retryMs }),
        parked: async () => resolve('parked'),
      })
      try {
        deliver(delivery)
      } catch (error) {
        reject(new Error(messageOf(error)))
      }
    })
    if (typeof outcome === 'string') return outcome
    await clock.sleep(outcome.retryMs, signal).catch(() => {})
  }
  return 'interrupted'
}
