// An append writes what it was given, at the version it was told, and says what it wrote.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ExpectedVersion } from '../src/index.ts'
import { VersionConflictError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'

const meow = await openStore()
const newStream = () => ({ category: uniqueName('append'), streamId: 'a' })
test.after(closeAll)

test('the result is what load returns', async () => {
  const stream = newStream()
  const before = Date.now()
  const result = await meow.append(stream, { type: 'Placed', data: { price: 9 }, metadata: { by: 'me' } })
  const [event] = result.events
  assert.equal(result, {
    events: [event],
    version: 0,
    position: event!.position,
    deduplicated: false,
  })
  assert.is(event!.category, stream.category)
  assert.is(event!.streamId, 'a')
  assert.is(event!.type, 'Placed')
  assert.equal(event!.data, { price: 9 })
  assert.equal(event!.metadata, { by: 'me' })
  assert.match(event!.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.instance(event!.recordedAt, Date)
  assert.ok(Math.abs(event!.recordedAt.getTime() - before) < 60_000)
  assert.equal(await meow.load(stream), result.events)
})

test('several events take dense versions and rising positions', async () => {
  const stream = newStream()
  const first = await meow.append(stream, [
    { type: 'A', data: 1 },
    { type: 'B', data: 2 },
    { type: 'C', data: 3 },
  ])
  const second = await meow.append(stream, [
    { type: 'D', data: 4 },
    { type: 'E', data: 5 },
  ])
  const events = [...first.events, ...second.events]
  assert.equal(
    events.map(({ type, version }) => [type, version]),
    [
      ['A', 0],
      ['B', 1],
      ['C', 2],
      ['D', 3],
      ['E', 4],
    ],
  )
  const positions = events.map(({ position }) => position)
  assert.equal(
    positions,
    positions.toSorted((a, b) => a - b),
  )
  assert.is(new Set(positions).size, 5)
  assert.is(first.version, 2)
  assert.is(first.position, positions[2])
  assert.is(second.version, 4)
  assert.is(second.position, positions[4])
  assert.equal(await meow.load(stream), events)
})

test('positions rise over all streams of the store', async () => {
  const [a, b] = [newStream(), newStream()]
  const positions: number[] = []
  for (const stream of [a, b, a, b])
    positions.push((await meow.append(stream, { type: 'T', data: 0 })).position)
  assert.equal(
    positions,
    positions.toSorted((x, y) => x - y),
  )
})

// What each expectedVersion says of a stream without events, and of one whose last event is version 1.
const modes: [ExpectedVersion | undefined, empty: boolean, two: boolean][] = [
  [undefined, true, true],
  ['any', true, true],
  ['no-stream', true, false],
  ['stream-exists', false, true],
  [-1, true, false],
  [0, false, false],
  [1, false, true],
  [2, false, false],
  [2_147_483_647, false, false],
]
for (const [expectedVersion, empty, two] of modes) {
  test(`expectedVersion ${expectedVersion}`, async () => {
    const options = expectedVersion === undefined ? {} : { expectedVersion }
    for (const existing of [0, 2]) {
      const stream = newStream()
      await meow.append(
        stream,
        Array.from({ length: existing }, () => ({ type: 'Before', data: null })),
      )
      const appended = meow.append(stream, { type: 'T', data: null }, options)
      if (existing === 0 ? empty : two) {
        assert.is((await appended).version, existing)
      } else {
        const error = await rejects(appended, VersionConflictError)
        assert.equal(error.stream, stream)
        assert.is(error.expected, expectedVersion)
        assert.is(error.actual, existing - 1)
        for (const value of [stream.category, 'a', String(expectedVersion), String(existing - 1)]) {
          assert.ok(error.message.includes(value), error.message)
        }
        assert.is((await meow.load(stream)).length, existing)
      }
    }
  })
}

test('an empty list writes nothing and checks nothing', async () => {
  const stream = newStream()
  const nothing = { events: [], version: -1, position: 0, deduplicated: false }
  assert.equal(await meow.append(stream, []), nothing)
  assert.equal(await meow.append(stream, [], { expectedVersion: 7 }), nothing)
  assert.equal(await meow.load(stream), [])
})

test('data comes back as JSON has it, in the result as in load', async () => {
  const date = new Date('2026-01-02T03:04:05.678Z')
  const samples: [data: unknown, stored: unknown][] = [
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
    [-1.5e-300, -1.5e-300],
    [Number.MAX_VALUE, Number.MAX_VALUE],
    ['', ''],
    [
      'text "quoted" \\ / \b\f\n\r\t \u001f \u007f \u2028',
      'text "quoted" \\ / \b\f\n\r\t \u001f \u007f \u2028',
    ],
    [[], []],
    [
      [1, [2, [3, {}]]],
      [1, [2, [3, {}]]],
    ],
    [{ 'ключ 🐈 "q"': '値 👩‍👩‍👧 Ünï' }, { 'ключ 🐈 "q"': '値 👩‍👩‍👧 Ünï' }],
    [
      { '': 1, ' ': 2, '\n': 3 },
      { '': 1, ' ': 2, '\n': 3 },
    ],
    [Object.assign(Object.create(null), { bare: 1 }), { bare: 1 }],
  ]
  const stream = newStream()
  const { events } = await meow.append(
    stream,
    samples.map(([data]) => ({ type: 'T', data, metadata: { data } })),
  )
  const loaded = await meow.load(stream)
  samples.forEach(([, stored], i) => {
    for (const event of [events[i]!, loaded[i]!]) {
      assert.equal(event.data, stored)
      assert.equal(event.metadata, stored === undefined ? {} : { data: stored })
    }
  })
})

test('keys such as __proto__ are data like any other', async () => {
  const data = JSON.parse(
    '{"__proto__":{"polluted":1},"constructor":{"prototype":2},"r":1,"n":2,"i":3,"t":4,"d":5}',
  )
  const stream = newStream()
  const { events } = await meow.append(stream, { type: '__proto__', data, metadata: data })
  for (const event of [events[0]!, (await meow.load(stream))[0]!]) {
    assert.is(JSON.stringify(event.data), JSON.stringify(data))
    assert.is(JSON.stringify(event.metadata), JSON.stringify(data))
    assert.is(({} as { polluted?: number }).polluted, undefined)
  }
})

test('the order of keys is kept', async () => {
  const stream = newStream()
  await meow.append(stream, { type: 'T', data: { z: 1, a: { y: 2, b: 3 } } })
  assert.is(JSON.stringify((await meow.load(stream))[0]!.data), '{"z":1,"a":{"y":2,"b":3}}')
})

test('names may be of any characters, 255 of them at most', async () => {
  for (const name of [
    `${uniqueName('n')} "'$\\;--\n\t.%s {}`,
    uniqueName('🐈'),
    '🐈'.repeat(255),
    'x'.repeat(255),
  ]) {
    const stream = { category: name, streamId: name }
    await meow.append(stream, { type: name, data: 0 })
    const [event] = await meow.load(stream)
    assert.is(event!.category, name)
    assert.is(event!.streamId, name)
    assert.is(event!.type, name)
  }
})

test('a payload of 10 MB', async () => {
  const stream = newStream()
  const data = { text: 'mjau 🐈 '.repeat(1_000_000) }
  assert.ok(Buffer.byteLength(data.text) >= 10_000_000)
  await meow.append(stream, { type: 'Big', data })
  assert.ok((await meow.load(stream))[0]!.data.text === data.text)
})

test('data that is 1,000 levels deep', async () => {
  const deep = (leaf: unknown) => {
    let data = leaf
    for (let i = 0; i < 500; i++) data = { a: [data] }
    return data
  }
  const stream = newStream()
  const id = crypto.randomUUID()
  await meow.append(stream, { type: 'Deep', data: deep('leaf'), id })
  assert.is(JSON.stringify((await meow.load(stream))[0]!.data), JSON.stringify(deep('leaf')))
  assert.is((await meow.append(stream, { type: 'Deep', data: deep('leaf'), id })).deduplicated, true)
})

test('what the caller passed is neither kept nor changed', async () => {
  const stream = newStream()
  const event = Object.freeze({ type: 'T', data: { n: 1 }, metadata: Object.freeze({}) })
  const appending = meow.append(stream, Object.freeze([event]) as (typeof event)[])
  event.data.n = 2
  const { events } = await appending
  assert.is(events[0]!.data.n, 1)
  events[0]!.data.n = 3
  assert.is((await meow.load(stream))[0]!.data.n, 1)
})

test('without prepared statements, too', async () => {
  const plain = await openStore({ prepare: false, listen: false })
  const stream = newStream()
  const { events } = await plain.append(stream, [
    { type: 'A', data: 1 },
    { type: 'B', data: 2 },
  ])
  assert.equal(await plain.load(stream), events)
})

test.run()
