// Any thrown value is described: whatever it is, its event is parked, or its worker stops, and the log says so.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { describe, messageOf, readable } from '../src/core/describe.ts'
import { show } from '../src/core/errors.ts'
import { isError } from '../src/core/kinds.ts'
import { redact } from '../src/core/secrets.ts'
import { UpcastError } from '../src/events/errors.ts'
import { defineCategory, MeowError } from '../src/index.ts'
import { errorType } from '../src/telemetry/names.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

test.after(closeAll)

const fail = (): never => {
  throw new Error('never to be read')
}
const revoked = (target: object): any => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
const withGetter = (property: string, get: () => unknown = fail) => {
  const error = new Error('the reason')
  assert.type(error.stack, 'string') // it is made when it is read first
  return Object.defineProperty(error, property, { get, configurable: true })
}

/** What is thrown, and what of it is to be found in what is kept. */
const hostile: [name: string, thrown: unknown, kept: RegExp][] = [
  ['message', withGetter('message'), /the reason/],
  ['stack', withGetter('stack'), /the reason/],
  ['name', withGetter('name'), /the reason/],
  ['cause', withGetter('cause'), /the reason/],
  ['code', withGetter('code'), /the reason/],
  ['errors', withGetter('errors'), /the reason/],
  ['then', withGetter('then'), /the reason/],
  ['message and stack', Object.defineProperty(withGetter('message'), 'stack', { get: fail }), /Error/],
  ['a symbol as message', withGetter('message', () => Symbol('s')), /the reason/],
  ['a message that is no text', withGetter('message', () => Object.create(null)), /the reason/],
  ['a stack that is no text', withGetter('stack', () => [1]), /the reason/],
  ['a cause whose message throws', new Error('the reason', { cause: withGetter('message') }), /the reason/],
  ['a cause that is revoked', new Error('the reason', { cause: revoked({}) }), /the reason/],
  [
    'a cause that is itself',
    (() => {
      const e = new Error('the reason')
      e.cause = e
      return e
    })(),
    /the reason/,
  ],
  ['a revoked proxy', revoked({}), /can not be described/],
  ['a revoked proxy of an error', revoked(new Error('x')), /can not be described/],
  ['a revoked function', revoked(fail), /can not be described/],
  [
    'a proxy whose traps throw',
    new Proxy(new Error('x'), { get: fail, getPrototypeOf: fail, ownKeys: fail, has: fail }),
    /./,
  ],
  ['undefined', undefined, /^$/],
  ['null', null, /null/],
  ['a symbol', Symbol('s'), /Symbol\(s\)/],
  ['a function', fail, /function fail/],
  ['a bigint', 1n, /1/],
  ['nothing to print', Object.create(null), /\{\}/],
  ['toString that throws', { toString: fail, toJSON: fail }, /can not be described/],
  ['a huge text', 'x'.repeat(1_000_000), /^x{100000}…?$/],
  ['a huge message', new Error('x'.repeat(1_000_000)), /x{90000}/],
  ['characters that no database holds', new Error('a\u0000b\ud800c'), /a\ufffdb\ufffdc/],
]

for (const transactional of [false, true])
  test(`a handler that throws ${hostile.length} such things, ${transactional ? 'transactional' : 'plain'}: each is parked with what can be said of it, and the worker stops`, async () => {
    const logged: unknown[][] = []
    const log = (...args: unknown[]) => void logged.push(args)
    const meow = await openStore({ logger: { debug: log, info: log, warn: log, error: log } })
    const [name, category] = [uniqueName('hostile'), uniqueName('hostile')]
    for (const i of hostile.keys()) await meow.append({ category, streamId: `s${i}` }, { type: 'T', data: i })
    await meow.append({ category, streamId: 'good' }, { type: 'T', data: -1 })
    const handled: number[] = []
    const worker = meow.subscription(name, { category }).process(
      async ({ data }) => {
        if (data >= 0) throw hostile[data]![1]
        handled.push(data)
      },
      { transactional, retry: { maxAttempts: 2, minDelayMs: 0, maxDelayMs: 0 }, outage: false },
    )
    const last = () => logged.filter(([, message]) => /for the last time/.test(String(message)))
    await until(() => handled.length === 1 && last().length === hostile.length, {
      timeoutMs: 60_000,
      what: 'the last attempt of each',
    })
    await worker.stop()
    for (const { event, error } of await meow.parked(name))
      assert.match(error ?? '', hostile[event.data]![2], hostile[event.data]![0])
    for (const [fields] of last()) assert.type((fields as { position: unknown }).position, 'number')
    await meow.close()
  })

