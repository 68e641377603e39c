// A zod schema with codecs: what is appended, such as a Date, is what is read, in every way to read; what is stored is JSON.
import { firstValueFrom, take, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { Decider, EventOf, EventStore } from '../src/index.ts'
import { defineCategory, UpcastError, ValidationError } from '../src/index.ts'
import { given, memoryStore, stored } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

const meow = await openStore()
test.after(closeAll)

const date = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (at) => at.toISOString(),
})
const big = z.codec(z.string().regex(/^-?\d+$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (n) => String(n),
})
const byName = z.codec(z.array(z.tuple([z.string(), date])), z.map(z.string(), z.date()), {
  decode: (pairs) => new Map(pairs as unknown as [string, Date][]),
  encode: (map) => [...map] as never,
})
const at = new Date('2026-11-30T01:02:03.004Z')
const text = at.toISOString()

const shapes: [name: string, schema: z.ZodType, given: unknown, stored: unknown][] = [
  ['the whole data', date, at, text],
  ['a property', z.object({ at: date, n: z.number() }), { at, n: 1 }, { at: text, n: 1 }],
  ['bigint', z.object({ n: big }), { n: 2n ** 70n }, { n: `${2n ** 70n}` }],
  ['a map', z.object({ m: byName }), { m: new Map([['a', at]]) }, { m: [['a', text]] }],
  ['a list', z.array(z.object({ at: date })), [{ at }, { at }], [{ at: text }, { at: text }]],
  ['a tuple', z.tuple([z.string(), date], big), ['a', at, 7n], ['a', text, '7']],
  ['a record', z.record(z.string(), date), { a: at }, { a: text }],
  ['a union', z.array(z.union([z.number(), date])), [1, at], [1, text]],
  [
    'a discriminated union',
    z.array(
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('once'), at: date }),
        z.object({ kind: z.literal('never'), n: big }),
      ]),
    ),
    [
      { kind: 'once', at },
      { kind: 'never', n: 1n },
    ],
    [
      { kind: 'once', at: text },
      { kind: 'never', n: '1' },
    ],
  ],
  [
    'optional, nullable, default',
    z.object({ a: date.optional(), b: date.nullable(), c: date.default(at), d: date.nullish() }),
    { b: null, c: at },
    { b: null, c: text },
  ],
  [
    'in both',
    z.intersection(z.object({ a: date }), z.object({ b: big })),
    { a: at, b: 1n },
    { a: text, b: '1' },
  ],
  ['lazy', z.lazy(() => z.object({ at: date })), { at }, { at: text }],
  ['readonly, branded', z.object({ at: date.brand('at').readonly() }), { at }, { at: text }],
  ['piped', z.object({ at: date.pipe(z.date().min(new Date(0))) }), { at }, { at: text }],
  [
    'its own class',
    z.codec(z.url(), z.instanceof(URL), { decode: (s) => new URL(s), encode: (u) => u.href }),
    new URL('http://a.b/'),
    'http://a.b/',
  ],
  ['both are JSON', z.object({ yes: z.stringbool() }), { yes: true }, { yes: 'true' }],
]
for (const [kind, store] of Object.entries<EventStore>({ PostgreSQL: meow, memory: memoryStore() })) {
  for (const [name, schema, data, json] of shapes)
    test(`${name}: encoded when appended, decoded when read, in ${kind}`, async () => {
      for (const options of [{}, { validateOnRead: true }]) {
        const Visit: any = defineCategory(uniqueName('visit'), { Came: schema }, options)
        const id = crypto.randomUUID()
        const first = await store.append(Visit.stream('a'), Visit.Came(data, { id }))
        const again = await store.append(Visit.stream('a'), Visit.Came(data, { id }))
        assert.equal([first.deduplicated, again.deduplicated], [false, true])
        const [read] = await store.load(Visit.stream('a'))
        for (const event of [first.events[0], again.events[0], read] as any[])
          assert.equal([event.known, event.data], [true, data])
        const [raw] = await store.load({ category: Visit.name, streamId: 'a' })
        assert.equal(raw!.data, json)
        // What others have stored, as it stands in a copy or an import, is read alike.
        await store.append({ category: Visit.name, streamId: 'b' }, { type: 'Came', data: json })
        assert.equal((await store.load(Visit.stream('b')))[0]!.data, data)
      }
    })
}

