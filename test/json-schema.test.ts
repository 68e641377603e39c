// Category.jsonSchema() describes the stored data of each type, and `meowmx schema --check` tells which changes would break
// readers.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { breakingChanges } from '../src/events/schema-changes.ts'
import { defineCategory, ValidationError } from '../src/index.ts'
import { cli } from './support/cli.ts'

const dir = mkdtempSync(join(tmpdir(), 'meowmx-schema-'))
test.after(() => rmSync(dir, { recursive: true }))

test('the data as it is stored, with the version of its schema', () => {
  const date = z.codec(z.iso.datetime(), z.date(), {
    decode: (text) => new Date(text),
    encode: (on) => on.toISOString(),
  })
  const Order = defineCategory('order', {
    Placed: z.object({ price: z.number(), note: z.string().optional(), count: z.number().default(1) }),
    Shipped: { schema: z.object({ at: date }), version: 2, upcast: { 1: (old) => old } },
    Shaped: z.object({ size: z.string().transform((text) => text.length) }),
  })
  const { Placed, Shipped, Shaped } = Order.jsonSchema() as Record<string, any>
  assert.is(Placed.title, 'order.Placed')
  assert.equal(Object.keys(Placed.properties), ['price', 'note', 'count'])
  assert.equal(Placed.required, ['price', 'count'], 'a default is stored')
  assert.is(Placed['x-version'], 1)
  assert.equal([Shipped['x-version'], Shipped.properties.at.type], [2, 'string'], 'what the codec encodes')
  assert.equal(Shaped.properties.size, {})
  assert.throws(
    () => defineCategory('order', { jsonSchema: z.string() } as never),
    (error: unknown) => error instanceof ValidationError && error.path === 'schemas.jsonSchema',
  )
})

const of = (schema: z.ZodType, version = 1) =>
  defineCategory('c', {
    T: {
      schema,
      version,
      upcast: Object.fromEntries(
        Array.from({ length: version - 1 }, (_, i) => [i + 1, (old: unknown) => old]),
      ),
    },
  }).jsonSchema().T

const base = z.object({
  a: z.string(),
  b: z.number().optional(),
  in: z.object({ c: z.enum(['x', 'y']) }),
  list: z.array(z.object({ d: z.string() })),
})
const breaks: [name: string, after: z.ZodType, said: RegExp | null][] = [
  ['the same', base, null],
  ['described', base.describe('an event'), null],
  ['an optional field more', base.extend({ e: z.string().optional() }), null],
  ['an optional field less', base.omit({ b: true }), null],
  ['an allowed value more', base.extend({ in: z.object({ c: z.enum(['x', 'y', 'z']) }) }), null],
  ['a required field more', base.extend({ e: z.string() }), /^e is required now$/],
  [
    'required within',
    base.extend({ in: z.object({ c: z.enum(['x', 'y']), f: z.string() }) }),
    /^in\.f is required now$/,
  ],
  [
    'required in a list',
    base.extend({ list: z.array(z.object({ d: z.string(), f: z.null() })) }),
    /^list\[\]\.f is required now$/,
  ],
  ['optional, now required', base.extend({ b: z.number() }), /^b is required now$/],
  ['required, now optional', base.extend({ a: z.string().optional() }), /^a is no longer required$/],
  ['gone', base.omit({ a: true }), /^a is no longer required$/],
  ['another type', base.extend({ a: z.number() }), /^a: type changes from "string" to "number"$/],
  ['another type of a list', base.extend({ list: z.array(z.string()) }), /^list\[\]: type changes/],
  [
    'an allowed value less',
    base.extend({ in: z.object({ c: z.enum(['x']) }) }),
    /^in\.c: "y" is no longer allowed$/,
  ],
  ['only some values', base.extend({ a: z.enum(['x']) }), /^a: only "x" is allowed now$/],
  ['a narrower one', base.extend({ a: z.string().min(5) }), /^a: minLength changes/],
]
for (const [name, after, said] of breaks)
  test(`what breaks readers: ${name}`, () => {
    const found = breakingChanges(of(base), of(after))
    if (said)
      assert.ok(
        found.some((what) => said.test(what)),
        found.join('\n'),
      )
    else assert.equal(found, [])
    assert.equal(breakingChanges(of(base), of(after, 2)), [], 'with a version of its own')
  })

test('what breaks readers: a version that goes back', () => {
  assert.equal(breakingChanges(of(base, 2), of(base)), ['its version goes back from 2 to 1'])
})

test('meowmx schema writes a folder, and --check compares with it', async () => {
  const module = join(dir, 'events.mjs')
  const folder = join(dir, 'schemas')
  const [meowmx, zod] = [new URL('../dist/index.js', import.meta.url).href, import.meta.resolve('zod')]
  const define = (fields: string, more = '', version = '') =>
    writeFileSync(
      module,
      `import { defineCategory } from '${meowmx}'; import { z } from '${zod}'
       export const Order = defineCategory('order/x', { Placed: { schema: z.object({ ${fields} })${version} }${more} })
       export const other = 5`,
    )
  define('price: z.number()', ', Gone: z.object({})')
  const written = await cli(['schema', module, folder])
  assert.equal([written.code, written.stdout], [0, 'order%2Fx/Placed.json\norder%2Fx/Gone.json\n'])
  assert.equal(readdirSync(join(folder, 'order%2Fx')).sort(), ['Gone.json', 'Placed.json'])
  const stored = JSON.parse(readFileSync(join(folder, 'order%2Fx', 'Placed.json'), 'utf8'))
  assert.equal(stored.properties, { price: { type: 'number' } })
  assert.equal(await cli(['schema', module, folder, '--check']), {
    code: 0,
    stdout: '',
    stderr: 'no change breaks readers\n',
  })

  define('price: z.number(), note: z.string().optional()', ', Gone: z.object({}), New: z.object({})')
  const added = await cli(['schema', module, folder, '--check'])
  assert.is(added.code, 0)
  assert.match(added.stderr, 'order%2Fx/New.json is not up to date')
  assert.match(added.stderr, 'order%2Fx/Placed.json is not up to date')

  define('price: z.string(), by: z.string()')
  const broken = await cli(['schema', module, folder, '--check'])
  assert.is(broken.code, 1)
  assert.is(
    broken.stdout,
    `order%2Fx/Gone.json: there is no such type of event any more
order%2Fx/Placed.json: by is required now
order%2Fx/Placed.json: price: type changes from "number" to "string"
`,
  )
  define(
    'price: z.string(), by: z.string()',
    ', Gone: z.object({})',
    ', version: 2, upcast: { 1: (old) => old }',
  )
  assert.is((await cli(['schema', module, folder, '--check'])).code, 0)

  writeFileSync(module, 'export const nothing = 1')
  const none = await cli(['schema', module, folder])
  assert.is(none.code, 2)
  assert.match(none.stderr, 'exports no category')
})

test.run()
