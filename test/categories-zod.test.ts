// zod categories: appended events are checked, and read events are upcast and typed, wherever a category is given.
import { firstValueFrom, take, toArray } from 'rxjs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import type { Delivery, Meow } from '../src/index.ts'
import { DuplicateEventError, defineCategory, UpcastError, ValidationError } from '../src/index.ts'
import { rejects } from './support/rejects.ts'
import { closeAll, openStore, pgClient, uniqueName } from './support/store.ts'
import { until } from './support/until.ts'

let meow: Meow
test.before(async () => {
  meow = await openStore()
})
test.after(closeAll)

const placed = z.object({ price: z.number().min(0), currency: z.string().default('EUR') })
const orders = (name = uniqueName('order')) =>
  defineCategory(name, { OrderPlaced: placed, OrderShipped: z.strictObject({ to: z.array(z.string()) }) })

test('what creators make is a plain event; a stream is a plain reference', () => {
  const Order = orders('order')
  const id = '018f3c5e-0000-7000-8000-000000000000'
  assert.equal(Order.OrderPlaced({ price: 9 }), { type: 'OrderPlaced', data: { price: 9 } })
  const event = Order.OrderShipped({ to: [] }, { id, metadata: { by: 'me' } })
  assert.equal(event, { type: 'OrderShipped', data: { to: [] }, id, metadata: { by: 'me' } })
  assert.equal(Reflect.ownKeys({ ...event }).sort(), ['data', 'id', 'metadata', 'type'])
  assert.equal(Order.stream('42'), { category: 'order', streamId: '42' })
  assert.is(Order.name, 'order')
})

test('append checks data by its schema, with the whole path, and writes nothing', async () => {
  const Order = orders()
  const stream = Order.stream('a')
  const bad = Order.OrderPlaced({ price: 'nine' as unknown as number })
  const good = Order.OrderPlaced({ price: 9 })
  const plain = { category: Order.name, streamId: 'a' }
  const cases: [Promise<unknown>, string][] = [
    [meow.append(stream, [good, bad]), 'events[1].data.price'],
    [meow.append(stream, bad), 'events.data.price'],
    [meow.append(plain, [good, bad]), 'events[1].data.price'], // an event of a creator brings its schema
    [meow.append(stream, { type: 'OrderPlaced', data: { price: -1 } }), 'events.data.price'],
    [meow.append(stream, Order.OrderShipped({ to: ['a', 7 as unknown as string] })), 'events.data.to[1]'],
    [meow.append(stream, Order.OrderShipped({ to: [], by: 'me' } as { to: string[] })), 'events.data.by'],
    [meow.append(stream, { type: 'Placed', data: {} } as never), 'events.type'],
    [meow.append(stream, { ...good, metadata: { schemaVersion: 3 } }), 'events.metadata.schemaVersion'],
    [
      meow.appendAll([
        { stream, events: good },
        { stream, events: [bad] },
      ]),
      'writes[1].events[0].data.price',
    ],
  ]
  for (const [promise, path] of cases) assert.is((await rejects(promise, ValidationError)).path, path)
  assert.equal(await meow.load(stream), [])
})

