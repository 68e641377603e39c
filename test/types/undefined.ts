// Compiled by `tsc` with `exactOptionalPropertyTypes`, never run: what may be `undefined` because it then means "not given",
// and, below each `@ts-expect-error`, what may not, because it would mean more.
import type pg from 'pg'
import { z } from 'zod'
import type { Decider, Meow, NewEvent, RecordedEvent } from '../../src/index.ts'
import { connect, defineCategory } from '../../src/index.ts'
import { relay } from '../../src/relay/index.ts'
import { startStudio } from '../../src/studio/index.ts'
import { memoryStore } from '../../src/testing/index.ts'

declare const meow: Meow
declare const text: string | undefined
declare const number: number | undefined
declare const yes: boolean | undefined
declare const client: pg.ClientBase | undefined
declare const signal: AbortSignal | undefined
declare const broker: Parameters<typeof relay>[2]['broker']
declare const decider: Decider<1, RecordedEvent, 2>

const stream = { category: 'order', streamId: '42' }

export async function given() {
  await connect({ connectionString: text, schema: text, maxConnections: number, listen: yes })
  await connect({ listenConnectionString: text, pool: undefined, logger: undefined, telemetry: yes })
  const event: NewEvent = { type: 'T', data: 1, id: text, metadata: undefined }
  await meow.append(stream, event, { client })
  await meow.appendAll([{ stream, events: event }], { client })
  await meow.load(stream, {
    fromVersion: number,
    toVersion: number,
    limit: number,
    direction: undefined,
    client,
  })
  await meow.read({}, { after: number, until: number, limit: number, client })
  await meow.categories({ after: number, until: number })
  meow.events({}, { from: undefined, live: yes, signal })
  meow.iterate({}, { from: undefined, live: yes, signal })
  const subscription = meow.subscription('s', { from: undefined, partitions: number, leaseMs: number })
  const retry = { maxAttempts: number, minDelayMs: number, maxDelayMs: number }
  const worker = subscription.process(() => {}, {
    concurrency: number,
    timeoutMs: number,
    retry,
    outage: { streams: number },
  })
  await worker.stop({ timeoutMs: number })
  await meow.alterSubscription('s', { partitions: number })
  await meow.subscriptions({ names: undefined, exact: yes })
  await meow.parked('s', { limit: number })
  await meow.waitFor('s', 1, { timeoutMs: number, signal })
  await meow.eraseStream(stream, { reason: text, client })
  await meow.decide(decider, '42', 1, { retries: number, client })
  await meow.state(decider, '42', { toVersion: number, client })
  await meow.saveAggregate(
    { ...stream, collectPendingEvents: () => ({ events: [], expectedVersion: 0 }) },
    { client },
  )
  defineCategory('order', { A: { schema: z.object({}), version: number } }, { validateOnRead: yes }).A(
    {},
    { id: text },
  )
  memoryStore({ now: undefined })
  relay(meow, 's', { broker, prefix: text, window: number, partitions: number })
  await startStudio(meow, { host: text, port: number, write: yes, token: text, title: text })
  await meow.close({ timeoutMs: number })
}

export async function refused(names: string[] | undefined) {
  // @ts-expect-error would be every category
  await meow.read({ category: text })
  // @ts-expect-error would be every type
  meow.events({ types: names })
  // @ts-expect-error would be every stream of the category
  meow.iterate({ category: 'order', streamId: text })
  // @ts-expect-error would be every category
  meow.subscription('s', { category: text })
  // @ts-expect-error would be every category
  relay(meow, 's', { broker, category: text })
  // @ts-expect-error no stream
  await meow.load({ category: 'order', streamId: text })
  // @ts-expect-error would be 'any'
  await meow.append(stream, { type: 'T', data: 1 }, { expectedVersion: number })
  // @ts-expect-error would be 'any'
  await meow.appendAll([{ stream, events: [], expectedVersion: number }])
  // @ts-expect-error would change nothing
  await meow.alterSubscription('s', { category: text })
  // @ts-expect-error would be every stream that is parked
  await meow.replayParked('s', { streamId: text })
}
