// Invalid input is refused before anything is sent, with a ValidationError that names path and value.
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'

const pool = new pg.Pool({ connectionString: databaseUrl() })
const meow: any = await openStore({ pool, listen: false })
const client = await pgClient()
let sent = 0
pool.on('acquire', () => sent++)
test.after(async () => {
  await closeAll()
  await pool.end()
})

const stream = { category: uniqueName('bad'), streamId: 'a' }
const event = { type: 'T', data: 1 }
const id = '0123cdef-0123-4567-89ab-0123456789ab'
const cycle: any = { a: [{}] }
cycle.a[0].b = cycle
const deep = (levels: number) => {
  let value: unknown = 0
  for (let i = 0; i < levels; i++) value = [value]
  return value
}
class Price {
  get toJSON() {
    return () => Number.NaN
  }
}

type Case = [call: (value: any) => unknown, path: string, values: [value: unknown, shown: string][]]

const text: [unknown, string][] = [
  [undefined, 'undefined'],
  [null, 'null'],
  ['', '""'],
  [7, '7'],
  [{}, '{}'],
  [['a'], '["a"]'],
  ['a\u0000b', '"a\\u0000b"'],
  ['a\ud800b', '"a\\ud800b"'],
  ['x'.repeat(256), `"${'x'.repeat(80)}…"`],
  ['🐈'.repeat(256), '🐈'.repeat(20)],
]
const optionalText = text.slice(1)
const optionObjects: [unknown, string][] = [
  [null, 'null'],
  [7, '7'],
  ['text', '"text"'],
]
const integer = (least: number, most: number): [unknown, string][] => [
  [null, 'null'],
  [least - 1, String(least - 1)],
  [most + 1, String(most + 1)],
  [least + 0.5, String(least + 0.5)],
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
  ['5', '"5"'],
  [5n, '5n'],
]
const truth: [unknown, string][] = [
  [null, 'null'],
  [0, '0'],
  ['true', '"true"'],
]
const method: [unknown, string][] = [
  [undefined, 'undefined'],
  [null, 'null'],
  ['f', '"f"'],
]
const clients: [unknown, string][] = [
  [null, 'null'],
  [{}, '{}'],
  ['client', '"client"'],
  [{ query: 1 }, '{"query":1}'],
  [pool, ''],
  [{ query: {} }, '{"query":{}}'], // such as a transaction of Drizzle
  [{ query() {}, manager: {} }, ''], // such as a data source of TypeORM
]
// Values that JSON or PostgreSQL can not hold, at any place in the data.
const json: [unknown, string][] = [
  [() => 1, 'function'],
  [Symbol('s'), 'Symbol(s)'],
  [10n, '10n'],
  [Object(10n), ''],
  [Object(Symbol('s')), ''],
  [Number.NaN, 'NaN'],
  [Number.NEGATIVE_INFINITY, '-Infinity'],
  ['\ud83d', '"\\ud83d"'],
  ['a\u0000', '"a\\u0000"'],
  [new Map([[1, 2]]), ''],
  [new Set([1]), ''],
  [/x/, ''],
  [new Error('e'), ''],
  [Promise.resolve(1), ''],
  [new ArrayBuffer(4), ''],
  [new Date(Number.NaN), ''],
]
const ids: [unknown, string][] = [
  [null, 'null'],
  ['', '""'],
  ['x', '"x"'],
  [7, '7'],
  [id.slice(1), id.slice(1)],
  [`${id}0`, `${id}0`],
  [id.replaceAll('-', ''), id.replaceAll('-', '')],
  [`{${id}}`, `{${id}}`],
]
const versions: [unknown, string][] = [
  [null, 'null'],
  ['some', '"some"'],
  ['0', '"0"'],
  [-2, '-2'],
  [0.5, '0.5'],
  [Number.NaN, 'NaN'],
  [2 ** 31, String(2 ** 31)],
  [1n, '1n'],
  [{}, '{}'],
]

