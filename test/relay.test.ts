// @direct
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Logger, Meow, RecordedEvent } from '../src/index.ts'
import { connect } from '../src/index.ts'
import { natsBroker, RefusedError, relay } from '../src/relay/index.ts'
import type { Nats } from './support/nats.ts'
import { addStream, countOf, deleteStream, findNats, readStream, startNats } from './support/nats.ts'
import { rejects } from './support/rejects.ts'
import { append, arrived, assertAll, caughtUp, setUp, startRelay } from './support/relays.ts'
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
  await closeAll()
  for (const one of opened) await one.close()
  await nats?.stop()
})

/** A store whose warnings are kept. */
async function listened(): Promise<{ own: Meow; said: string[] }> {
  const said: string[] = []
  const warn = (...[{ err }, text]: any[]) => said.push(`${text} ${err?.message}`)
  const logger: Logger = { debug() {}, info() {}, warn, error() {} }
  const own = await connect(theWay({ connectionString: databaseUrl(), schema: storeSchema, logger }))
  opened.push(own)
  return { own, said }
}

relayed('an event becomes a message: subject, id, body, headers', async () => {
  const { category, stream } = await setUp(nats)
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const metadata = { correlationId: 'c-1', causationId: 'c-0', traceparent, schemaVersion: 2, who: 'Zoë' }
  const { events } = await meow.append({ category, streamId: '42' }, [
    { type: 'OrderPlaced', data: { price: 9.5, to: 'Zoë 🐈' }, metadata },
    { type: 'OrderShipped', data: null },
  ])
  await using relaying = startRelay(meow, category, nats.url)
  await relaying.ready
  await arrived(nats, stream, 2)
  const later = await append(meow, category, 30) // live
  await arrived(nats, stream, 32)
  const [placed, shipped] = await assertAll(nats, stream, [...events, ...later])
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
  await arrived(nats, stream, events.length)
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

relayed('a relay that is stopped leaves nothing half done; the next one repeats nothing', async () => {
  const { category, stream } = await setUp(nats)
  const events = await append(meow, category, 3_000)
  const first = startRelay(meow, category, nats.url)
  await until(() => first.published >= 500, { what: 'some to be published' })
  await first.stop()
  await first.stop()
  await first.done
  assert.is(await countOf(nats, stream), first.published)
  assert.ok(first.published < events.length, 'stopped in mid-flight')
  await using second = startRelay(meow, category, nats.url)
  await caughtUp(meow, category)
  assert.is(first.published + second.published, events.length)
  assert.is(second.duplicates, 0)
  await assertAll(nats, stream, events)
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
    await using _ = startRelay(meow, name, server.url)
    await caughtUp(meow, name)
    await arrived(server, name, count)
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
  await using _ = startRelay(meow, category, server.url)
  assert.is(await meow.replayParked(category), 4)
  await arrived(server, stream, 10)
  await assertAll(server, stream, (await meow.read({ category })).events)
})

relayed('where there is no stream it says what to do; one that goes missing is waited for', async () => {
  const category = uniqueName('absent')
  const failing = startRelay(meow, category, nats.url)
  const { message } = await rejects(failing.ready, RefusedError)
  assert.match(message, `nats stream add ${category} --subjects 'meowmx.${category}.>'`)
  await rejects(failing.done, RefusedError)
  const anywhere = startRelay(meow, category, nats.url, { broker: natsBroker({ servers: nats.url }) })
  assert.match(
    (await rejects(anywhere.ready, RefusedError)).message,
    `takes the subject meowmx.${category}.>`,
  )

  const { own, said } = await listened()
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
    said.some((text) => /drops repeats only for 1000 ms, but .* --dupe-window 11s/.test(text)),
    said.join('\n'),
  )
  await deleteStream(nats, category)
  const events = await append(meow, category, 50)
  await until(() => said.some((text) => text.includes(`takes the subject meowmx.${category}.`)), {
    what: 'a warning',
  })
  await until(() => said.some((text) => text.includes(`there is no JetStream stream "${category}"`)), {
    what: 'the relay to begin anew',
  })
  await addStream(nats, stream)
  await caughtUp(meow, category)
  await assertAll(nats, category, events)
  assert.equal(await meow.parked(category), [])
})

relayed(
  'a relay waits for a broker that is away; it can be stopped, and its store closed, meanwhile',
  async () => {
    const server = await startNats(program!)
    opened.push({ close: () => server.stop() })
    const { category, stream } = await setUp(server)
    await server.kill()
    const events = await append(meow, category, 50)
    const stopped = startRelay(meow, category, server.url)
    await stopped.stop()
    await stopped.done
    const own = await connect(theWay({ connectionString: databaseUrl(), schema: storeSchema }))
    const broker = natsBroker({ servers: server.url, stream })
    const orphan = relay(own, category, { category, broker, prefix: 'meowmx' })
    await own.close()
    await orphan.done
    await using patient = startRelay(meow, category, server.url)
    await server.start()
    await patient.ready
    await caughtUp(meow, category)
    await assertAll(server, stream, events)
  },
)

relayed('user and password go by the address; a wrong one is refused, and said', async () => {
  const server = await startNats(program!)
  opened.push({ close: () => server.stop() })
  const { category, stream } = await setUp(server)
  await server.kill()
  const user = `{user: "r@lay", password: "s:cret", permissions: {publish: ["meowmx.>"], subscribe: "_INBOX.>"}}`
  await server.start(`authorization { users: [${user}, {user: "all", password: "all"}] }`, 'all:all')
  const events = await append(meow, category, 10)
  const to = (login: string, more = {}) =>
    natsBroker({ servers: server.url.replace('//', `//${login}@`), timeoutMs: 1_000, ...more })
  const wrong = startRelay(meow, category, nats.url, { broker: to('relay:wrong') })
  assert.match((await rejects(wrong.ready, RefusedError)).message, /refuses the login/)
  const looking = startRelay(meow, category, nats.url, { broker: to('r%40lay:s%3Acret') })
  assert.match(
    (await rejects(looking.ready, RefusedError)).message,
    /does not let this user publish .*check: false/,
  )
  const { own, said } = await listened()
  await using _ = startRelay(own, category, nats.url, {
    broker: to('r%40lay:s%3Acret', { check: false, stream }),
  })
  await caughtUp(meow, category)

  // Once it runs, it waits until its login works again.
  await server.kill()
  await server.start(`authorization { users: [{user: "all", password: "all"}] }`, 'all:all')
  events.push(...(await append(meow, category, 10)))
  await until(() => said.some((text) => text.includes('refuses the login')), { what: 'a warning' })
  await server.kill()
  await server.start('')
  await caughtUp(meow, category)
  await assertAll(server, stream, events)
  assert.equal(await meow.parked(category), [])
})

test.run()
