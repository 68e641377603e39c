// @direct
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow } from '../src/index.ts'
import type { Nats } from './support/nats.ts'
import { countOf, findNats, startNats } from './support/nats.ts'
import { startProxy } from './support/proxy.ts'
import { killChildren, startChild } from './support/relay-children.ts'
import { append, arrived, assertAll, caughtUp, setUp, startRelay } from './support/relays.ts'
import { closeAll, openStore, storeSchema } from './support/store.ts'
import { until } from './support/until.ts'
import { unless } from './support/ways.ts'

const program = findNats()
const relayed = unless(!program && 'there is no nats-server here (Debian: apt-get install nats-server)', test)
let nats: Nats
let meow: Meow
const opened: { close(): Promise<unknown> }[] = []
test.before(async () => {
  if (!program) return
  nats = await startNats(program)
  meow = await openStore()
})
test.after(async () => {
  killChildren()
  await closeAll()
  for (const one of opened) await one.close()
  await nats?.stop()
})

relayed('kill -9 a relay with messages in flight: another goes on', async () => {
  const { category, stream } = await setUp(nats)
  const proxy = await startProxy(nats.url)
  opened.push(proxy)
  proxy.slow(50) // 20 streams, so 200 messages a second at most
  const options = {
    schema: storeSchema,
    name: category,
    category,
    prefix: 'meowmx',
    partitions: 2,
    leaseMs: 1_000,
    nats: { servers: proxy.url, stream },
  }
  const victim = await startChild(options)
  await using other = startRelay(meow, category, proxy.url, { partitions: 2 })
  await until(() => victim.partitions.length === 1, { timeoutMs: 30_000, what: 'both to share' })
  const events = await append(meow, category, 1_000)
  await until(() => victim.published > 0, { timeoutMs: 30_000, what: 'the relay to publish' })
  victim.kill('SIGKILL')
  const left = events.length - (await countOf(nats, stream))
  proxy.slow(0)
  events.push(...(await append(meow, category, 20)))
  await caughtUp(meow, category)
  await assertAll(nats, stream, events)
  console.log(`killed ${left} messages before the end; ${other.duplicates} came again, and were dropped`)
  assert.ok(left > 0, 'it was killed in mid-flight')
})

relayed('kill -9 the broker, and start it again: all goes on', async () => {
  const server = await startNats(program!)
  opened.push({ close: () => server.stop() })
  const { category, stream } = await setUp(server)
  const proxy = await startProxy(server.url)
  opened.push(proxy)
  proxy.slow(20) // 20 streams, so 500 messages a second at most
  const events = await append(meow, category, 1_000)
  await using relaying = startRelay(meow, category, proxy.url)
  for (const count of [100, 400]) {
    await until(() => relaying.published >= count, { timeoutMs: 30_000, what: 'some to be published' })
    await server.kill()
    assert.ok(relaying.published < events.length, 'it was killed in mid-flight')
    events.push(...(await append(meow, category, 100)))
    await server.start()
  }
  await caughtUp(meow, category)
  await assertAll(server, stream, events)
  console.log(`${relaying.duplicates} came again, and were dropped`)
})

relayed('cut the connection, or lose its answers: all goes on, and what comes again is dropped', async () => {
  const { category, stream } = await setUp(nats)
  const proxy = await startProxy(nats.url)
  opened.push(proxy)
  const events = await append(meow, category, 500)
  await using relaying = startRelay(meow, category, proxy.url, { leaseMs: 3_000 })
  const some = async () => {
    const before = relaying.published
    events.push(...(await append(meow, category, 100)))
    await until(() => relaying.published > before, { timeoutMs: 30_000, what: 'some to be published' })
  }
  await some()
  proxy.reset()
  await some()
  await proxy.cut()
  events.push(...(await append(meow, category, 100)))
  await proxy.heal()
  await some()
  await caughtUp(meow, category)

  // Messages arrive, their answers don't.
  proxy.blackhole('back')
  const unanswered = await append(meow, category, 100)
  events.push(...unanswered)
  await arrived(nats, stream, events.length - 80)
  proxy.reset()
  await proxy.heal()
  await caughtUp(meow, category)
  await assertAll(nats, stream, events)
  assert.ok(relaying.duplicates > 0, 'some came again')
})

test.run()