const cases: Case[] = [
  // append
  [(v) => meow.append(v, event), 'stream', [...optionObjects, [undefined, 'undefined']]],
  [(v) => meow.append({ ...stream, category: v }, event), 'stream.category', text],
  [(v) => meow.append({ ...stream, streamId: v }, event), 'stream.streamId', text],
  [(v) => meow.append(stream, v), 'events', [...optionObjects, [undefined, 'undefined']]],
  [(v) => meow.append(stream, [event, v]), 'events[1]', [...optionObjects, [undefined, 'undefined']]],
  [(v) => meow.append(stream, { ...event, type: v }), 'events.type', text],
  [(v) => meow.append(stream, [event, { ...event, type: v }]), 'events[1].type', text],
  [(v) => meow.append(stream, { ...event, id: v }), 'events.id', ids],
  [(v) => meow.append(stream, { ...event, data: v }), 'events.data', [...json, [undefined, 'undefined']]],
  [(v) => meow.append(stream, [event, { ...event, data: v }]), 'events[1].data', json],
  [(v) => meow.append(stream, { ...event, data: { a: [0, { b: v }] } }), 'events.data.a[1].b', json],
  [(v) => meow.append(stream, { ...event, data: [1, v] }), 'events.data[1]', [[undefined, 'undefined']]],
  [(v) => meow.append(stream, { ...event, data: v }), 'events.data.a[0].b', [[cycle, '']]],
  [(v) => meow.append(stream, { ...event, data: { p: v } }), 'events.data.p', [[new Price(), '']]],
  [
    (v) => meow.append(stream, { ...event, data: { [v]: 1 } }),
    'events.data.a\u0000',
    [['a\u0000', 'a\\u0000']],
  ],
  [(v) => meow.append(stream, { ...event, data: { [v]: 1 } }), 'events.data.\udc00', [['\udc00', '\\udc00']]],
  [
    (v) => meow.append(stream, { ...event, metadata: v }),
    'events.metadata',
    [...optionObjects, [[], '[]'], [() => 1, 'function'], [new Map(), '']],
  ],
  [(v) => meow.append(stream, { ...event, metadata: { m: v } }), 'events.metadata.m', json],
  [(v) => meow.append(stream, event, v), 'options', optionObjects],
  [(v) => meow.append(stream, event, { expectedVersion: v }), 'options.expectedVersion', versions],
  [(v) => meow.append(stream, event, { client: v }), 'options.client', clients],
  [(v) => meow.append(stream, event, { expectVersion: v }), 'options.expectVersion', [[3, '3']]],
  [
    (v) => meow.append(stream, [{ ...event, id }, event, { ...event, id: v }]),
    'events[2].id',
    [
      [id, id],
      [id.toUpperCase(), id],
    ],
  ],
  // appendAll
  [(v) => meow.appendAll(v), 'writes', [...optionObjects, [{}, '{}'], [undefined, 'undefined']]],
  [
    (v) => meow.appendAll([{ stream, events: event }, v]),
    'writes[1]',
    [...optionObjects, [undefined, 'undefined']],
  ],
  [(v) => meow.appendAll([{ stream: v, events: event }]), 'writes[0].stream', optionObjects],
  [
    (v) => meow.appendAll([{ stream: { ...stream, category: v }, events: event }]),
    'writes[0].stream.category',
    text,
  ],
  [
    (v) => meow.appendAll([{ stream, events: v }]),
    'writes[0].events',
    [...optionObjects, [undefined, 'undefined']],
  ],
  [(v) => meow.appendAll([{ stream, events: { ...event, data: v } }]), 'writes[0].events.data', json],
  [(v) => meow.appendAll([{ stream, events: [{ ...event, data: v }] }]), 'writes[0].events[0].data', json],
  [
    (v) => meow.appendAll([{ stream, events: event, expectedVersion: v }]),
    'writes[0].expectedVersion',
    versions,
  ],
  [(v) => meow.appendAll([{ stream, events: event, expected: v }]), 'writes[0].expected', [[3, '3']]],
  [(v) => meow.appendAll([{ stream, events: event }], v), 'options', optionObjects],
  [(v) => meow.appendAll([{ stream, events: event }], { client: v }), 'options.client', clients],
  [
    (v) => meow.appendAll([{ stream, events: event }], { expectedVersion: v }),
    'options.expectedVersion',
    [[3, '3']],
  ],
  // load
  [(v) => meow.load(v), 'stream', [...optionObjects, [undefined, 'undefined']]],
  [(v) => meow.load({ ...stream, category: v }), 'stream.category', text],
  [(v) => meow.load({ ...stream, streamId: v }), 'stream.streamId', text],
  [(v) => meow.load(stream, v), 'options', optionObjects],
  [(v) => meow.load(stream, { fromVersion: v }), 'options.fromVersion', integer(0, 2_147_483_647)],
  [(v) => meow.load(stream, { toVersion: v }), 'options.toVersion', integer(0, 2_147_483_647)],
  [(v) => meow.load(stream, { limit: v }), 'options.limit', integer(1, Number.MAX_SAFE_INTEGER)],
  [
    (v) => meow.load(stream, { direction: v }),
    'options.direction',
    [
      ['up', '"up"'],
      [1, '1'],
    ],
  ],
  [(v) => meow.load(stream, { client: v }), 'options.client', clients],
  [(v) => meow.load(stream, { from: v }), 'options.from', [[3, '3']]],
  // read; events, iterate and subscription take the same selector
  [(v) => meow.read({}, v), 'options', optionObjects],
  [(v) => meow.read({}, { after: v }), 'options.after', integer(0, Number.MAX_SAFE_INTEGER)],
  [(v) => meow.read({}, { until: v }), 'options.until', integer(0, Number.MAX_SAFE_INTEGER)],
  [(v) => meow.read({}, { limit: v }), 'options.limit', integer(1, 100_000)],
  [(v) => meow.read({}, { direction: v }), 'options.direction', [['up', '"up"']]],
  [(v) => meow.read({}, { client: v }), 'options.client', clients],
  [(v) => meow.read({}, { from: v }), 'options.from', [[3, '3']]],
  ...[
    (selector: any) => meow.read(selector),
    (selector: any) => meow.events(selector),
    (selector: any) => meow.iterate(selector),
  ].flatMap((call): Case[] => [
    [call, 'selector', [...optionObjects, [undefined, 'undefined']]],
    [
      (v) => call({ category: v }),
      'selector.category',
      [
        [null, 'null'],
        ['', '""'],
        [7, '7'],
        [[], '[]'],
      ],
    ],
    [(v) => call({ category: ['a', v] }), 'selector.category[1]', text],
    [
      (v) => call({ types: v }),
      'selector.types',
      [
        [null, 'null'],
        ['T', '"T"'],
        [[], '[]'],
      ],
    ],
    [(v) => call({ types: ['T', v] }), 'selector.types[1]', text],
    [(v) => call({ category: 'a', streamId: v }), 'selector.streamId', optionalText],
    [(v) => call({ streamId: v }), 'selector.streamId', [['s', '"s"']]],
    [(v) => call({ category: ['a', 'b'], streamId: v }), 'selector.streamId', [['s', '"s"']]],
    [(v) => call({ categories: v }), 'selector.categories', [[['a'], '["a"]']]],
  ]),
  // events, iterate
  ...[(options: any) => meow.events({}, options), (options: any) => meow.iterate({}, options)].flatMap(
    (call): Case[] => [
      [call, 'options', optionObjects],
      [
        (v) => call({ from: v }),
        'options.from',
        [
          [null, 'null'],
          ['begin', '"begin"'],
          [7, '7'],
          [{}, '{}'],
          [{ after: '1' }, '{"after":"1"}'],
        ],
      ],
      [
        (v) => call({ from: { after: v } }),
        'options.from.after',
        [
          [-1, '-1'],
          [2 ** 60, String(2 ** 60)],
        ],
      ],
      [(v) => call({ live: v }), 'options.live', truth],
      [
        (v) => call({ signal: v }),
        'options.signal',
        [
          [null, 'null'],
          [{}, '{}'],
        ],
      ],
      [(v) => call({ after: v }), 'options.after', [[3, '3']]],
    ],
  ),
  // subscription, process
  [(v) => meow.subscription(v, {}), 'name', text],
  [(v) => meow.subscription('s', v), 'options', [...optionObjects, [undefined, 'undefined']]],
  [
    (v) => meow.subscription('s', { category: v }),
    'options.category',
    [
      [null, 'null'],
      ['', '""'],
      [[], '[]'],
    ],
  ],
  [
    (v) => meow.subscription('s', { types: v }),
    'options.types',
    [
      [null, 'null'],
      ['T', '"T"'],
      [[], '[]'],
    ],
  ],
  [(v) => meow.subscription('s', { streamId: v }), 'options.streamId', [['s', '"s"']]],
  [
    (v) => meow.subscription('s', { from: v }),
    'options.from',
    [
      [null, 'null'],
      ['begin', '"begin"'],
      [{}, '{}'],
    ],
  ],
  [(v) => meow.subscription('s', { maxInFlight: v }), 'options.maxInFlight', integer(1, 100_000)],
  [(v) => meow.subscription('s', { leaseMs: v }), 'options.leaseMs', integer(100, 2_147_483_647)],
  [(v) => meow.subscription('s', { lease: v }), 'options.lease', [[3, '3']]],
  [(v) => meow.subscription('s', {}).process(v), 'handler', method],
  [(v) => meow.subscription('s', {}).process(() => {}, v), 'options', optionObjects],
  [(v) => meow.subscription('s', {}).process(() => {}, { retires: v }), 'options.retires', [[3, '3']]],
  // connect
  [(v) => connect(v), 'options', optionObjects],
  [
    (v) => connect({ connectionString: v }),
    'options.connectionString',
    [
      [null, 'null'],
      ['', '""'],
      [7, '7'],
    ],
  ],
  [(v) => connect({ connectionString: v }), 'options.connectionString', [['postgres://[', 'postgres://[']]],
  [
    (v) => connect({ listenConnectionString: v }),
    'options.listenConnectionString',
    [
      ['', '""'],
      [7, '7'],
    ],
  ],
  [
    (v) => connect({ pool: v }),
    'options.pool',
    [
      [null, 'null'],
      [{}, '{}'],
    ],
  ],
  [
    (v) => connect({ schema: v }),
    'options.schema',
    [
      [null, 'null'],
      ['', '""'],
      [7, '7'],
      ['a\u0000', '"a\\u0000"'],
      ['\ud800', '"\\ud800"'],
      ['x'.repeat(64), 'xxx'],
      ['é'.repeat(32), 'ééé'],
      ['pg_mine', '"pg_mine"'],
    ],
  ],
  [(v) => connect({ maxConnections: v }), 'options.maxConnections', integer(1, 10_000)],
  [(v) => connect({ listen: v }), 'options.listen', truth],
  [(v) => connect({ prepare: v }), 'options.prepare', truth],
  [(v) => connect({ pollIntervalMs: v }), 'options.pollIntervalMs', integer(10, 2_147_483_647)],
  [(v) => connect({ queryTimeoutMs: v }), 'options.queryTimeoutMs', integer(100, 2_147_483_647)],
  [(v) => connect({ listenerTimeoutMs: v }), 'options.listenerTimeoutMs', integer(500, 2_147_483_647)],
  [(v) => connect({ keepAliveMs: v }), 'options.keepAliveMs', integer(1_000, 2_147_483_647)],
  [(v) => connect({ reconnectDelayMs: v }), 'options.reconnectDelayMs', integer(50, 2_147_483_647)],
  [
    (v) => connect({ logger: v }),
    'options.logger',
    [
      [null, 'null'],
      [{}, '{}'],
      [{ debug() {} }, '{}'],
    ],
  ],
  [(v) => (connect as any)({ conectionString: v }), 'options.conectionString', [['x', '"x"']]],
]