const visits = (name = uniqueName('visit')) =>
  defineCategory(name, {
    Came: {
      schema: z.object({ at: date, by: z.string().default('foot') }),
      version: 2,
      upcast: { 1: (old) => ({ at: new Date(old.day).toISOString() }) },
    },
  })
const latest = (Visit: ReturnType<typeof visits>): Decider<Date, EventOf<typeof Visit>, string[]> => ({
  name: 'latest',
  category: Visit,
  initial: [],
  evolve: (all, event) => (event.known ? [...all, `${event.data.at.getTime()} ${event.data.by}`] : all),
  decide: (at) => Visit.Came({ at, by: 'train' }),
  snapshotEvery: 2,
})

test('an older version is upcast as it is stored, then decoded, and gets its defaults; every way to read sees that', async () => {
  const Visit = visits()
  const selector = { category: Visit }
  const projected: unknown[] = []
  const forget = meow.project(Visit, (events) => projected.push(...events.map(({ data }) => data)))
  await meow.append({ category: Visit.name, streamId: 'a' }, { type: 'Came', data: { day: '2026-11-30' } })
  const [, written] = await meow.appendAll([
    { stream: Visit.stream('b'), events: [] },
    { stream: Visit.stream('a'), events: [Visit.Came({ at, by: 'train' })] },
  ])
  const expected = [
    { at: new Date('2026-11-30'), by: 'foot' },
    { at, by: 'train' },
  ]
  const same = (events: readonly { data: unknown }[]) =>
    assert.equal(
      events.map(({ data }) => data),
      expected,
    )
  assert.equal(written!.events[0]!.data, expected[1])
  assert.equal(projected, expected)
  forget()
  same(await meow.load(Visit.stream('a')))
  same((await meow.read(selector)).events)
  same(await firstValueFrom(meow.events(selector).pipe(take(2), toArray())))
  const pulled: { data: unknown }[] = []
  for await (const event of meow.iterate(selector, { live: false })) pulled.push(event)
  same(pulled)
  for (const transactional of [false, true]) {
    const handled: { data: unknown }[] = []
    const worker = meow
      .subscription(uniqueName('visits'), selector)
      .process((event) => void handled.push(event), { transactional })
    await until(() => handled.length === 2, { what: 'both to be handled' })
    await worker.stop()
    same(handled)
  }
  const delivered: { data: unknown }[] = []
  const subscription = meow
    .subscription(uniqueName('visits'), selector)
    .deliveries()
    .subscribe((delivery) => {
      delivered.push(delivery.event)
      void delivery.ack()
    })
  await until(() => delivered.length === 2, { what: 'both to be delivered' })
  subscription.unsubscribe()
  same(delivered)
})

test('deciders get and make what is decoded: decide, state, watch, snapshots, given', async () => {
  const Visit = visits()
  const decider = latest(Visit)
  await meow.append({ category: Visit.name, streamId: 'a' }, { type: 'Came', data: { day: '1970-01-01' } })
  const seen: string[][] = []
  const watch = meow.watch(decider, 'a').subscribe(({ state }) => seen.push(state))
  await until(() => seen.length === 1, { what: 'the state of now' })
  const { state, result } = await meow.decide(decider, 'a', at)
  assert.equal(state, ['0 foot', `${at.getTime()} train`])
  assert.equal(result.events[0]!.data, { at, by: 'train' })
  await until(() => seen.length === 2, { what: 'the state after it' })
  watch.unsubscribe()
  assert.equal(seen[1], state)
  assert.equal((await meow.state(decider, 'a')).state, state) // by its snapshot
  assert.equal((await meow.decide(decider, 'a', at)).state.length, 3)

  const history = [stored({ type: 'Came', data: { day: '1970-01-01' } }), Visit.Came({ at, by: 'foot' })]
  given(decider, history).thenState(['0 foot', `${at.getTime()} foot`])
  given(decider, history)
    .when(at)
    .then(Visit.Came({ at, by: 'train' }))
})

