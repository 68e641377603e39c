import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../../src/index.ts'
import type { JetStream, JetStreamOptions } from '../../src/relay/index.ts'
import { jetstream } from '../../src/relay/index.ts'
import type { Nats } from './nats.ts'
import { append, arrived, setUp, startRelay } from './relays.ts'

/** How many partitions the tests use: few, since each is a consumer that the server has to make. */
export const PARTITIONS = 8

/** A `jetstream()` on a stream, with short times. */
export const consume = (
  nats: Pick<Nats, 'url'>,
  stream: string,
  options: Partial<JetStreamOptions> = {},
): JetStream =>
  jetstream({ servers: nats.url, stream, ackWaitMs: 1_000, timeoutMs: 2_000, logger: false, ...options })

/** Appends events of 20 streams and has a relay publish them. */
export async function published(nats: Nats, meow: Meow, count: number) {
  const { category, stream } = await setUp(nats)
  const relaying = startRelay(meow, category, nats.url, { subjectPartitions: PARTITIONS })
  const events = await append(meow, category, count)
  await arrived(nats, stream, count)
  return { category, stream, relaying, events }
}

/** What was handled; `at` in ns of the machine's clock, if processes have handled it, whose pipes are read in any order. */
export type Seen = Pick<RecordedEvent, 'id' | 'streamId' | 'version'> & { at?: string }

/** Each event came, and the first deliveries of each stream came in order. */
export function assertHandled(seen: readonly Seen[], events: readonly Seen[]): void {
  const first = new Map<string, Seen>()
  const inTime = seen[0]?.at ? seen.toSorted((a, b) => Number(BigInt(a.at!) - BigInt(b.at!))) : seen
  for (const event of inTime) if (!first.has(event.id)) first.set(event.id, event)
  assert.equal([...first.keys()].sort(), events.map(({ id }) => id).sort(), 'all')
  const next = new Map<string, number>()
  for (const { streamId, version } of first.values()) {
    assert.is(version, next.get(streamId) ?? 0, `stream ${streamId} in order`)
    next.set(streamId, version + 1)
  }
}