cases.forEach(([call, path, values], i) => {
  const where = String(call).replace(/\s+/g, ' ').slice(0, 90)
  test(`${i}: ${where}`, async () => {
    const before = sent
    for (const [value, shown] of values) {
      const error = await rejects(
        (async () => {
          const result: any = await call(value)
          await result?.close?.() // a connect that should have failed
          return `accepted ${String(shown)}`
        })(),
        ValidationError,
      )
      assert.is(error.code, 'ERR_VALIDATION')
      assert.is(error.path, path, `${error.path} for ${shown}: ${error.message}`)
      assert.ok(error.message.startsWith(`${path} `), error.message)
      assert.ok(error.message.includes(shown), `${error.message} lacks ${shown}`)
      assert.ok(error.message.length < 1_000, `${error.message.length} characters`)
      assert.ok('value' in error)
    }
    assert.is(sent, before, 'something was sent')
  })
})

test('if one of many events is invalid, none of them is sent', async () => {
  const before = sent
  const events = Array.from({ length: 50 }, (_, i) => ({ type: 'T', data: i === 40 ? Number.NaN : i }))
  assert.is((await rejects(meow.append(stream, events), ValidationError)).path, 'events[40].data')
  const writes = events.map((one, i) => ({ stream: { ...stream, streamId: `s${i}` }, events: [one] }))
  assert.is((await rejects(meow.appendAll(writes), ValidationError)).path, 'writes[40].events[0].data')
  assert.is(sent, before)
})

