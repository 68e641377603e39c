// Compiled by `tsc`, never run: the events of a projection narrow by its categories.
import { z } from 'zod'
import type { Meow, RecordedEvent, Worker } from '../../src/index.ts'
import { defineCategory, defineProjection } from '../../src/index.ts'
import { given } from '../../src/testing/index.ts'

declare const meow: Meow
const Order = defineCategory('order', { Placed: z.object({ price: z.number() }) })
const Invoice = defineCategory('invoice', { Sent: z.object({ to: z.string() }) })

const both = defineProjection({
  name: 'both',
  version: 1,
  category: [Order, Invoice],
  setup: 'create table t (id text)',
  handle: async (events, { client, rebuilding, attempt, signal }) => {
    await client.query('select')
    rebuilding satisfies boolean
    attempt satisfies number
    signal satisfies AbortSignal
    for (const event of events) {
      event.category satisfies 'order' | 'invoice'
      if (!event.known) continue
      if (event.type === 'Placed') event.data.price satisfies number
      else event.data.to satisfies string
      // @ts-expect-error no event has this type
      if (event.type === 'Lost') continue
    }
  },
})
meow.projection(both).start() satisfies Worker
meow.projection(both).waitFor(1) satisfies Promise<void>
given(both, [{ stream: Order.stream('1'), events: Order.Placed({ price: 1 }) }]).thenRows(
  'select',
  [],
) satisfies Promise<void>

defineProjection({
  name: 'plain',
  version: 1,
  category: 'order',
  setup: async (client) => client.query('create table t (id text)'),
  handle: (events) => void (events satisfies RecordedEvent[]),
})
// @ts-expect-error no handle
defineProjection({ name: 'x', version: 1, setup: '' })
// @ts-expect-error the version is a number
defineProjection({ name: 'x', version: '1', setup: '', handle: () => {} })
