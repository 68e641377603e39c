// @direct
// Spans of appends, reads and handlers: one trace from an append to its last effect, across processes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setImmediate as later } from 'node:timers/promises'
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AlwaysOffSampler } from '@opentelemetry/sdk-trace-base'
import { defer, lastValueFrom, take } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { defineCategory, handle, ValidationError, VersionConflictError, withMetadata } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, storeSchema, uniqueName } from './support/store.ts'
import type { Seen } from './support/tracing.ts'
import { startTracing } from './support/tracing.ts'
import { program } from './support/typescript.ts'
import { until } from './support/until.ts'

let meow: Meow
let tracing: ReturnType<typeof startTracing>
test.before(async () => {
  meow = await openStore() // before any provider is registered
})
test.before.each(() => {
  tracing = startTracing()
})
test.after.each(() => tracing.stop())
test.after(closeAll)

const event = { type: 'T', data: 1 }
const given = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const stream = () => ({ category: uniqueName('order'), streamId: 'a' })
const contextOf = ({ traceId, spanId }: Seen) => `00-${traceId}-${spanId}-01`
const application = () => trace.getTracer('application')

/** Run in a span of the application's. */
const inSpan = <T>(run: () => Promise<T>) =>
  application().startActiveSpan('request', async (span) => {
    const result = await run()
    span.end()
    return result
  })

test('append: a producer span, a child of what is active, whose context the events carry', async () => {
  const to = stream()
  const { events } = await inSpan(() => meow.append(to, [event, { ...event, metadata: { by: 'me' } }]))
  const one = await meow.append(to, { ...event, metadata: { correlationId: 'request 7' } })
  const [request] = tracing.spans().filter(({ name }) => name === 'request')
  const [both, single] = tracing.spans(to.category)
  assert.is(both!.name, `append ${to.category}`)
  assert.is(both!.kind, SpanKind.PRODUCER)
  assert.is(both!.parent, request!.spanId)
  assert.is(both!.traceId, request!.traceId)
  assert.equal(events[0]!.metadata, { traceparent: contextOf(both!) })
  assert.equal(events[1]!.metadata, { traceparent: contextOf(both!), by: 'me' })
  assert.equal(await meow.load(to, { limit: 2 }), events)
  assert.is(both!.attributes['messaging.batch.message_count'], 2)
  assert.is(single!.parent, undefined)
  assert.equal(single!.attributes, {
    'messaging.system': 'meowmx',
    'messaging.system.name': 'meowmx',
    'messaging.operation.name': 'append',
    'messaging.operation.type': 'send',
    'messaging.destination.name': to.category,
    'messaging.message.id': one.events[0]!.id,
    'messaging.message.conversation_id': 'request 7',
    'meowmx.schema': storeSchema,
    'meowmx.stream_id': 'a',
    'meowmx.event.type': 'T',
    'meowmx.version': 2,
    'meowmx.position': one.position,
  })
})

test('appendAll, decide, a typed category, a transaction of the caller: the same', async () => {
  const [one, other] = [stream(), stream()]
  await meow.appendAll([
    { stream: one, events: [event, event] },
    { stream: { ...other, streamId: 'b' }, events: event },
  ])
  const [all] = tracing.spans().filter(({ name }) => name === 'append')
  assert.is(all!.attributes['messaging.batch.message_count'], 3)
  for (const { metadata } of [...(await meow.load(one)), ...(await meow.load({ ...other, streamId: 'b' }))])
    assert.is(metadata.traceparent, contextOf(all!))

  const { z } = await import('zod')
  const Typed = defineCategory(uniqueName('typed'), { Made: z.object({ n: z.number() }) })
  const { events } = await meow.append(Typed.stream('a'), Typed.Made({ n: 1 }))
  assert.is(events[0]!.metadata.traceparent, contextOf(tracing.spans(Typed.name)[0]!))

  const category = uniqueName('decided')
  const decider = {
    category,
    initial: 0,
    evolve: (n: number) => n + 1,
    decide: () => event,
  }
  const { result } = await inSpan(() => meow.decide(decider, 'a', {}))
  assert.equal(
    tracing.spans(category).map(({ name }) => name),
    [`load ${category}`, `append ${category}`],
  )
  assert.is(result.events[0]!.metadata.traceparent, contextOf(tracing.spans(category)[1]!))
})

test('a context that the caller gives stays, and is linked to', async () => {
  const to = stream()
  const own = await meow.append(to, [{ ...event, metadata: { traceparent: given } }, event])
  const around = await withMetadata({ traceparent: given }, () => meow.append(to, event))
  const left = await withMetadata({ traceparent: undefined }, () => meow.append(to, event))
  const junk = await meow.append(to, [
    { ...event, metadata: { traceparent: 7 } },
    { ...event, metadata: { traceparent: `00-${'0'.repeat(32)}-b7ad6b7169203331-01` } },
  ])
  const spans = tracing.spans(to.category)
  assert.equal(
    own.events.map(({ metadata }) => metadata.traceparent),
    [given, contextOf(spans[0]!)],
  )
  assert.is(around.events[0]!.metadata.traceparent, given)
  assert.equal(left.events[0]!.metadata, {})
  assert.is(junk.events[0]!.metadata.traceparent, 7)
  assert.equal(
    spans.map(({ links }) => links),
    [['b7ad6b7169203331'], ['b7ad6b7169203331'], [], []],
  )
})

