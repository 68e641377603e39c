// A relay publishes a category to NATS JetStream: nothing is lost, what comes again is dropped, each stream is in order, whoever
// dies: the relay, the broker, the connection between them.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Logger, Meow, NewEvent, RecordedEvent } from '../src/index.ts'
import { connect } from '../src/index.ts'
import type { RelayOptions } from '../src/relay.ts'
import { natsBroker, RefusedError, type Relay, relay } from '../src/relay.ts'
import type { Nats, Stored } from './support/nats.ts'
import { addStream, countOf, deleteStream, findNats, readStream, startNats } from './support/nats.ts'
import { startProxy } from './support/proxy.ts'
import { rejects } from './support/rejects.ts'
import { killRelays, startRelay } from './support/relays.ts'
import { closeAll, databaseUrl, openStore, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'
import { theWay, unless } from './support/ways.ts'

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
  killRelays()
  await closeAll()
  for (const one of opened) await one.close()
  await nats?.stop()
})

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

/** A category, and a JetStream stream for it. */
async function setUp(server = nats): Promise<{ category: string; stream: string }> {
  const category = uniqueName('relay')
  await addStream(server, { name: category, subjects: [`meowmx.${category}.>`] })
  return { category, stream: category }
}

const start = (category: string, options: Partial<RelayOptions<string>> = {}, url = nats.url): Relay =>
  relay(meow, category, {
    category,
    prefix: 'meowmx',
    leaseMs: 1_000,
    broker: natsBroker({ servers: url, stream: category, timeoutMs: 1_000 }),
    ...options,
  })

/** Appends to 20 streams, in turn. */
async function append(category: string, count: number): Promise<RecordedEvent[]> {
  const event = (n: number): NewEvent => ({ type: n % 3 ? 'Happened' : 'Ended', data: { n } })
  const one = (n: number) => meow.append({ category, streamId: `${n % 20}` }, event(n))
  return (await Promise.all(upTo(count).map(one))).flatMap(({ events }) => events)
}

/** The stream holds these events and no others, each once, each stream of events in order. */
async function assertAll(stream: string, events: readonly RecordedEvent[], server = nats): Promise<Stored[]> {
  const stored = await readStream(server, stream)
  const ids = stored.map(({ headers }) => headers['Nats-Msg-Id']!)
  assert.is(new Set(ids).size, ids.length, 'each once')
  assert.equal(ids.toSorted(), events.map(({ id }) => id).toSorted(), 'all')
  const next = new Map<string, number>()
  for (const { headers } of stored) {
    const streamId = headers['Meowmx-Stream']!
    assert.is(Number(headers['Meowmx-Version']), next.get(streamId) ?? 0, `stream ${streamId} in order`)
    next.set(streamId, Number(headers['Meowmx-Version']) + 1)
  }
  return stored
}

/** Until the stream holds `count` messages, or the relay's subscription has no lag. */
const arrived = (stream: string, count: number, server = nats) =>
  until(async () => (await countOf(server, stream)) >= count, {
    timeoutMs: 30_000,
    what: `${count} messages in ${stream}`,
  })

const caughtUp = (name: string) =>
  until(async () => (await meow.subscriptions()).find((one) => one.name === name)?.lag === 0, {
    timeoutMs: 30_000,
    what: `${name} to catch up`,
  })

relayed('an event becomes a message: subject, id, body, headers', async () => {
  const { category, stream } = await setUp()
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const metadata = { correlationId: 'c-1', causationId: 'c-0', traceparent, schemaVersion: 2, who: 'Zoë' }
  const { events } = await meow.append({ category, streamId: '42' }, [
    { type: 'OrderPlaced', data: { price: 9.5, to: 'Zoë 🐈' }, metadata },
    { type: 'OrderShipped', data: null },
  ])
  await using relaying = start(category)
  await relaying.ready
  await arrived(stream, 2)
  const later = await append(category, 30) // live
  await arrived(stream, 32)
  const [placed, shipped] = await assertAll(stream, [...events, ...later])
  assert.is(placed!.subject, `meowmx.${category}.OrderPlaced`)
  assert.equal(JSON.parse(placed!.body), { price: 9.5, to: 'Zoë 🐈' })
  const { 'Meowmx-Metadata': carried, ...headers } = placed!.headers
  assert.equal(JSON.parse(carried!), metadata)
  assert.equal(headers, {
    'Nats-Msg-Id': events[0]!.id,
    'Nats-Expected-Stream': stream,
    'Meowmx-Position': `${events[0]!.position}`,
    'Meowmx-Category': category,
    'Meowmx-Stream': '42',
    'Meowmx-Version': '0',
    'Meowmx-Type': 'OrderPlaced',
    'Meowmx-Recorded-At': events[0]!.recordedAt.toISOString(),
    'Meowmx-Schema-Version': '2',
    'Meowmx-Correlation-Id': 'c-1',
    'Meowmx-Causation-Id': 'c-0',
    traceparent,
  })
  assert.is(shipped!.body, 'null')
  assert.not('Meowmx-Metadata' in shipped!.headers)
  assert.equal([relaying.published, relaying.duplicates], [32, 0])
})