test("the path leads into unions, records and a schema's own rules; a schema that throws is bad input, too", async () => {
  const part = z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('book'), pages: z.number().int() }),
    z.object({ kind: z.literal('disc'), sides: z.array(z.object({ tracks: z.number() })) }),
  ])
  const throwing = z.string().transform((text) => JSON.parse(text))
  const Parcel = defineCategory(uniqueName('parcel'), {
    Packed: z.object({ parts: z.array(part), labels: z.record(z.string(), z.number()).optional() }),
    Weighed: z.object({ net: z.number(), gross: z.number() }).refine((w) => w.net <= w.gross, {
      path: ['net'],
      message: 'must not exceed gross',
    }),
    Parsed: z.object({ json: throwing }),
    Later: z.object({ n: z.number().refine(async () => true) }),
  })
  const cases: [type: string, data: unknown, path: string, words: string][] = [
    ['Packed', { parts: [{ kind: 'book', pages: 1.5 }] }, 'parts[0].pages', 'must be an integer, got 1.5'],
    [
      'Packed',
      { parts: [{ kind: 'disc', sides: [{ tracks: 'x' }] }] },
      'parts[0].sides[0].tracks',
      'got "x"',
    ],
    ['Packed', { parts: [{ kind: 'tape' }] }, 'parts[0].kind', ''],
    ['Packed', { parts: [], labels: { a: 1, b: '2' } }, 'labels.b', 'must be a number, got "2"'],
    ['Weighed', { net: 2, gross: 1 }, 'net', 'must not exceed gross'],
    ['Parsed', { json: '{' }, '', 'can not be checked by its schema'],
    ['Later', { n: 1 }, '', 'can not be checked by its schema'],
  ]
  const client = await pgClient()
  await client.query('begin')
  for (const [type, data, path, words] of cases) {
    const event = { type, data } as never
    for (const options of [{}, { client }]) {
      const error = await rejects(meow.append(Parcel.stream('a'), [event], options), ValidationError)
      assert.is(error.path, ['events[0].data', path].filter(Boolean).join('.'))
      assert.match(error.message, words)
    }
  }
  await meow.append(Parcel.stream('a'), Parcel.Weighed({ net: 1, gross: 2 }), { client }) // it is usable still
  await client.query('commit')
  assert.is((await meow.load(Parcel.stream('a'))).length, 1)
})

test('what the schema returns is stored: defaults filled in, strangers left out', async () => {
  const Order = orders()
  const data = { price: 9, stranger: true } as { price: number }
  const { events } = await meow.append(Order.stream('a'), Order.OrderPlaced(data))
  assert.equal(events[0]!.data, { price: 9, currency: 'EUR' })
  assert.is(events[0]!.known, true)
  const [stored] = await meow.load({ category: Order.name, streamId: 'a' })
  assert.equal(stored!.data, { price: 9, currency: 'EUR' })
  assert.equal(stored!.metadata, {})
  assert.not('known' in stored!)
})

test('validateOnRead: a schema that does not take what it returns is refused, or else its data, before anything is written', async () => {
  const options = { validateOnRead: true }
  const count = z.string().transform(Number)
  for (const [schema, path] of [
    [count, 'schemas.Counted'],
    [z.object({ list: z.array(z.object({ n: count })) }), 'schemas.Counted.list[].n'],
    [z.object({ n: count.pipe(z.number()) }), 'schemas.Counted.n'],
    [z.object({ n: count.optional() }), 'schemas.Counted.n'],
  ] as const)
    assert.throws(
      () => defineCategory('odd', { Counted: schema }, options),
      (error: unknown) =>
        error instanceof ValidationError && error.path === path && /z\.codec.*overwrite/.test(error.message),
      path,
    )
  const piped = z.object({ n: z.string().pipe(z.coerce.number()) })
  const Odd = defineCategory(uniqueName('odd'), { Counted: piped }, options)
  const error = await rejects(meow.append(Odd.stream('a'), Odd.Counted({ n: '7' })), ValidationError)
  assert.is(error.path, 'events.data.n')
  assert.equal(await meow.load(Odd.stream('a')), [])
  const lenient = z.object({
    n: z.coerce.number(),
    m: z.preprocess(Number, z.number()),
    s: z.string().trim(),
  })
  const Even = defineCategory(uniqueName('even'), { Counted: lenient }, options)
  await meow.append(Even.stream('a'), Even.Counted({ n: '7', m: '8', s: ' x ' }))
  assert.equal((await meow.load(Even.stream('a')))[0]!.data, { n: 7, m: 8, s: 'x' })
})