test('what is refused says why, and rejects as it would', async () => {
  const to = stream()
  await meow.append(to, [])
  await rejects(meow.append(to, event, { expectedVersion: 7 }), VersionConflictError)
  await rejects(meow.append(to, { type: 'T', data: undefined }), ValidationError)
  await rejects(meow.append(null as any, event), ValidationError)
  await rejects(meow.appendAll([null, 7] as never), ValidationError)
  await rejects(meow.load(null as never), ValidationError)
  await rejects(meow.read({ category: 7 } as never), ValidationError)
  assert.equal(
    tracing.spans(to.category).map(({ attributes, status }) => [attributes['error.type'], status]),
    [
      ['ERR_VERSION_CONFLICT', SpanStatusCode.ERROR],
      ['ERR_VALIDATION', SpanStatusCode.ERROR],
    ],
  )
})

test('load and read: client spans; what flows has none', async () => {
  const from = stream()
  await meow.append(from, [event, event, event])
  await inSpan(() => meow.load(from, { fromVersion: 1 }))
  await meow.read({ category: from.category, streamId: 'a' })
  await meow.read({})
  const seen = collect(meow.events({ category: from.category }))
  await seen.has(3)
  seen.subscription.unsubscribe()
  for await (const _ of meow.iterate({ category: from.category }, { live: false })) await later()
  const spans = tracing.spans().filter(({ name }) => !/^append|^request/.test(name))
  assert.equal(
    spans.map(({ name, kind, attributes }) => [name, kind, attributes['messaging.operation.type']]),
    [
      [`load ${from.category}`, SpanKind.CLIENT, 'receive'],
      [`read ${from.category}`, SpanKind.CLIENT, 'receive'],
      ['read', SpanKind.CLIENT, 'receive'],
    ],
  )
  assert.equal(
    spans.slice(0, 2).map(({ attributes }) => attributes['messaging.batch.message_count']),
    [2, 3],
  )
  assert.ok(spans[0]!.parent)
})