relayed('hostile names become safe subjects and headers, and can be read back', async () => {
  const category = uniqueName('a.b > *\r\nü%')
  const streams = ['x', '*', '>', ' . ', '\r\nInjected: yes', '💥'.repeat(100), '\t', '%41', "!~'()"]
  const types = [...streams, 'é'.repeat(255)]
  const events: RecordedEvent[] = []
  for (const streamId of streams)
    events.push(
      ...(
        await meow.append(
          { category, streamId },
          types.map((type) => ({ type, data: type })),
        )
      ).events,
    )
  const stream = uniqueName('hostile')
  const broker = natsBroker({ servers: nats.url, stream, create: { storage: 'memory' } })
  await using relaying = relay(meow, stream, { category, prefix: 'meowmx', broker })
  await relaying.ready
  await arrived(stream, events.length)
  const stored = await readStream(nats, stream)
  const byId = new Map(events.map((event) => [event.id, event]))
  for (const { subject, headers, body } of stored) {
    const event = byId.get(headers['Nats-Msg-Id']!)!
    const tokens = subject.split('.')
    assert.is(tokens.length, 3)
    assert.ok(
      tokens.every((token) => /^[\w%~-]{1,128}$/.test(token)),
      subject,
    )
    assert.is(decodeURIComponent(tokens[1]!), category)
    if (!tokens[2]!.includes('~')) assert.is(decodeURIComponent(tokens[2]!), event.type)
    assert.is(decodeURIComponent(headers['Meowmx-Stream']!), event.streamId)
    assert.is(decodeURIComponent(headers['Meowmx-Category']!), category)
    assert.is(decodeURIComponent(headers['Meowmx-Type']!), event.type)
    assert.is(JSON.parse(body), event.type)
    assert.not('Injected' in headers)
  }
  assert.is(new Set(stored.map(({ subject }) => subject)).size, types.length, 'a subject a type')
})

relayed('kill -9 a relay with messages in flight: another goes on', async () => {
  const { category, stream } = await setUp()
  const proxy = await startProxy(nats.url)
  opened.push(proxy)
  proxy.slow(10) // 20 streams, so 1,000 messages a second at most
  const options = {
    schema: storeSchema,
    name: category,
    category,
    prefix: 'meowmx',
    partitions: 2,
    leaseMs: 1_000,
    nats: { servers: proxy.url, stream },
  }
  const relays = await Promise.all([startRelay(options), startRelay(options)])
  const events = await append(category, 2_000)
  const busy = () => relays.find(({ published, partitions }) => published > 0 && partitions.length > 0)
  const victim = (await until(busy, { timeoutMs: 30_000, what: 'a relay to publish' }))!
  victim.kill('SIGKILL')
  const left = events.length - (await countOf(nats, stream))
  proxy.slow(0)
  events.push(...(await append(category, 100)))
  await caughtUp(category)
  await assertAll(stream, events)
  const other = relays.find((one) => one !== victim)!
  assert.is(await other.stop(), 0)
  console.log(`killed ${left} messages before the end; ${other.duplicates} came again, and were dropped`)
  assert.ok(left > 0, 'it was killed in mid-flight')
})

relayed('kill -9 the broker, and start it again: all goes on', async () => {
  const server = await startNats(program!)
  opened.push({ close: () => server.stop() })
  const { category, stream } = await setUp(server)
  const events = await append(category, 3_000)
  await using relaying = start(category, {}, server.url)
  for (const share of [0.3, 0.6]) {
    await until(() => relaying.published >= share * 3_000, {
      timeoutMs: 30_000,
      what: 'some to be published',
    })
    await server.kill()
    events.push(...(await append(category, 100)))
    await server.start()
  }
  await caughtUp(category)
  await assertAll(stream, events, server)
  console.log(`${relaying.duplicates} came again, and were dropped`)
})

relayed('cut the connection, or lose its answers: all goes on, and what comes again is dropped', async () => {
  const { category, stream } = await setUp()
  const proxy = await startProxy(nats.url)
  opened.push(proxy)
  const events = await append(category, 2_000)
  await using relaying = start(category, { leaseMs: 3_000 }, proxy.url)
  const some = async () => {
    const before = relaying.published
    events.push(...(await append(category, 300)))
    await until(() => relaying.published > before, { timeoutMs: 30_000, what: 'some to be published' })
  }
  await some()
  proxy.reset()
  await some()
  await proxy.cut()
  events.push(...(await append(category, 100)))
  await proxy.heal()
  await some()
  await caughtUp(category)

  // Messages arrive, their answers don't.
  proxy.blackhole('back')
  const unanswered = await append(category, 100)
  events.push(...unanswered)
  await arrived(stream, events.length - 80)
  proxy.reset()
  await proxy.heal()
  await caughtUp(category)
  await assertAll(stream, events)
  assert.ok(relaying.duplicates > 0, 'some came again')
})

