// Payloads that were made to harm: what JSON can hold comes back to the byte, whichever way it is read, as own properties;
// for other values there is one clear error, and nothing is written. Payloads that plain SQL has stored can be read, too.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RecordedEvent } from '../src/index.ts'
import { DuplicateEventError, ValidationError } from '../src/index.ts'
import { collect } from './support/collect.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
const sql = await pgClient()
test.after(closeAll)

const nested = (levels: number, leaf: string) =>
  `${'{"a":['.repeat(levels / 2)}${leaf}${']}'.repeat(levels / 2)}`

/** The events of a category, read in every way, also as parked and replayed events. */
async function everyWay(category: string, count: number): Promise<[way: string, events: RecordedEvent[]][]> {
  const live = collect(meow.events({ category }))
  const pulled: RecordedEvent[] = []
  for await (const event of meow.iterate({ category }, { live: false })) pulled.push(event)
  await live.has(count)
  live.subscription.unsubscribe()
  const ways: [string, RecordedEvent[]][] = [
    ['load', await meow.load({ category, streamId: 'a' })],
    ['read', (await meow.read({ category })).events],
    ['events', live.all],
    ['iterate', pulled],
  ]
  for (const transactional of [false, true]) {
    const name = uniqueName('payload')
    const handled: RecordedEvent[] = []
    let good = false
    const worker = meow.subscription(name, { category }).process(
      (event) => {
        if (!good) throw new Error('not yet')
        handled.push(event)
      },
      { transactional, retry: { maxAttempts: 1 } },
    )
    await until(
      async () => (await meow.subscriptions()).some((one) => one.name === name && one.parked === count),
      {
        what: 'all to be parked',
      },
    )
    ways.push(['parked', (await meow.parked(name)).map(({ event }) => event)])
    good = true
    await meow.replayParked(name)
    await until(() => handled.length === count, { what: 'the replay' })
    await worker.stop()
    ways.push(['handled', handled])
  }
  return ways
}

/** The text that stands in the store. */
async function stored(category: string): Promise<string[]> {
  const { rows } = await sql.query(
    `select data::text from ${storeSchema}.events where category = $1 order by position`,
    [category],
  )
  return rows.map(({ data }) => data)
}

const good: [what: string, json: string][] = [
  ['__proto__', '{"__proto__":{"polluted":1},"a":{"__proto__":["x"]}}'],
  [
    'constructor',
    '{"constructor":{"prototype":{"polluted":1}},"prototype":{"polluted":1},"hasOwnProperty":1}',
  ],
  ['toString and then', '{"toString":1,"valueOf":null,"toJSON":"x","then":"y"}'],
  [
    'the keys of the wire',
    '{"r":1,"n":0,"i":"x","t":"y","d":{},"m":{}},"length":7'.replace('},"length":7', ',"length":7}'),
  ],
  ['an empty key', '{"":{"":0}}'],
  ['separators of lines', JSON.stringify({ '\u2028': '\u2029\u0001\u007f\ufeff\ufffe\uffff' })],
  ['SQL', JSON.stringify(`'); drop table ${storeSchema}.events; --\\`)],
  [
    'what PostgreSQL writes arrays and rows with',
    JSON.stringify(['{', '}', ',', '"', '(', ')', '\\', 'NULL', '\\N']),
  ],
  ['numbers at their ends', '[1.7976931348623157e+308,5e-324,9007199254740991,-9007199254740991,0.1]'],
  ['1,000 levels', nested(1_000, '"leaf"')],
  ['1,998 levels, and one more in metadata', nested(1_998, '"leaf"')],
  ['null', 'null'],
]
test(`${good.length} payloads come back to the byte, by every way`, async () => {
  const category = uniqueName('good')
  for (const [, json] of good) {
    const data: unknown = JSON.parse(json)
    assert.is(JSON.stringify(data), json)
    await meow.append({ category, streamId: 'a' }, { type: 'T', data, metadata: { data } })
  }
  const texts = good.map(([, json]) => json)
  assert.equal(await stored(category), texts)
  for (const [way, events] of await everyWay(category, good.length)) {
    for (const [i, { data, metadata }] of events.entries()) {
      assert.is(JSON.stringify(data), texts[i], `${way}: ${good[i]![0]}`)
      assert.is(JSON.stringify(metadata), `{"data":${texts[i]}}`, `${way}: ${good[i]![0]}`)
    }
    assert.ok(Object.hasOwn(events[0]!.data, '__proto__'))
    assert.is(events[0]!.data.polluted, undefined)
  }
  assert.equal(
    [({} as any).polluted, ([] as any).polluted, Object.keys(Object.prototype)],
    [undefined, undefined, []],
  )
})

