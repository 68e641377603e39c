// Values in data or metadata that JSON would lose are refused, with the path, whatever realm created them; all others are
// stored.
import { createContext, runInContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { defineCategory, ValidationError, withMetadata } from '../src/index.ts'
import { memoryStore } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'

const store = memoryStore()
const stream = { category: 'values', streamId: 'a' }
const append = (data: unknown) => store.append(stream, { type: 'T', data })
const context = createContext({})
const elsewhere = (code: string): any => runInContext(`(${code})`, context)

class Secretive {
  readonly #amount = 1
  read() {
    return this.#amount
  }
}
class Basket extends Map {
  owner = 'ann'
}
class Failed extends Error {
  reason = 'late'
}
function argumentsOf(..._: unknown[]) {
  // biome-ignore lint/complexity/noArguments: that is what may be given
  return arguments
}
const readable = new ReadableStream()
const made: [name: string, value: unknown][] = [
  ['DataView', new DataView(new ArrayBuffer(1))],
  ['ArrayBuffer', new ArrayBuffer(1)],
  ['SharedArrayBuffer', new SharedArrayBuffer(1)],
  ['Uint8Array', new Uint8Array([1])],
  ['BigInt64Array', new BigInt64Array(1)],
  ['Float64Array without elements', new Float64Array()],
  ['Blob', new Blob(['a'])],
  ['URLSearchParams', new URLSearchParams('a=1')],
  ['Headers', new Headers({ a: '1' })],
  ['FormData', new FormData()],
  ['Request', new Request('http://localhost')],
  ['AbortController', new AbortController()],
  ['ReadableStream', readable],
  ['TextEncoder', new TextEncoder()],
  ['iterator of an array', [1].values()],
  ['iterator of a map', new Map().entries()],
  ['generator', (function* () {})()],
  ['async generator', (async function* () {})()],
  ['WeakRef', new WeakRef({})],
  ['WeakMap', new WeakMap()],
  ['WeakSet', new WeakSet()],
  ['Map', new Map([[1, 2]])],
  ['Set', new Set([1])],
  ['RegExp', /x/],
  ['Promise', Promise.resolve()],
  ['toJSON that returns a Map', { toJSON: () => new Map([[1, 2]]) }],
  ['Error', new Error('e')],
  ['error with a field', new Failed('e')],
  ['Map with a field', new Basket()],
  ['private fields', new Secretive()],
  ['inherited fields', Object.create({ amount: 1 })],
  ['symbol as a key', { a: 1, [Symbol('s')]: 2 }],
  ['arguments', argumentsOf(1, 2)],
  ['Math', Math],
  ['Intl', new Intl.NumberFormat('de')],
  ['boxed bigint', Object(1n)],
  ['boxed symbol', Object(Symbol('s'))],
  ...[
    'new Map([[1, 2]])',
    'new Set([1])',
    '/x/',
    'new Error("e")',
    'Promise.resolve()',
    'new Uint8Array([1])',
    'new DataView(new ArrayBuffer(1))',
    'new SharedArrayBuffer(1)',
    'new WeakRef({})',
    '[1].values()',
    'new (class { #a = 1 })()',
    'new Date(NaN)',
  ].map((code): [string, unknown] => [`of another realm: ${code}`, elsewhere(code)]),
]

for (const [name, value] of made)
  test(`refused: ${name}`, async () => {
    for (const [data, path] of [
      [value, 'events.data'],
      [{ a: [0, { b: value }] }, 'events.data.a[1].b'],
      [{ toJSON: () => ({ b: value }) }, 'events.data.b'],
    ] as const) {
      const error = await rejects(append(data), ValidationError)
      assert.is(error.path, path)
    }
    const metadata = value as object
    const event = { type: 'T', data: 1, metadata }
    for (const append of [
      () => store.append(stream, event),
      () => store.append(stream, { ...event, metadata: { m: value } }),
      async () => withMetadata({ tenant: 'a' }, () => store.append(stream, event)),
    ])
      assert.match((await rejects(append(), ValidationError)).path, /^events\.metadata(\.m)?$/)
    // Metadata is copied where something is added to it: nothing is lost on the way.
    await rejects((async () => [withMetadata(metadata, () => {})])(), ValidationError)
    const Order = defineCategory('order', { T: { schema: z.number(), version: 2, upcast: { 1: (n) => n } } })
    await rejects((async () => store.append(Order.stream('a'), Order.T(1, { metadata })))(), ValidationError)
  })

class Placed {
  price = 9
  readonly #note = 'kept by nobody'
  get note() {
    return this.#note
  }
}
class Money {
  amount = 9
  get [Symbol.toStringTag]() {
    return 'Money'
  }
}
const kept: [name: string, value: unknown, json: unknown][] = [
  ['public fields', new Placed(), { price: 9 }],
  ['a class with a tag', new Money(), { amount: 9 }],
  ['a class of another realm', elsewhere('new (class { a = 1 })()'), { a: 1 }],
  [
    'a plain object of another realm',
    elsewhere('{ a: [1, { b: new Date(0) }] }'),
    { a: [1, { b: new Date(0).toJSON() }] },
  ],
  ['an empty object of another realm', elsewhere('{}'), {}],
  ['no prototype', Object.create(null), {}],
  ['an empty object', {}, {}],
  ['a kind of array', new (class extends Array {})(), []],
  ['a URL', new URL('http://a/'), 'http://a/'],
  ['a Buffer, which says itself what it is', Buffer.from('a'), { type: 'Buffer', data: [97] }],
  ['boxes', [Object(1), Object('a'), Object(true)], [1, 'a', true]],
  ['boxes of another realm', elsewhere('[Object(1), Object("a"), Object(true)]'), [1, 'a', true]],
  ['a proxy', new Proxy({ a: 1 }, {}), { a: 1 }],
]
for (const [name, value, json] of kept)
  test(`stored: ${name}`, async () => {
    const { version } = await append({ value })
    const [event] = await store.load(stream, { fromVersion: version })
    assert.is(JSON.stringify(event!.data), JSON.stringify({ value: json }))
  })

test('what throws when it is read is refused with its path and its reason', async () => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const fail = (): never => {
    throw new Error('not today')
  }
  const throwing: [value: unknown, path: string, reason: RegExp][] = [
    [
      {
        get b() {
          return fail()
        },
      },
      'events.data.a[1].b',
      /not today/,
    ],
    [{ toJSON: fail }, 'events.data.a[1]', /not today/],
    [
      {
        get toJSON() {
          return fail()
        },
      },
      'events.data.a[1]',
      /not today/,
    ],
    [new Proxy({ b: 1 }, { get: fail }), 'events.data.a[1]', /not today/],
    [new Proxy({ b: 1 }, { ownKeys: fail }), 'events.data.a[1]', /not today/],
    [new Proxy({ b: 1 }, { getPrototypeOf: fail }), 'events.data.a[1]', /not today/],
    [
      new Proxy([1], { get: (target, key) => (key === '0' ? fail() : Reflect.get(target, key)) }),
      'events.data.a[1][0]',
      /not today/,
    ],
    [revoked.proxy, 'events.data.a[1]', /revoked/],
    [
      {
        get b() {
          throw undefined
        },
      },
      'events.data.a[1].b',
      /undefined/,
    ],
    [
      {
        get b() {
          throw revoked.proxy
        },
      },
      'events.data.a[1].b',
      /can not be described/,
    ],
  ]
  for (const [value, path, reason] of throwing) {
    const error = await rejects(append({ a: [0, value] }), ValidationError)
    assert.is(error.path, path)
    assert.match(error.message, reason)
  }
  let reads = 0
  const once = {
    get b() {
      return ++reads > 1 ? fail() : 1
    },
  }
  assert.match(
    (await rejects(append(once), ValidationError)).message,
    /^events\.data can not be read \(not today\)/,
  )
})

test('a getter in metadata that throws is refused with its path, beside metadata that is around, too', async () => {
  const bad = Object.defineProperty({}, 'tenant', {
    enumerable: true,
    get: () => {
      throw new Error('no tenant')
    },
  })
  const append = () => store.append(stream, { type: 'T', data: 1, metadata: bad })
  for (const run of [append, () => withMetadata({ correlationId: 'c' }, append)])
    assert.is((await rejects(run(), ValidationError)).path, 'events.metadata.tenant')
  const around = await rejects((async () => withMetadata(bad, append))(), ValidationError)
  assert.is(around.path, 'metadata.tenant')
})

test.run()