relayed('a relay that is stopped leaves nothing half done; the next one repeats nothing', async () => {
  const { category, stream } = await setUp()
  const events = await append(category, 3_000)
  const first = start(category)
  await until(() => first.published >= 500, { what: 'some to be published' })
  await first.stop()
  await first.stop()
  await first.done
  assert.is(await countOf(nats, stream), first.published)
  assert.ok(first.published < events.length, 'stopped in mid-flight')
  await using second = start(category)
  await caughtUp(category)
  assert.is(first.published + second.published, events.length)
  assert.is(second.duplicates, 0)
  await assertAll(stream, events)
})

relayed('what is too large is set aside with its stream, and said; the others go on', async () => {
  const server = await startNats(program!)
  opened.push({ close: () => server.stop() })
  await server.kill()
  await server.start('max_payload: 65536')
  const { category, stream } = await setUp(server)
  const limited = uniqueName('limited')
  await addStream(server, { name: limited, subjects: [`meowmx.${limited}.>`], max_msg_size: 1_000 })
  for (const [name, size] of [
    [category, 70_000],
    [category, 65_400],
    [limited, 2_000],
  ] as const) {
    const large = { type: 'Large', data: 'x'.repeat(size) }
    const small = { type: 'Small', data: 'x' }
    const streamId = `large ${size}`
    await meow.append({ category: name, streamId }, [small, large, small])
    await meow.append({ category: name, streamId: `small ${size}` }, [small, small])
  }
  for (const [name, count] of [
    [category, 6],
    [limited, 3],
  ] as const) {
    await using _ = start(name, {}, server.url)
    await caughtUp(name)
    await arrived(name, count, server)
    assert.is(await countOf(server, name), count)
    const parked = await meow.parked(name)
    assert.equal(
      parked.map(({ event }) => event.version),
      name === category ? [1, 2, 1, 2] : [1, 2],
    )
    assert.match(String(parked[0]!.error), /max_payload|max_msg_size/)
  }
  // Once the limit is raised, they can be put back.
  await server.kill()
  await server.start('max_payload: 1048576')
  await using _ = start(category, {}, server.url)
  assert.is(await meow.replayParked(category), 4)
  await arrived(stream, 10, server)
  await assertAll(stream, (await meow.read({ category })).events, server)
})

relayed('where there is no stream it says what to do; one that goes missing is waited for', async () => {
  const category = uniqueName('absent')
  const failing = start(category)
  const { message } = await rejects(failing.ready, RefusedError)
  assert.match(message, `nats stream add ${category} --subjects 'meowmx.${category}.>'`)
  await rejects(failing.done, RefusedError)
  const anywhere = start(category, { broker: natsBroker({ servers: nats.url }) })
  assert.match(
    (await rejects(anywhere.ready, RefusedError)).message,
    `takes the subject meowmx.${category}.>`,
  )

  const said: string[] = []
  const logger: Logger = { debug() {}, info() {}, warn: (_, text) => said.push(String(text)), error() {} }
  const own = await connect(theWay({ connectionString: databaseUrl(), schema: storeSchema, logger }))
  opened.push(own)
  const stream = { name: category, subjects: [`meowmx.${category}.>`], duplicate_window: 1_000_000_000 }
  await addStream(nats, stream)
  await using relaying = relay(own, category, {
    category,
    prefix: 'meowmx',
    leaseMs: 500,
    broker: natsBroker({ servers: nats.url, stream: category }),
  })
  await relaying.ready
  assert.ok(
    said.some((text) => /drops repeats for 1000 ms only; .* --dupe-window 11s/.test(text)),
    said.join('\n'),
  )
  await deleteStream(nats, category)
  const events = await append(category, 50)
  await until(() => said.some((text) => text.includes(`takes the subject meowmx.${category}.`)), {
    what: 'a warning',
  })
  await until(() => said.some((text) => text.includes(`there is no JetStream stream "${category}"`)), {
    what: 'the relay to begin anew',
  })
  await addStream(nats, stream)
  await caughtUp(category)
  await assertAll(category, events)
  assert.equal(await meow.parked(category), [])
})

relayed(
  'a relay waits for a broker that is away; it can be stopped, and its store closed, meanwhile',
  async () => {
    const server = await startNats(program!)
    opened.push({ close: () => server.stop() })
    const { category, stream } = await setUp(server)
    await server.kill()
    const events = await append(category, 50)
    const stopped = start(category, {}, server.url)
    await stopped.stop()
    await stopped.done
    const own = await connect(theWay({ connectionString: databaseUrl(), schema: storeSchema }))
    const broker = natsBroker({ servers: server.url, stream })
    const orphan = relay(own, category, { category, broker, prefix: 'meowmx' })
    await own.close()
    await orphan.done
    await using patient = start(category, {}, server.url)
    await server.start()
    await patient.ready
    await caughtUp(category)
    await assertAll(stream, events, server)
  },
)

test.run()