test('a schema that refuses what it accepted before: the event is written, and its readers get an error', async () => {
  let left = 2 // once as it is given, once as it would be read
  const schema = z.number().refine(() => left-- > 0)
  const Odd = defineCategory(uniqueName('odd'), { Counted: schema }, { validateOnRead: true })
  const { events } = await meow.append(Odd.stream('a'), Odd.Counted(7))
  assert.equal([events[0]!.known, events[0]!.data], [true, 7])
  await rejects(meow.load(Odd.stream('a')), UpcastError)
})

test('a retry by its id is answered with what was stored, as of now', async () => {
  const { V1, V2 } = releases()
  const id = crypto.randomUUID()
  await meow.append(V1.stream('a'), V1.Placed({ price: 2 }, { id }))
  const again = await meow.append(V1.stream('a'), V1.Placed({ price: 2 }, { id }))
  assert.is(again.deduplicated, true)
  assert.equal(again.events[0]!.data, { price: 2 })
  await rejects(meow.append(V2.stream('a'), V2.Placed({ cents: 200 }, { id })), DuplicateEventError)
})

/** The same category as three releases of a program know it. */
function releases() {
  const name = uniqueName('order')
  const V1 = defineCategory(name, { Placed: z.object({ price: z.number() }) })
  const toV2 = (old: { price: number }) => ({ cents: old.price * 100 })
  const V2 = defineCategory(name, {
    Placed: { schema: z.object({ cents: z.number() }), version: 2, upcast: { 1: toV2 } },
  })
  const V3 = defineCategory(name, {
    Placed: {
      schema: z.object({ amount: z.object({ cents: z.number(), currency: z.string() }) }),
      version: 3,
      upcast: {
        1: toV2,
        // One that changes what it is given: others see the same event.
        2: (old) => {
          const { cents } = old
          delete old.cents
          return Object.assign(old, { amount: { cents, currency: 'EUR' } })
        },
      },
    },
  })
  return { name, V1, V2, V3 }
}

async function threeVersions() {
  const { name, V1, V2, V3 } = releases()
  await meow.append(V1.stream('a'), V1.Placed({ price: 1 }))
  await meow.append(V2.stream('a'), V2.Placed({ cents: 200 }, { metadata: { by: 'me' } }))
  await meow.append(V3.stream('a'), { type: 'Placed', data: { amount: { cents: 300, currency: 'EUR' } } })
  await meow.append({ category: name, streamId: 'a' }, { type: 'Cancelled', data: 'why' })
  const { position } = await meow.append(
    V3.stream('b'),
    V3.Placed({ amount: { cents: 400, currency: 'USD' } }),
  )
  return { name, V1, V2, V3, position }
}

test('old versions are upcast on read, step by step; what is stored stays as it is', async () => {
  const { name, V3 } = await threeVersions()
  const seen = await meow.load(V3.stream('a'))
  assert.equal(
    seen.map((event) => [event.known, event.data]),
    [
      [true, { amount: { cents: 100, currency: 'EUR' } }],
      [true, { amount: { cents: 200, currency: 'EUR' } }],
      [true, { amount: { cents: 300, currency: 'EUR' } }],
      [false, 'why'],
    ],
  )
  const stored = await meow.load({ category: name, streamId: 'a' })
  assert.equal(
    stored.map(({ metadata }) => metadata),
    [{}, { by: 'me', schemaVersion: 2 }, { schemaVersion: 3 }, {}],
  )
  assert.equal(stored[0]!.data, { price: 1 })
})

test('an event of a newer version than is known is an unknown one', async () => {
  const { V2 } = await threeVersions()
  const seen = await meow.load(V2.stream('a'))
  assert.equal(
    seen.map(({ known }) => known),
    [true, true, false, false],
  )
  assert.equal(seen[2]!.data, { amount: { cents: 300, currency: 'EUR' } })
})