test('what JSON writes otherwise comes back as JSON has it', async () => {
  const stream = { category: uniqueName('json'), streamId: 'a' }
  class Money {
    readonly #cents = 1
    toJSON = () => ({ cents: this.#cents, __proto__: null })
  }
  const data = {
    zero: -0,
    when: new Date(0),
    money: new Money(),
    bare: Object.assign(Object.create(null), { x: 1 }),
    boxed: [Object(1), Object('s'), Object(false)],
    missing: undefined,
    big: 2 ** 64,
    bytes: Buffer.from('ab'),
  }
  const result = await meow.append(stream, { type: 'T', data })
  const text = JSON.stringify(data)
  assert.equal(await stored(stream.category), [text])
  for (const event of [...result.events, ...(await meow.load(stream))])
    assert.is(JSON.stringify(event.data), text)
  assert.ok(Object.is(result.events[0]!.data.zero, 0))
})

test('10 MB, by every way', async () => {
  const category = uniqueName('big')
  const data = { text: 'mjau 🐈 '.repeat(1_000_000) }
  await meow.append({ category, streamId: 'a' }, { type: 'T', data })
  for (const [way, events] of await everyWay(category, 1)) assert.ok(events[0]!.data.text === data.text, way)
})

const deeper = (levels: number) => {
  let value: unknown = 0
  for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { value }
  return value
}
const endless = { toJSON: (): unknown => ({ endless: { ...endless } }) }
const cycle: Record<string, unknown> = {}
cycle.toJSON = () => ({ again: [cycle] })
const bad: [what: string, value: unknown, words: string][] = [
  ['2,001 levels', deeper(2_001), '2000 levels'],
  ['100,000 levels, at which JSON.stringify overflows', deeper(100_000), '2000 levels'],
  ['1,000,000 levels', deeper(1_000_000), '2000 levels'],
  ['a toJSON without end', endless, '2000 levels'],
  ['a cycle through toJSON', cycle, 'contain itself'],
  ['\\u0000', { a: ['\u0000'] }, '\\u0000'],
  ['\\u0000 in a key', { '\u0000': 1 }, '\\u0000'],
  ['a lone surrogate', '\udead', 'surrogate'],
  ['half a cat in a key', { '\ud83d': 1 }, 'surrogate'],
  ['BigInt', { n: 10n ** 30n }, 'JSON value'],
  ['NaN', [Number.NaN], 'finite'],
  ['1e400', JSON.parse('[1e400]'), 'finite'],
  ['a function', { f: () => 1 }, 'JSON value'],
  ['undefined in an array', [1, undefined], 'JSON value'],
  ['a hole in an array', Array(1), 'JSON value'],
  ['an invalid date', { at: new Date('no') }, 'valid date'],
  ['a Map', new Map([['a', 1]]), 'JSON value'],
]
test('JSON.stringify does overflow', () => {
  assert.throws(() => JSON.stringify(deeper(100_000)), /stack/)
})
for (const [what, value, words] of bad) {
  test(`refused, and nothing of the call is written: ${what}`, async () => {
    const category = uniqueName('bad')
    const stream = { category, streamId: 'a' }
    const fine = { type: 'T', data: 1 }
    for (const event of [
      { type: 'T', data: value },
      { type: 'T', data: 1, metadata: { m: value } },
    ]) {
      for (const promise of [
        meow.append(stream, [fine, event]),
        meow.appendAll([
          { stream: { category, streamId: 'b' }, events: fine },
          { stream, events: event },
        ]),
        meow.append(stream, event, { client: sql }),
      ]) {
        const error = await rejects(promise, ValidationError)
        assert.ok(
          error.message.includes(words) && error.message.length < 1_000,
          error.message.slice(0, 2_000),
        )
        assert.match(error.path, /(data|metadata\.m)/)
      }
    }
    assert.equal((await meow.read({ category })).events, [])
  })
}

const foreign: [what: string, json: string][] = [
  ['\\u0000', '{"a": "\\u0000", "\\u0000": 1}'],
  ['a lone surrogate', '["\\ud800", "\\udc00\\ud800"]'],
  ['beyond a double', '[1e400, -1e400, 1e-400, -0]'],
  ['big integers', '{"n": 123456789012345678901234567890, "m": 9007199254740993}'],
  ['a key twice', '{"a": 1, "a": 2, "__proto__": 1, "__proto__": {"polluted": 1}}'],
  ['white space', ' { "a" :\t[ ] ,\r\n "b" : { } } '],
  ['escapes', '"\\/\\b\\f\\u00e9\\uD83D\\uDC08"'],
  ['2,500 levels', nested(2_500, '0')],
]
test(`${foreign.length} payloads of plain SQL that the library would refuse, or write otherwise, are read by every way`, async () => {
  const category = uniqueName('foreign')
  for (const [version, [, json]] of foreign.entries())
    await sql.query(
      `insert into ${storeSchema}.events (version, category, stream_id, type, data) values ($1, $2, 'a', 'T', $3)`,
      [version, category, json],
    )
  const texts = foreign.map(([, json]) => json)
  assert.equal(
    (await stored(category)).map((text) => text.trim()),
    texts.map((text) => text.trim()),
  )
  const expected = texts.map((text) => JSON.stringify(JSON.parse(text)))
  for (const [way, events] of await everyWay(category, foreign.length))
    for (const [i, { data }] of events.entries())
      assert.is(JSON.stringify(data), expected[i], `${way}: ${foreign[i]![0]}`)
  assert.is(({} as any).polluted, undefined)

  // Their ids are taken, whatever they hold.
  for (const [i, { id, type }] of (await meow.load({ category, streamId: 'a' })).entries()) {
    const promise = meow.append({ category, streamId: 'a' }, { id, type, data: 'other' })
    await rejects(promise, DuplicateEventError).catch((error) => {
      throw new Error(`${foreign[i]![0]}: ${error.message}`)
    })
  }
})

test("append() in SQL takes them too, but for characters that PostgreSQL's text can't hold", async () => {
  const category = uniqueName('function')
  for (const [what, json] of foreign) {
    const appending = sql.query(`select ${storeSchema}.append($1, 'a', $2)`, [
      category,
      `{"type": "T", "data": ${json}}`,
    ])
    if (/0000|surrogate/.test(what)) assert.match((await rejects(appending, Error)).message, /json|Unicode/)
    else await appending
  }
  const parsed = (texts: string[]) => texts.map((text) => JSON.stringify(JSON.parse(text)))
  assert.equal(parsed(await stored(category)), parsed(foreign.slice(2).map(([, json]) => json)))
})

test.run()
