import * as assert from 'uvu/assert'
import type { Meow, NewEvent, RecordedEvent } from '../../src/index.ts'
import type { Relay, RelayOptions } from '../../src/relay/index.ts'
import { natsBroker, relay } from '../../src/relay/index.ts'
import type { Nats, Stored } from './nats.ts'
import { addStream, countOf, readStream } from './nats.ts'
import { uniqueName } from './store.ts'
import { until } from './until.ts'

/** A category, and a JetStream stream of its name. */
export async function setUp(nats: Nats): Promise<{ category: string; stream: string }> {
  const category = uniqueName('relay')
  await addStream(nats, { name: category, subjects: [`meowmx.${category}.>`] })
  return { category, stream: category }
}

/** A relay of a category of `setUp`. */
export const startRelay = (
  meow: Meow,
  category: string,
  url: string,
  options: Partial<RelayOptions<string>> = {},
): Relay =>
  relay(meow, category, {
    category,
    prefix: 'meowmx',
    leaseMs: 1_000,
    broker: natsBroker({ servers: url, stream: category, timeoutMs: 1_000 }),
    ...options,
  })

/** Appends to 20 streams, in turn. */
export async function append(meow: Meow, category: string, count: number): Promise<RecordedEvent[]> {
  const event = (n: number): NewEvent => ({ type: n % 3 ? 'Happened' : 'Ended', data: { n } })
  const one = (n: number) => meow.append({ category, streamId: `${n % 20}` }, event(n))
  return (await Promise.all(Array.from({ length: count }, (_, n) => one(n)))).flatMap(({ events }) => events)
}

/** The stream holds these events and no others, each once, each stream of events in order. */
export async function assertAll(
  nats: Nats,
  stream: string,
  events: readonly RecordedEvent[],
): Promise<Stored[]> {
  const stored = await readStream(nats, stream)
  const ids = stored.map(({ headers }) => headers['Nats-Msg-Id']!)
  assert.is(new Set(ids).size, ids.length, 'each once')
  assert.equal(ids.toSorted(), events.map(({ id }) => id).toSorted(), 'all')
  assertOrder(stored)
  return stored
}

/** Of each stream of events, the versions come in order. */
export function assertOrder(messages: readonly Pick<Stored, 'headers'>[]): void {
  const next = new Map<string, number>()
  for (const { headers } of messages) {
    const { 'Meowmx-Stream': streamId, 'Meowmx-Version': version } = headers
    assert.is(Number(version), next.get(streamId!) ?? 0, `stream ${streamId} in order`)
    next.set(streamId!, Number(version) + 1)
  }
}

/** Waits until a stream holds this many messages. */
export const arrived = (nats: Nats, stream: string, count: number) =>
  until(async () => (await countOf(nats, stream)) >= count, {
    timeoutMs: 30_000,
    what: `${count} messages in ${stream}`,
  })

/** Until a subscription has no lag. */
export const caughtUp = (meow: Meow, name: string) =>
  until(async () => (await meow.subscriptions()).find((one) => one.name === name)?.lag === 0, {
    timeoutMs: 30_000,
    what: `${name} to catch up`,
  })