test('two processes: one trace, from the request through the handler of another to what it appends', async () => {
  const [from, to] = [uniqueName('order'), uniqueName('mail')]
  const child = spawn(
    process.execPath,
    [
      ...program(new URL('support/tracing-child.ts', import.meta.url).pathname),
      JSON.stringify({
        connectionString: databaseUrl(),
        schema: storeSchema,
        from,
        to,
        name: uniqueName('mailer'),
      }),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  assert.is((await lines.next()).value, 'ready')
  const { events } = await inSpan(() => meow.append({ category: from, streamId: 'a' }, event))
  const name = uniqueName('archive')
  const worker = meow.subscription(name, { category: to }).process(() => {}, { transactional: true })
  await worker.ready
  const sent = await until(async () => (await meow.load({ category: to, streamId: 'a' }))[0]!, {
    what: 'the effect of the other process',
    timeoutMs: 30_000,
  })
  await meow.waitFor(name, sent.position, { timeoutMs: 20_000 })
  await worker.stop()
  child.stdin.end()
  const theirs = JSON.parse((await lines.next()).value) as Seen[]
  if (child.exitCode === null) await once(child, 'exit')

  const of = (name: string, spans = tracing.spans()) => spans.find((span) => span.name === name)!
  const [request, append, archived] = [of('request'), of(`append ${from}`), of(`process ${to}`)]
  const [handled, mail, effect] = [
    of(`process ${from}`, theirs),
    of('mail', theirs),
    of(`append ${to}`, theirs),
  ]
  const chain = [request, append, handled, mail, effect, archived]
  chain.reduce((parent, span) => {
    assert.is(span.parent, parent.spanId, `${span.name} is a child of ${parent.name}`)
    assert.is(span.traceId, parent.traceId)
    return span
  })
  assert.equal(handled.links, [append.spanId])
  assert.equal(archived.links, [effect.spanId])
  assert.equal([handled.kind, effect.kind], [SpanKind.CONSUMER, SpanKind.PRODUCER])
  assert.equal(sent.metadata, {
    correlationId: events[0]!.id,
    causationId: events[0]!.id,
    traceparent: contextOf(effect),
  })
  assert.is(archived.attributes['messaging.message.conversation_id'], events[0]!.id)
})

test('a handler of any kind runs in its span, attempt by attempt, and its failures are seen', async () => {
  const ways: Record<
    string,
    (name: string, category: string, handler: (event: RecordedEvent) => any) => any
  > = {
    process: (name, category, handler) => meow.subscription(name, { category }).process(handler, quick),
    timed: (name, category, handler) =>
      meow.subscription(name, { category }).process(handler, { ...quick, timeoutMs: 20_000 }),
    transactional: (name, category, handler) =>
      meow.subscription(name, { category }).process(handler, { ...quick, transactional: true }),
  }
  const quick = { retry: { minDelayMs: 1, maxDelayMs: 1 } }
  for (const [way, start] of Object.entries(ways)) {
    const [from, to] = [stream(), stream()]
    const name = uniqueName(way)
    const { position } = await meow.append(from, event)
    let failures = 1
    const worker = start(name, from.category, async () => {
      await later()
      if (failures-- > 0) throw new RangeError('not yet')
      await meow.append(to, event)
    })
    await meow.waitFor(name, position, { timeoutMs: 20_000 })
    await worker.stop()
    const [cause, ...handled] = tracing.spans(from.category).filter((span) => !span.name.startsWith('load'))
    const last = handled.at(-1)!
    assert.equal(
      handled.map(({ attributes, status }) => [attributes['error.type'], status]),
      [
        ...handled.slice(1).map(() => ['RangeError', SpanStatusCode.ERROR]),
        [undefined, SpanStatusCode.UNSET],
      ],
      way,
    )
    for (const span of handled) {
      assert.equal([span.parent, span.links], [cause!.spanId, [cause!.spanId]])
      assert.is(span.attributes['messaging.consumer.group.name'], name)
    }
    assert.is(last.attributes['meowmx.attempt'], 2)
    const [effect] = tracing.spans(to.category)
    assert.is(effect!.parent, last.spanId)
    assert.equal(effect!.links, [])
    assert.is((await meow.load(to))[0]!.metadata.traceparent, contextOf(effect!))
  }
})

test('handle: a span for each event, whether fn returns a promise, an Observable or nothing', async () => {
  const fns: ((append: () => Promise<unknown>) => unknown)[] = [
    (append) => append(),
    (append) => defer(append),
    (append) => void append(),
  ]
  for (const fn of fns) {
    const [from, to] = [stream(), stream()]
    await meow.append(from, event)
    const deliveries = meow.subscription(uniqueName('sub'), { category: from.category }).deliveries()
    await lastValueFrom(
      deliveries.pipe(
        handle(() => fn(() => meow.append(to, event))),
        take(1),
      ),
    )
    assert.is(trace.getActiveSpan(), undefined)
    const effect = await until(() => tracing.spans(to.category)[0]!, { what: 'the effect' })
    const [cause, handled] = tracing.spans(from.category)
    assert.equal([handled!.name, handled!.kind], [`process ${from.category}`, SpanKind.CONSUMER])
    assert.equal([handled!.parent, effect.parent], [cause!.spanId, handled!.spanId])
  }
  const from = stream()
  await meow.append(from, event)
  const failing = meow.subscription(uniqueName('sub'), { category: from.category }).deliveries()
  await rejects(
    lastValueFrom(
      failing.pipe(
        handle(() => {
          throw Object.assign(new Error('no'), { code: 'ECONNREFUSED' })
        }),
      ),
    ),
    Error,
  )
  assert.is(tracing.spans(from.category).at(-1)!.attributes['error.type'], 'ECONNREFUSED')
})

test('deliveries that are acked by hand have no span: it is unknown when work on them begins and ends', async () => {
  const from = stream()
  await meow.append(from, event)
  const deliveries = collect(
    meow.subscription(uniqueName('sub'), { category: from.category }).deliveries(),
    (delivery) => void delivery.ack(),
  )
  await deliveries.has(1)
  deliveries.subscription.unsubscribe()
  assert.equal(
    tracing.spans(from.category).map(({ name }) => name),
    [`append ${from.category}`],
  )
})

test('a trace that is not sampled is handed on as such', async () => {
  await tracing.stop()
  tracing = startTracing({ sampler: new AlwaysOffSampler() })
  const { events } = await meow.append(stream(), event)
  assert.match(events[0]!.metadata.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  assert.equal(tracing.spans(), [])
})

test('without a context manager events alone carry the context, and what is caused links to its cause', async () => {
  context.disable()
  const [from, to] = [stream(), stream()]
  const { position } = await meow.append(from, event)
  const name = uniqueName('sub')
  const worker = meow.subscription(name, { category: from.category }).process(() => meow.append(to, event))
  await meow.waitFor(name, position, { timeoutMs: 20_000 })
  await worker.stop()
  assert.equal(tracing.spans(to.category)[0]!.links, [tracing.spans(from.category)[0]!.spanId])
})

test('an SDK that throws fails nothing; telemetry: false tells nothing', async () => {
  await tracing.stop()
  const bad = () => {
    throw new Error('a bad processor')
  }
  tracing = startTracing({
    processors: [{ onStart: bad, onEnd: bad, forceFlush: async () => {}, shutdown: async () => {} }],
  })
  const from = stream()
  const { position } = await meow.append(from, event)
  assert.is((await meow.load(from)).length, 1)
  const name = uniqueName('sub')
  let handled = 0
  const worker = meow.subscription(name, { category: from.category }).process(() => handled++)
  await meow.waitFor(name, position, { timeoutMs: 20_000 })
  await worker.stop()
  assert.is(handled, 1)

  await tracing.stop()
  tracing = startTracing()
  const silent = await openStore({ telemetry: false })
  const { events } = await silent.append(stream(), event)
  assert.equal(events[0]!.metadata, {})
  assert.equal(tracing.spans(), [])
})

test.run()