test('data that is not decoded, or could not be read again, is refused with the path before anything is written', async () => {
  const codec = (decode: (text: any) => any, encode: (at: any) => any) =>
    z.object({ list: z.array(z.codec(z.any(), z.date(), { decode, encode })) })
  const good = z.object({ list: z.array(date) })
  const late = z.object({ list: z.array(date.refine((d) => d > at, 'must be later')) })
  const cases: [schema: z.ZodType, data: unknown, path: string, words: RegExp][] = [
    [good, { list: [text] }, 'events.data.list[0]', /must be a date/],
    [good, { list: [new Date(Number.NaN)] }, 'events.data.list[0]', /must be a date/],
    [late, { list: [at] }, 'events.data.list[0]', /must be later/],
    [z.strictObject({ at: date }), { at, n: 1 }, 'events.data.n', /is not in the schema/],
    [z.object({ at: date, by: z.string().default('foot') }), { at }, 'events.data.by', /must be a string/],
    // Codecs that do not keep their word.
    [
      codec(
        (d) => d,
        (d) => d,
      ),
      { list: [at] },
      'events.data.list[0]',
      /different after it was stored/,
    ],
    [
      codec(
        () => 'no date',
        (d) => d.getTime(),
      ),
      { list: [at] },
      'events.data.list[0]',
      /on read .*must be a date/,
    ],
    [
      codec(
        (n) => BigInt(n),
        (d) => d.toISOString(),
      ),
      { list: [at] },
      'events.data',
      /on read .*BigInt/,
    ],
    [
      codec(
        async (n) => new Date(n),
        (d) => d.getTime(),
      ),
      { list: [at] },
      'events.data',
      /on read/,
    ],
    [
      codec(
        (n) => new Date(n),
        async (d) => d.getTime(),
      ),
      { list: [at] },
      'events.data',
      /can not be checked/,
    ],
    [
      codec(
        (n) => n,
        () => 1n,
      ),
      { list: [at] },
      'events.data.list[0]',
      /JSON/,
    ],
  ]
  for (const [schema, data, path, words] of cases) {
    const Visit: any = defineCategory(uniqueName('visit'), { Came: schema })
    const error = await rejects(meow.append(Visit.stream('a'), Visit.Came(data)), ValidationError)
    assert.is(error.path, path, error.message)
    assert.match(error.message, words)
    assert.equal(await meow.load(Visit.stream('a')), [])
  }
})

test('what can not be decoded fails its reader, with the path', async () => {
  const Visit = visits()
  for (const [streamId, data] of [
    ['a', { at: 'yesterday' }],
    ['b', { by: 'foot' }],
  ] as const) {
    const event = { type: 'Came', data, metadata: { schemaVersion: 2 } }
    await meow.append({ category: Visit.name, streamId }, event)
    const error = await rejects(meow.load(Visit.stream(streamId)), UpcastError)
    assert.is((error.cause as ValidationError).path, 'data.at')
  }
})

test('transforms that cannot be undone are refused beside a codec, at both of its ends', () => {
  const cases: [schema: z.ZodType, path: string, words: RegExp][] = [
    [z.object({ at: date, n: z.string().transform(Number) }), 'schemas.Came.n', /transform.*z\.codec/],
    [z.object({ at: date, n: z.preprocess(Number, z.number()) }), 'schemas.Came.n', /transform.*overwrite/],
    [z.object({ at: date, list: z.array(z.object({ at: z.date() })) }), 'schemas.Came.list[].at', /z\.codec/],
    [
      z.object({
        at: z.codec(z.date(), z.string(), { decode: (d) => d.toISOString(), encode: (s) => new Date(s) }),
      }),
      'schemas.Came.at',
      /must not be a date/,
    ],
  ]
  for (const [schema, path, words] of cases)
    assert.throws(
      () => defineCategory('visit', { Came: schema }),
      (error: unknown) =>
        error instanceof ValidationError && error.path === path && words.test(error.message),
      path,
    )
})

test.run()