test('deliveries that are nacked and parked with them', async () => {
  const meow = await openStore()
  const [name, category] = [uniqueName('hostile'), uniqueName('hostile')]
  for (const i of hostile.keys()) await meow.append({ category, streamId: `s${i}` }, { type: 'T', data: i })
  const subscription = meow
    .subscription(name, { category })
    .deliveries()
    .subscribe((delivery) => {
      const error = hostile[delivery.event.data]![1]
      if (delivery.attempt === 1) delivery.nack({ error })
      else delivery.park(error)
    })
  await until(async () => (await meow.parked(name)).length === hostile.length, {
    timeoutMs: 60_000,
    what: 'all that are parked',
  })
  subscription.unsubscribe()
  await meow.close()
})

test('an inline projection that throws them: the append rejects, and the store goes on', async () => {
  const meow = await openStore()
  const stream = { category: uniqueName('hostile'), streamId: 'a' }
  let thrown: { error: unknown } | undefined
  meow.project(stream.category, () => {
    if (thrown) throw thrown.error
  })
  for (const [name, error] of hostile) {
    thrown = { error }
    let rejected = false
    await meow.append(stream, { type: 'T', data: 1 }).catch(() => {
      rejected = true
    })
    assert.ok(rejected, name)
  }
  thrown = undefined
  assert.is((await meow.append(stream, { type: 'T', data: 1 })).version, 0)
  await meow.close()
})

test('all that describes an error, a cause or a value takes each of them', () => {
  for (const [name, thrown] of hostile) {
    assert.type(messageOf(thrown), 'string', name)
    assert.type(describe(thrown), 'string', name)
    assert.type(show(thrown), 'string', name)
    assert.type(isError(thrown), 'boolean', name)
    assert.type(errorType(readable(thrown)), 'string', name)
    assert.is((redact({ err: thrown, beside: 1 }) as any).beside, 1, name)
    new MeowError('ERR_TEST', 'a test', thrown)
    const event = { category: 'c', streamId: 's', version: 0, type: 'T' }
    assert.match(new UpcastError(event, 1, thrown).message, /can not be read/)
  }
  const plain = new TypeError('plain')
  assert.is(readable(plain), plain)
  assert.is(redact(plain), plain)
})

test('an upcaster or a schema that throws them: an error of the library that says where', async () => {
  const meow = await openStore()
  let thrown: unknown
  const category = uniqueName('hostile')
  const Old = defineCategory(category, { T: z.number() })
  const upcast = {
    1: () => {
      throw thrown
    },
  }
  const schema = z.number().refine(() => {
    if (thrown) throw thrown
    return true
  })
  const New = defineCategory(category, { T: { schema, version: 2, upcast } })
  await meow.append(Old.stream('a'), Old.T(1))
  for (const [name, error] of hostile) {
    thrown = error
    const read = await meow.load(New.stream('a')).catch((error) => error)
    assert.is(read.code, 'ERR_UPCAST', name)
    if (!error) continue
    const appended = await meow.append(New.stream('b'), New.T(1)).catch((error) => error)
    assert.is(appended.code, 'ERR_VALIDATION', name)
    assert.is(appended.path, 'events.data')
  }
  await meow.close()
})

test.run()
