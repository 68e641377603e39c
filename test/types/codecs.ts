// Compiled by `tsc`, never run: of a schema with codecs, the decoded form is what is appended and what is read.
import { z } from 'zod'
import type { Decider, EventOf, Meow, NewEventOf } from '../../src/index.ts'
import { defineCategory } from '../../src/index.ts'

declare const meow: Meow

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const yes = <_ extends true>() => {}

const date = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (at) => at.toISOString(),
})
const node = z.object({
  at: date,
  get children() {
    return z.array(node)
  },
})
const Visit = defineCategory('visit', {
  Came: z.object({ at: date, by: z.string().default('foot') }),
  Left: { schema: z.object({ at: date.optional() }), version: 2, upcast: { 1: (old) => old } },
  Moved: z.object({ stops: z.array(z.union([z.string(), z.strictObject({ at: date.nullable() })])) }),
  Seen: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('once'), at: date }),
    z.object({ kind: z.literal('never') }),
  ]),
  Counted: z.object({ byName: z.record(z.string(), z.tuple([z.string(), date])) }),
  Nested: z.intersection(
    z.object({ a: z.string() }),
    z.lazy(() => z.object({ at: date.readonly() })),
  ),
  Tree: node,
  Plain: z.object({ price: z.number(), currency: z.string().default('EUR') }), // no codec: as ever
  Deep: z.object({ n: z.string().transform(Number) }),
})

const at = new Date()
Visit.Came({ at, by: 'train' })
// @ts-expect-error the text is how it is stored, not how it is appended
Visit.Came({ at: at.toISOString(), by: 'train' })
// @ts-expect-error what is encoded is complete
Visit.Came({ at })
Visit.Left({ at })
Visit.Left({})
Visit.Moved({ stops: ['a', { at }, { at: null }] })
Visit.Seen({ kind: 'once', at })
Visit.Seen({ kind: 'never' })
// @ts-expect-error
Visit.Seen({ kind: 'once', at: 'now' })
Visit.Counted({ byName: { a: ['b', at] } })
Visit.Nested({ a: 'b', at })
Visit.Tree({ at, children: [{ at, children: [] }] })
Visit.Plain({ price: 1 })
Visit.Deep({ n: '7' })
yes<Same<Parameters<typeof Visit.Came>[0], { at: Date; by: string }>>()

export async function append() {
  const { events } = await meow.append(Visit.stream('a'), { type: 'Came', data: { at, by: 'foot' } })
  // @ts-expect-error a text is no Date
  await meow.append(Visit.stream('a'), { type: 'Came', data: { at: 'now', by: 'foot' } })
  for (const event of [...events, ...(await meow.load(Visit.stream('a')))])
    if (event.known && event.type === 'Came') yes<Same<typeof event.data, { at: Date; by: string }>>()
}

export const visits: Decider<Date, EventOf<typeof Visit>, number> = {
  category: Visit,
  initial: 0,
  evolve: (n, event) => (event.known && event.type === 'Came' ? event.data.at.getTime() : n),
  decide: (at) => Visit.Came({ at, by: 'foot' }) satisfies NewEventOf<typeof Visit>,
}
