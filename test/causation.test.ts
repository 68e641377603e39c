// Events that a handler appends name the event that caused them, and the first event of the whole chain.

import { setImmediate as later } from 'node:timers/promises'
import { lastValueFrom, take } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Meow, RecordedEvent } from '../src/index.ts'
import { causedBy, handle, withMetadata } from '../src/index.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore()
})
test.after(closeAll)

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const stream = (prefix: string) => ({ category: uniqueName(prefix), streamId: 'a' })
const event = { type: 'T', data: 1 }

/** An event, and what a handler of each kind appends because of it. */
async function handled(
  metadata: object,
  handler: (from: RecordedEvent, to: { category: string; streamId: string }) => Promise<unknown>,
) {
  const from = stream('cause')
  const { events } = await meow.append(from, { ...event, metadata })
  const effects: RecordedEvent[] = []
  for (const transactional of [false, true, undefined]) {
    const to = stream('effect')
    const name = uniqueName('sub')
    const subscription = meow.subscription(name, { category: from.category })
    if (transactional === undefined) {
      await lastValueFrom(
        subscription.deliveries().pipe(
          handle((one) => handler(one, to)),
          take(1),
        ),
      )
    } else {
      const worker = subscription.process((one) => handler(one, to), { transactional })
      await worker.ready
      await meow.waitFor(name, events[0]!.position)
      await worker.stop()
    }
    effects.push(...(await meow.load(to)))
  }
  return { cause: events[0]!, effects }
}

test('events of a handler name its event as their cause, and have the same correlation id', async () => {
  for (const metadata of [{}, { correlationId: 'request 7', traceparent, by: 'me' }, { correlationId: 7 }]) {
    const { cause, effects } = await handled(metadata, async (_, to) => {
      await later()
      await meow.append(to, [event, { ...event, metadata: { by: 'handler' } }])
      await meow.appendAll([{ stream: to, events: event }])
    })
    const own = metadata as { correlationId?: unknown; traceparent?: string }
    const expected = {
      correlationId: typeof own.correlationId === 'string' ? own.correlationId : cause.id,
      causationId: cause.id,
      ...(own.traceparent ? { traceparent } : {}),
    }
    assert.is(effects.length, 9)
    for (const effect of effects)
      assert.equal(effect.metadata, effect.version === 1 ? { ...expected, by: 'handler' } : expected)
    assert.equal(causedBy(cause), expected)
  }
})

test('metadata can set other ids, or none', async () => {
  const { cause, effects } = await handled({ traceparent }, (_, to) =>
    meow.append(to, {
      ...event,
      metadata: { causationId: 'mine', traceparent: undefined },
    }),
  )
  assert.is(effects.length, 3)
  for (const { metadata } of effects) assert.equal(metadata, { correlationId: cause.id, causationId: 'mine' })
})

test('concurrent handlers do not mix, and a chain keeps the correlation id of its first event', async () => {
  const [first, second, third] = [stream('first'), stream('second'), stream('third')]
  const name = [uniqueName('a'), uniqueName('b')]
  const on = (from: typeof first, to: typeof first, name: string) =>
    meow.subscription(name, { category: from.category }).process(
      async (one) => {
        await later()
        await meow.append({ ...to, streamId: one.streamId }, { type: 'T', data: one.id })
      },
      { concurrency: 8 },
    )
  const workers = [on(first, second, name[0]!), on(second, third, name[1]!)]
  const causes = await Promise.all(
    Array.from({ length: 40 }, (_, i) => meow.append({ ...first, streamId: `${i}` }, event)),
  )
  await meow.waitFor(name[0]!, Math.max(...causes.map(({ position }) => position)))
  const effects = (await meow.read({ category: second.category })).events
  await meow.waitFor(name[1]!, effects.at(-1)!.position)
  const last = (await meow.read({ category: third.category })).events
  assert.equal([effects.length, last.length], [40, 40])
  for (const { metadata, data } of [...effects, ...last]) assert.is(metadata.causationId, data)
  const begun = new Map(causes.map(({ events: [one] }) => [one!.streamId, one!.id]))
  for (const { metadata, streamId } of [...effects, ...last])
    assert.is(metadata.correlationId, begun.get(streamId))
  for (const worker of workers) await worker.stop()
})

test('withMetadata takes an object', () => {
  for (const metadata of [null, 'id', ['id']])
    assert.throws(() => withMetadata(metadata as never, () => {}), /^metadata must be an object/)
})

test('withMetadata: of a request, say; the inner one first, the event itself before both', async () => {
  const to = stream('request')
  await withMetadata({ correlationId: 'outer', tenant: 't' }, async () => {
    await later()
    await meow.append(to, event)
    await withMetadata({ correlationId: 'inner' }, () => meow.append(to, event))
    await meow.append(to, { ...event, metadata: { tenant: 'u' } })
  })
  await meow.append(to, event)
  assert.equal(
    (await meow.load(to)).map(({ metadata }) => metadata),
    [
      { correlationId: 'outer', tenant: 't' },
      { correlationId: 'inner', tenant: 't' },
      { correlationId: 'outer', tenant: 'u' },
      {},
    ],
  )
})

test.run()
