// A consumer or the server is killed: nothing is lost, and each stream comes in order. @direct
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import type { Seen } from './support/jetstream.ts'
import { assertHandled, consume, PARTITIONS, published } from './support/jetstream.ts'
import { killConsumers, startConsumer } from './support/jetstream-children.ts'
import type { Nats } from './support/nats.ts'
import { findNats, startNats } from './support/nats.ts'
import { append } from './support/relays.ts'
import { closeAll, openStore } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const fed = unless(!program && 'there is no nats-server here (Debian: apt-get install nats-server)', test)
let nats: Nats
let meow: Meow
test.before(async () => {
  if (!program) return
  nats = await startNats(program)
  meow = await openStore()
})
test.after(async () => {
  await killConsumers()
  await closeAll()
  await nats?.stop()
})

const distinct = (seen: readonly Seen[]) => new Set(seen.map(({ id }) => id)).size

fed('kill -9 a consumer that holds messages: others go on, and what it held comes again', async () => {
  const { category, stream, events } = await published(nats, meow, 300)
  const options = {
    url: nats.url,
    stream,
    category,
    name: 'killed',
    partitions: PARTITIONS,
    concurrency: 4,
    ackWaitMs: 1_000,
    delayMs: 5,
  }
  const seen: Seen[] = []
  const victims = await Promise.all([startConsumer(options, seen), startConsumer(options, seen)])
  await until(() => seen.length > 40, { what: 'some to be handled', timeoutMs: 20_000 })
  await victims[0]!.kill()
  const left = 300 - distinct(seen)
  const later = await append(meow, category, 50)
  await until(() => distinct(seen) === 350, { what: 'all to be handled', timeoutMs: 30_000 })
  await victims[1]!.stop()
  assertHandled(seen, [...events, ...later])
  console.log(`killed ${left} before the end; ${seen.length - 350} came twice`)
  assert.ok(left > 0, 'it was killed in the middle')
})

fed('kill -9 the server, and start it again: consumers go on by themselves', async () => {
  const server = await startNats(program!)
  try {
    const { category, stream, events, relaying } = await published(server, meow, 200)
    await using events$ = consume(server, stream)
    const seen: RecordedEvent[] = []
    await using _ = events$.subscription('patient', { category, partitions: PARTITIONS }).process(
      async (event) => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        seen.push(event)
      },
      { concurrency: 2 },
    )
    await until(() => seen.length > 30, { what: 'some to be handled', timeoutMs: 20_000 })
    await server.kill()
    assert.ok(distinct(seen) < 200, 'it was killed in the middle')
    const later = await append(meow, category, 50)
    await server.start()
    await until(() => distinct(seen) === 250, { what: 'all to be handled', timeoutMs: 30_000 })
    assertHandled(seen, [...events, ...later])
    await relaying.stop()
  } finally {
    await server.stop()
  }
})

fed('a subscription begins before there is a server', async () => {
  const server = await startNats(program!)
  try {
    const { category, stream, events, relaying } = await published(server, meow, 20)
    await relaying.stop()
    await server.kill()
    await using early = consume(server, stream)
    const seen: RecordedEvent[] = []
    await using _ = early
      .subscription('early', { category, partitions: PARTITIONS })
      .process((event) => void seen.push(event))
    await using never = consume(server, stream)
    await never
      .subscription('never', { category })
      .process(() => {})
      .stop()
    await server.start()
    await until(() => distinct(seen) === 20, { what: 'all to be handled', timeoutMs: 20_000 })
    assertHandled(seen, events)
  } finally {
    await server.stop()
  }
})

test.run()