test('load, read, events, iterate, process and deliveries see the same', async () => {
  const { name, V3, position } = await threeVersions()
  const expected = [...(await meow.load(V3.stream('a'))), ...(await meow.load(V3.stream('b')))]
  const plain = [...(await meow.load({ category: name, streamId: 'a' }))]
  const selector = { category: V3 }
  assert.equal((await meow.read(selector)).events, expected)
  assert.equal((await meow.read(selector, { direction: 'backward' })).events, expected.toReversed())
  // An observer of the category by name shares the tail with an observer that uses its schemas.
  const [typed, untyped] = await Promise.all([
    firstValueFrom(meow.events(selector).pipe(take(5), toArray())),
    firstValueFrom(meow.events({ category: name }).pipe(take(5), toArray())),
  ])
  assert.equal(typed, expected)
  assert.equal(untyped.slice(0, 4), plain)
  const pulled: unknown[] = []
  for await (const event of meow.iterate(selector, { live: false })) pulled.push(event)
  assert.equal(pulled, expected)

  for (const transactional of [false, true]) {
    const handled: unknown[] = []
    const worker = meow
      .subscription(uniqueName('typed'), { ...selector, types: ['Placed', 'Cancelled' as 'Placed'] })
      .process((event) => void handled.push(event), { transactional })
    await until(() => handled.length === 5, { what: 'all to be handled' })
    await worker.stop()
    assert.equal(handled, expected)
  }
  const byHand = uniqueName('typed')
  const deliveries = meow.subscription(byHand, selector).deliveries()
  const handed: Delivery<any>[] = []
  const subscription = deliveries.subscribe((delivery) => {
    handed.push(delivery)
    void delivery.ack()
  })
  await meow.waitFor(byHand, position)
  subscription.unsubscribe()
  assert.equal(
    handed.map(({ event }) => event),
    expected,
  )
})

test('several categories, by name and by schema, in one selector', async () => {
  const [Order, Parcel, plain] = [orders(), orders(uniqueName('parcel')), uniqueName('plain')]
  await meow.append(Order.stream('a'), Order.OrderPlaced({ price: 1 }))
  await meow.append({ category: plain, streamId: 'a' }, { type: 'OrderPlaced', data: 2 })
  await meow.append(Parcel.stream('a'), Parcel.OrderShipped({ to: [] }))
  const { events } = await meow.read({ category: [Order, Parcel, plain] })
  assert.equal(
    events.map(({ known }) => known),
    [true, false, true],
  )
  const again = orders(Order.name)
  const error = await rejects(meow.read({ category: [Order, again] }), ValidationError)
  assert.is(error.path, 'selector.category')
})

test('a subscription by a category equals one by its name, and can be altered by either', async () => {
  const Order = orders()
  const name = uniqueName('sub')
  const first = meow.subscription(name, { category: Order }).process(() => {})
  await first.ready
  await first.stop()
  const second = meow.subscription(name, { category: [Order.name] }).process(() => {})
  await second.ready
  await second.stop()
  const other = orders()
  await meow.alterSubscription(name, { category: [Order, other] })
  const found = (await meow.subscriptions()).find((one) => one.name === name)
  assert.equal(found!.selector, { category: [Order.name, other.name].sort() })
})

async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

const price = (data: unknown) => ({ type: 'Placed', data })

test('validateOnRead: what others have stored is checked; without it, it comes as it is', async () => {
  const name = uniqueName('order')
  await meow.append({ category: name, streamId: 'a' }, [price({ price: 1 }), price({ price: 'x' })])
  const schemas = { Placed: z.object({ price: z.number() }) }
  const Trusting = defineCategory(name, schemas)
  const Checking = defineCategory(name, schemas, { validateOnRead: true })
  const withDefault = { Placed: z.object({ price: z.number(), currency: z.string().default('EUR') }) }
  const Filling = defineCategory(name, withDefault, { validateOnRead: true })
  const [filled] = await meow.load(Filling.stream('a'), { toVersion: 1 })
  assert.equal(filled!.data, { price: 1, currency: 'EUR' })
  for (const reading of [
    () => meow.read({ category: Checking }),
    () => firstValueFrom(meow.events({ category: Checking }).pipe(take(2), toArray())),
    () => drain(meow.iterate({ category: Checking }, { live: false })),
  ])
    await rejects(reading(), UpcastError)
  assert.is((await meow.load(Trusting.stream('a'))).length, 2)
  assert.is((await meow.load(Checking.stream('a'), { toVersion: 1 })).length, 1)
  const error = await rejects(meow.load(Checking.stream('a')), UpcastError)
  assert.is(error.code, 'ERR_UPCAST')
  assert.equal([error.stream, error.version, error.type], [{ category: name, streamId: 'a' }, 1, 'Placed'])
  assert.is((error.cause as ValidationError).path, 'data.price')
  assert.match(error.message, 'data.price must be a number, got "x"')
})

