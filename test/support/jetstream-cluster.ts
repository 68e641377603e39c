import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../../src/index.ts'
import { natsBroker, relay } from '../../src/relay/index.ts'
import type { Seen } from './jetstream.ts'
import { assertHandled } from './jetstream.ts'
import { startConsumer } from './jetstream-children.ts'
import { readStream } from './nats.ts'
import type { NatsCluster } from './nats-cluster.ts'
import { append, assertOrder } from './relays.ts'
import { uniqueName } from './store.ts'
import { until } from './until.ts'

export interface ClusterRun {
  readonly events: number
  readonly repeats: number
  readonly kills: number
}

/**
 * Appends about `rate` events/s for `ms`; a relay publishes them with three replicas, and two consumers handle them. Meanwhile
 * the leader of the stream is killed every `killMs`, and started again a second later; with `killConsumers` one of the
 * consumers is killed and replaced each time. Then: nothing is lost, and each stream comes in order.
 */
export async function clusterRun(
  cluster: NatsCluster,
  meow: Meow,
  {
    ms,
    rate,
    killMs,
    killConsumers = false,
  }: { ms: number; rate: number; killMs: number; killConsumers?: boolean },
): Promise<ClusterRun> {
  const category = uniqueName('cluster')
  const partitions = 4 // each is a consumer with three replicas
  const broker = natsBroker({
    servers: cluster.urls,
    stream: category,
    create: { num_replicas: 3 },
    timeoutMs: 2_000,
  })
  await using relaying = relay(meow, category, {
    category,
    prefix: 'meowmx',
    leaseMs: 2_000,
    subjectPartitions: partitions,
    broker,
  })
  await relaying.ready
  const seen: Seen[] = []
  const options = {
    url: cluster.urls as unknown as string,
    stream: category,
    category,
    name: 'clustered',
    partitions,
    concurrency: 4,
    ackWaitMs: 2_000,
    delayMs: 0,
  }
  const consumers = await Promise.all([startConsumer(options, seen), startConsumer(options, seen)])
  const events: RecordedEvent[] = []
  const distinct = () => new Set(seen.map(({ id }) => id)).size
  let kills = 0
  let killing = Promise.resolve()
  const began = Date.now()
  for (let nextKill = began + killMs / 2; Date.now() - began < ms; ) {
    const turn = Date.now()
    events.push(...(await append(meow, category, rate / 10)))
    if (Date.now() >= nextKill) {
      nextKill += killMs
      kills++
      killing = killing.then(async () => {
        const n = await cluster.killLeader(category)
        if (killConsumers) {
          await consumers[kills % 2]!.kill()
          consumers[kills % 2] = await startConsumer(options, seen)
        }
        await new Promise((resolve) => setTimeout(resolve, 1_000))
        await cluster.start(n)
      })
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(100 - (Date.now() - turn), 0)))
  }
  await killing
  await until(() => distinct() >= events.length, { timeoutMs: 60_000, what: 'all to be handled' })
  await Promise.all(consumers.map((one) => one.stop()))
  // First whether the stream itself is in order: a server may lose what it has confirmed.
  assertOrder(await readStream({ url: cluster.urls[0]! }, category))
  assertHandled(seen, events)
  assert.ok(kills > 0, 'a leader was killed')
  return { events: events.length, repeats: seen.length - events.length, kills }
}
