import * as assert from 'uvu/assert'
import { ValidationError } from '../../src/index.ts'
import { rejects } from '../support/rejects.ts'
import { uniqueName } from '../support/store.ts'
import type { Contract } from './contract.ts'

const newStream = () => ({ category: uniqueName('values'), streamId: 'a' })
const date = new Date('2026-01-02T03:04:05.678Z')
const proto = JSON.parse(
  '{"__proto__":{"polluted":1},"constructor":{"prototype":2},"r":1,"n":2,"i":3,"t":4,"d":5}',
)
const odd = 'text "quoted" \\ / \b\f\n\r\t \u001f \u007f \u2028 👩‍👩‍👧'
const deep = (levels: number): unknown => (levels === 0 ? 'leaf' : [deep(levels - 1)])
const deepObjects = (levels: number): unknown => (levels === 0 ? 'leaf' : { a: [deepObjects(levels - 2)] })
const cycle: { self?: unknown } = {}
cycle.self = cycle

/** A store holds JSON; values that JSON or PostgreSQL would lose are refused. */
export const values: Contract = (test, store) => {
  const stored: [data: unknown, stored: unknown][] = [
    [{ a: undefined, b: 1 }, { b: 1 }],
    [
      { at: date, all: [date] },
      { at: date.toISOString(), all: [date.toISOString()] },
    ],
    [date, date.toISOString()],
    [{ toJSON: () => ({ own: true }) }, { own: true }],
    [null, null],
    [{ a: null }, { a: null }],
    [true, true],
    [0, 0],
    [-0, 0],
    [-1.5e-300, -1.5e-300],
    [Number.MAX_VALUE, Number.MAX_VALUE],
    ['', ''],
    [odd, odd],
    [
      { '': 1, ' ': 2, '\n': 3, [odd]: odd },
      { '': 1, ' ': 2, '\n': 3, [odd]: odd },
    ],
    [[], []],
    [
      [1, [2, [3, {}]]],
      [1, [2, [3, {}]]],
    ],
    [{ 'ключ 🐈 "q"': '値 Ünï' }, { 'ключ 🐈 "q"': '値 Ünï' }],
    [Object.assign(Object.create(null), { bare: 1 }), { bare: 1 }],
    [Object(7), 7],
    [
      { z: 1, a: { y: 2, b: 3 } },
      { z: 1, a: { y: 2, b: 3 } },
    ],
    [proto, proto],
    [deep(1_000), deep(1_000)],
    [deepObjects(1_000), deepObjects(1_000)],
  ]
  test('values come back as JSON has them, with the order of their keys, in the result and from load', async () => {
    const stream = newStream()
    const news = stored.map(([data]) => ({ type: 'T', data, metadata: { data }, id: crypto.randomUUID() }))
    const { events } = await store().append(stream, news)
    const loaded = await store().load(stream)
    stored.forEach(([, value], i) => {
      for (const { data, metadata } of [events[i]!, loaded[i]!]) {
        assert.is(JSON.stringify(data), JSON.stringify(value))
        assert.is(JSON.stringify(metadata), JSON.stringify({ data: value }))
      }
    })
    assert.is(({} as { polluted?: number }).polluted, undefined)
    assert.is((await store().append(stream, news)).deduplicated, true)
  })

  test('values that would be lost are refused, and the error has their path', async () => {
    const stream = newStream()
    const refused = [
      () => 1,
      Symbol('s'),
      10n,
      Number.NaN,
      '\ud83d',
      'a\u0000',
      new Map(),
      /x/,
      new Error('e'),
      new Date(Number.NaN),
    ]
    for (const value of refused) {
      const inData = store().append(stream, { type: 'T', data: { a: [0, { b: value }] } })
      assert.is((await rejects(inData, ValidationError)).path, 'events.data.a[1].b')
      const inMetadata = store().append(stream, [{ type: 'T', data: 0, metadata: { m: value } }])
      assert.is((await rejects(inMetadata, ValidationError)).path, 'events[0].metadata.m')
    }
    const whole: [unknown, string][] = [
      [undefined, 'events.data'],
      [cycle, 'events.data.self'],
      [{ 'a\u0000': 1 }, 'events.data.a\u0000'],
    ]
    for (const [data, path] of whole)
      assert.is((await rejects(store().append(stream, { type: 'T', data }), ValidationError)).path, path)
    await rejects(store().append(stream, { type: 'T', data: deep(2_001) }), ValidationError)
    assert.equal(await store().load(stream), [])
  })

  test('names may have any characters, and up to 255 of them', async () => {
    for (const name of [
      `${uniqueName('n')} "'$\\;--\n\t.%s {}`,
      uniqueName('🐈'),
      '🐈'.repeat(255),
      'x'.repeat(255),
      '__proto__',
      'constructor',
    ]) {
      const stream = { category: `${name}`, streamId: name }
      const { position } = await store().append(stream, { type: name, data: 0 })
      const [event] = await store().load(stream)
      assert.equal([event!.category, event!.streamId, event!.type], [name, name, name])
      const { events } = await store().read({ ...stream, types: [name] }, { after: position - 1 })
      assert.equal(events, [event])
    }
  })
}