test('an event that can not be upcast fails its reader, and parks only its own stream in a subscription', async () => {
  const { V1, name } = releases()
  const broken = () => {
    throw new Error('no price')
  }
  const V2 = defineCategory(name, { Placed: { schema: z.object({}), version: 2, upcast: { 1: broken } } })
  await meow.append(V1.stream('old'), V1.Placed({ price: 1 }))
  const { position } = await meow.append(V2.stream('new'), V2.Placed({}))
  await rejects(meow.load(V2.stream('old')), UpcastError)
  await rejects(meow.read({ category: V2 }), UpcastError)
  await rejects(firstValueFrom(meow.events({ category: V2 })), UpcastError)
  await rejects(meow.iterate({ category: V2 })[Symbol.asyncIterator]().next(), UpcastError)

  const handled: string[] = []
  const [processed, delivered] = [uniqueName('processed'), uniqueName('delivered')]
  const worker = meow
    .subscription(processed, { category: V2 })
    .process((event) => handled.push(event.streamId), { retry: { maxAttempts: 1 } })
  const subscription = meow
    .subscription(delivered, { category: V2 })
    .deliveries()
    .subscribe((delivery) => {
      handled.push(delivery.event.streamId)
      void delivery.ack()
    })
  for (const name of [processed, delivered]) {
    await worker.ready
    await until(
      () =>
        meow.waitFor(name, position).then(
          () => true,
          () => false,
        ),
      { what: name },
    )
    const [parked] = await meow.parked(name)
    assert.is(parked!.event.streamId, 'old')
    assert.match(parked!.error!, 'no price')
  }
  assert.equal(handled, ['new', 'new'])
  await worker.stop()
  subscription.unsubscribe()
})

test('an invalid definition is refused, with the path', () => {
  const schema = z.object({})
  const define =
    (schemas: any, name: any = 'order', options?: any) =>
    () =>
      defineCategory(name, schemas, options)
  const cases: [() => unknown, string][] = [
    [define({ stream: schema }), 'schemas.stream'],
    [define({ name: schema }), 'schemas.name'],
    [define(Object.fromEntries([['then', schema]])), 'schemas.then'],
    [define({}, ''), 'name'],
    [define(null), 'schemas'],
    [define({ A: {} }), 'schemas.A.schema'],
    [define({ A: 7 }), 'schemas.A'],
    [define({ '': schema }), 'schemas.'],
    [define({ A: { schema, version: 0 } }), 'schemas.A.version'],
    [define({ A: { schema, version: 3, upcast: { 1: () => {} } } }), 'schemas.A.upcast.2'],
    [define({ A: { schema, version: 2, upcast: { 1: () => {}, 2: () => {} } } }), 'schemas.A.upcast.2'],
    [define({ A: { schema, upcast: { 1: () => {} } } }), 'schemas.A.upcast.1'],
    [define({ A: { schema, version: 2, upcast: { 1: 'x' } } }), 'schemas.A.upcast.1'],
    [define({ A: schema }, 'order', { validate: true }), 'options.validate'],
  ]
  for (const [run, path] of cases) {
    assert.throws(run, (error: unknown) => error instanceof ValidationError && error.path === path, path)
  }
})

test.run()
