// Readers get what the types of a category promise: a schema whose result JSON can't keep is refused, with a remedy.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { defineCategory, ValidationError } from '../src/index.ts'
import { memoryStore } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'

const iso = z.iso.datetime()
const tree: z.ZodType = z.object({
  get children(): z.ZodType {
    return z.array(z.lazy(() => tree))
  },
  at: z.date(),
})
const refused: [name: string, schema: z.ZodType, path: string, remedy: RegExp][] = [
  ['date', z.object({ at: z.date() }), 'schemas.T.at', /z\.codec\(z\.iso\.datetime/],
  ['coerced date', z.object({ at: z.coerce.date() }), 'schemas.T.at', /z\.iso\.datetime/],
  ['whole data', z.date(), 'schemas.T', /z\.iso\.datetime/],
  [
    'optional, nullable, default',
    z.object({ at: z.date().default(new Date()).nullable().optional() }),
    'schemas.T.at',
    /date/,
  ],
  ['in a list', z.object({ all: z.array(z.object({ at: z.date() })) }), 'schemas.T.all[].at', /date/],
  ['in a tuple', z.tuple([z.string(), z.date()]), 'schemas.T[]', /date/],
  ['in a record', z.record(z.string(), z.bigint()), 'schemas.T', /z\.string/],
  ['in a union', z.union([z.string(), z.object({ at: z.date() })]), 'schemas.T.at', /date/],
  [
    'in an intersection',
    z.intersection(z.object({ a: z.string() }), z.object({ b: z.date() })),
    'schemas.T.b',
    /date/,
  ],
  ['in what is not named', z.object({}).catchall(z.date()), 'schemas.T', /date/],
  ['lazily', z.lazy(() => z.object({ at: z.date() })), 'schemas.T.at', /date/],
  ['in a tree', tree, 'schemas.T.at', /date/],
  [
    'preprocess',
    z.object({ at: z.preprocess((s) => new Date(String(s)), z.date()) }),
    'schemas.T.at',
    /date/,
  ],
  ['pipe', z.string().pipe(z.coerce.bigint()), 'schemas.T', /bigint/],
  ['map', z.object({ m: z.map(z.string(), z.string()) }), 'schemas.T.m', /z\.record/],
  ['set', z.object({ s: z.set(z.string()) }), 'schemas.T.s', /z\.array/],
  ['nan', z.object({ n: z.nan() }), 'schemas.T.n', /null/],
  ['bigint literal', z.literal([1n]), 'schemas.T', /z\.string/],
  ['readonly, branded', z.object({ at: z.date().brand('at').readonly() }), 'schemas.T.at', /date/],
]
for (const [name, schema, path, remedy] of refused)
  test(`refused: ${name}`, () => {
    for (const options of [{}, { validateOnRead: true }])
      for (const definition of [schema, { schema, version: 2, upcast: { 1: (old: any) => old } }]) {
        let error: any
        try {
          defineCategory('order', { T: definition }, options)
        } catch (thrown) {
          error = thrown
        }
        assert.instance(error, ValidationError)
        assert.is(error.path, path)
        assert.match(error.message, remedy)
      }
  })

test('what a transform makes is refused when it is appended, unless JSON gives it back', async () => {
  const store = memoryStore()
  const when = z.string().transform((text) => new Date(text))
  const own = z.custom<Date>((value) => value instanceof Date)
  for (const schema of [when, own]) {
    const Order = defineCategory('order', { T: z.object({ a: z.array(schema) }) })
    const data: any = { a: [schema === when ? '2026-01-01' : new Date()] }
    const error = await rejects(store.append(Order.stream('a'), Order.T(data)), ValidationError)
    assert.is(error.path, 'events.data.a[0]')
  }
  const Order = defineCategory('order', {
    T: z.object({ code: z.string().transform((text) => text.toUpperCase()), at: iso, free: z.unknown() }),
  })
  const data = { code: 'a', at: '2026-01-01T00:00:00Z', free: [null, { b: 1 }] }
  await store.append(Order.stream('b'), Order.T(data))
  const [event] = await store.load(Order.stream('b'))
  assert.equal(event!.data, { ...data, code: 'A' })
})

test.run()
