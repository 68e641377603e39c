// Compiled by `tsc`, never run: what tests of a decider may say, and that code which takes an EventStore takes either store.
import { z } from 'zod'
import type { Decider, EventOf, EventStore, Meow, RecordedEvent } from '../../src/index.ts'
import { defineCategory } from '../../src/index.ts'
import { given, memoryStore, stored } from '../../src/testing/index.ts'

declare const meow: Meow

// Either store is one, and typed alike
const stores: EventStore[] = [meow, memoryStore(), memoryStore({ now: () => new Date(0) })]
stores satisfies AsyncDisposable[]
// @ts-expect-error not in memory
memoryStore().projection({})
// @ts-expect-error no such option
memoryStore({ schema: 'meowmx' })

const Order = defineCategory('order', { Placed: z.object({ price: z.number() }), Shipped: z.object({}) })

export async function use(store: EventStore) {
  await store.append(Order.stream('42'), Order.Placed({ price: 9 }), { expectedVersion: 'no-stream' })
  // @ts-expect-error a string is no price
  await store.append(Order.stream('42'), { type: 'Placed', data: { price: '9' } })
  const [event] = await store.load(Order.stream('42'))
  if (event?.known && event.type === 'Placed') event.data.price satisfies number
  store.events({ category: Order }).subscribe((event) => event.known satisfies boolean)
  ;(await store.decide(total, '42', { price: 9 })).state.sum satisfies number
}

const total: Decider<{ price: number }, EventOf<typeof Order>, { sum: number }> = {
  category: Order,
  initial: { sum: 0 },
  evolve: (state, event) =>
    event.known && event.type === 'Placed' ? { sum: state.sum + event.data.price } : state,
  decide: ({ price }) => [Order.Placed({ price })],
}

const history = [Order.Placed({ price: 1 }), stored({ type: 'Placed', data: 1, metadata: {} })]
const case1 = given(total, history).when({ price: 9 })
case1.then([Order.Placed({ price: 9 })]).thenState({ sum: 10 })
case1.then({ type: 'Placed', data: { price: 9 }, id: 'x' })
case1.thenNothing().thenState({ sum: 1 })
case1.thenThrows()
case1.thenThrows(RangeError)
case1.thenThrows(/no/)
case1.thenThrows(new RangeError('no'))
given(total).thenState({ sum: 0 })
// @ts-expect-error a string is no price
given(total).when({ price: '9' })
// @ts-expect-error no such state
given(total).thenState({ total: 9 })
// @ts-expect-error no such state
case1.thenState(9)
// @ts-expect-error no data
case1.then([{ type: 'Placed' }])
// @ts-expect-error a text would match nothing
case1.thenThrows('no')
// @ts-expect-error no decider
given({ category: 'order' })
export async function wait() {
  // @ts-expect-error it is no promise
  await given(total).when({ price: 9 })
}

// What decide is known to make is what may be expected of it
const inferred = {
  category: Order,
  initial: 0,
  evolve: (sum: number, _: RecordedEvent) => sum,
  decide: (price: number) => (price > 0 ? Order.Placed({ price }) : [Order.Shipped({})]),
}
given(inferred)
  .when(9)
  .then(Order.Placed({ price: 9 }))
given(inferred)
  .when(9)
  .then({ type: 'Placed', data: { price: 9 }, metadata: { by: 'me' } })
const lost = { type: 'Lost' as const, data: {} }
// @ts-expect-error it never makes one
given(inferred).when(9).then([lost])