test('data with too many levels is refused', async () => {
  const error = await rejects(meow.append(stream, { ...event, data: deep(2_001) }), ValidationError)
  assert.ok(error.message.startsWith('events.data[0][0]'), error.message)
  assert.ok(error.message.includes('2000 levels') && error.message.length < 1_000, error.message)
})

test('a password is not part of the error', async () => {
  const connectionString = 'postgres://me:secret@host:port:1/['
  const error = await rejects(connect({ connectionString }), ValidationError)
  assert.ok(error.message.includes('postgres://***@host'), error.message)
  assert.ok(!`${error.message} ${error.value} ${error.stack}`.includes('secret'))
})

test('nothing was written by any of these calls', async () => {
  const { rows } = await client.query(`select count(*)::int as n from ${storeSchema}.events`)
  assert.is(rows[0].n, 0)
})

test('values at the limits are accepted', async () => {
  const at = { category: 'x'.repeat(255), streamId: '🐈'.repeat(255) }
  await meow.append(at, { type: '🐈'.repeat(255), data: deep(2_000), metadata: {}, id: id.toUpperCase() })
  await meow.append(at, [], { expectedVersion: 2 ** 31 - 1 })
  await meow.read({ category: ['a', 'b'], types: ['T'] }, { limit: 100_000, after: Number.MAX_SAFE_INTEGER })
  assert.is((await meow.load(at, { toVersion: 2 ** 31 - 1, limit: Number.MAX_SAFE_INTEGER })).length, 1)
  await meow.append(at, event, undefined)
  await meow.append(at, event, { client: undefined })
  await meow.load(at, { client: undefined, limit: undefined, toVersion: undefined })
  await meow.read({}, { until: undefined })
})

test.run()
