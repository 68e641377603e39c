// Compiled by `tsc`, never run: what a program that uses zod categories may say, and, below each `@ts-expect-error`, what
// it may not.
import { z } from 'zod'
import type { EventOf, Meow, NewEventOf, RecordedEvent, Selector, StreamRef } from '../../src/index.ts'
import { defineCategory } from '../../src/index.ts'

declare const meow: Meow

/** Whether two types are one and the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const yes = <_ extends true>() => {}

const Order = defineCategory('order', {
  OrderPlaced: z.object({ price: z.number(), currency: z.string().default('EUR') }),
  OrderShipped: {
    schema: z.object({ by: z.string() }),
    version: 2,
    upcast: { 1: (old) => ({ by: old.carrier }) },
  },
})
const Parcel = defineCategory('parcel', { OrderPlaced: z.object({ weight: z.number() }) })
const plain = { category: 'order', streamId: '42' }

yes<Same<(typeof Order)['name'], 'order'>>()
Order.stream('42') satisfies StreamRef<typeof Order>

// Creators
Order.OrderPlaced({ price: 9 }) // a default need not be given
Order.OrderPlaced({ price: 9 }, { id: 'x', metadata: { by: 'me' } })
// @ts-expect-error a string is no price
Order.OrderPlaced({ price: '9' })
// @ts-expect-error no price
Order.OrderPlaced({})
// @ts-expect-error no such type
Order.OrderLost({})
// @ts-expect-error the type is the creator's
Order.OrderPlaced({ price: 9 }, { type: 'OrderShipped' })

// Names that are not free
// @ts-expect-error hides Order.stream
defineCategory('order', { stream: z.object({}) })
// @ts-expect-error hides Order.name
defineCategory('order', { name: z.object({}) })
const awaited = 'then'
// @ts-expect-error `await Order` would call it
defineCategory('order', { [awaited]: z.object({}) })
// @ts-expect-error no schema
defineCategory('order', { OrderPlaced: { price: 'number' } })

// Appending
export async function append() {
  const { events } = await meow.append(Order.stream('42'), [
    Order.OrderPlaced({ price: 9 }),
    Order.OrderShipped({ by: 'me' }),
  ])
  narrow(events[0]!)
  await meow.append(
    Order.stream('42'),
    { type: 'OrderPlaced', data: { price: 9 } },
    { expectedVersion: 'no-stream' },
  )
  // @ts-expect-error a string is no price
  await meow.append(Order.stream('42'), { type: 'OrderPlaced', data: { price: '9' } })
  // @ts-expect-error no such type
  await meow.append(Order.stream('42'), { type: 'OrderLost', data: {} })
  // @ts-expect-error an event of another category
  await meow.append(Order.stream('42'), Parcel.OrderPlaced({ weight: 1 }))
  await meow.append(plain, { type: 'Anything', data: 1 })
  await meow.append(plain, [Order.OrderPlaced({ price: 9 }), { type: 'Anything', data: 1 }])
  // @ts-expect-error no data
  await meow.append(plain, { type: 'Anything' })
}

/** The one way to a typed `data`: `known`, then `type`. */
function narrow(event: EventOf<typeof Order>): string | number {
  yes<Same<typeof event.category, 'order'>>()
  // @ts-expect-error not before `known` and `type` are looked at
  event.data.price
  // @ts-expect-error a type that is not known may have the same name
  if (event.type === 'OrderPlaced') event.data.price
  if (!event.known) {
    yes<Same<typeof event.type, string>>()
    yes<Same<typeof event.data, unknown>>()
    return event.type
  }
  switch (event.type) {
    case 'OrderPlaced':
      yes<Same<typeof event.data, { price: number; currency: string }>>()
      // @ts-expect-error that is the other's
      event.data.by
      return event.data.price
    case 'OrderShipped':
      return event.data.by
    // @ts-expect-error there is none
    case 'OrderLost':
      return 0
  }
}

/** A switch has to face the unknown ones. */
// @ts-expect-error one way out returns nothing
export function forgetful(event: EventOf<typeof Order>): number {
  switch (event.known && event.type) {
    case 'OrderPlaced':
      return 1
    case 'OrderShipped':
      return 2
  }
}

// Reading
export async function read() {
  narrow((await meow.load(Order.stream('42'), { limit: 1 }))[0]!)
  narrow((await meow.read({ category: Order, types: ['OrderPlaced'] })).events[0]!)
  for await (const event of meow.iterate({ category: Order, streamId: '42' })) narrow(event)
  meow.events({ category: Order }, { from: 'end' }).subscribe(narrow)
  meow
    .subscription('s', { category: Order, partitions: 2 })
    .process((event, { attempt }) => [narrow(event), attempt])
  meow
    .subscription('s', { category: Order })
    .process((event, { client }) => [narrow(event), client.query('')], {
      transactional: true,
    })
  meow
    .subscription('s', { category: [Order] })
    .deliveries()
    .subscribe(({ event }) => narrow(event))
  meow.project(Order, (events, client) => [events.map(narrow), client.query('')]) satisfies () => void
  meow.project([Order, 'invoice'], ([event]) => {
    if (event?.known) narrow(event)
    // @ts-expect-error it may be an invoice
    event?.data.price
  })
  meow.project('invoice', (events) => yes<Same<typeof events, RecordedEvent[]>>())
  // @ts-expect-error no category
  meow.project({ name: 'order' }, () => {})
  // @ts-expect-error no such option
  meow.events({ category: Order, typez: [] })
  // @ts-expect-error no category
  meow.events({ category: { name: 'order' } })

  const both = (await meow.read({ category: [Order, Parcel] })).events[0]!
  if (both.known && both.category === 'parcel') both.data.weight satisfies number
  if (both.known && both.type === 'OrderPlaced' && both.category === 'order') both.data.price satisfies number
  const mixed = (await meow.read({ category: [Order, 'invoice'] })).events[0]!
  if (mixed.known && mixed.type === 'OrderShipped') mixed.data.by satisfies string
  // @ts-expect-error it may be an invoice
  mixed.data.by
}

// Without schemas all is as it was
export async function untyped(selector: Selector, ref: StreamRef) {
  yes<Same<EventOf<typeof plain>, RecordedEvent>>()
  yes<Same<EventOf<StreamRef>, RecordedEvent>>()
  yes<Same<NewEventOf<typeof plain>['data'], unknown>>()
  for (const events of [
    await meow.load(plain),
    await meow.load(ref),
    (await meow.read({})).events,
    (await meow.read(selector)).events,
    (await meow.read({ category: 'order' })).events,
    (await meow.read({ category: ['order', 'parcel'] })).events,
  ]) {
    yes<Same<typeof events, RecordedEvent[]>>()
  }
  meow.subscription('s', {}).process((event) => yes<Same<typeof event, RecordedEvent>>())
}

// Types of a selector
export async function selected() {
  for await (const event of meow.iterate({ category: Order, types: ['OrderPlaced'] }))
    if (event.known) event.data.price satisfies number
  meow.subscription('s', { category: Order, types: ['OrderShipped'] }).process((event) => {
    if (event.known) event.data.by satisfies string
  })
  // @ts-expect-error no such type
  meow.iterate({ category: Order, types: ['OrderPlced'] })
  // @ts-expect-error no such type
  meow.subscription('s', { category: [Order], types: ['OrderPlced'] })
  meow.events({ category: Order, types: ['$erased'] })
  meow.events({ category: [Order, 'invoice'], types: ['Anything'] })
  meow.events({ types: ['Anything'] }).subscribe((event) => event satisfies RecordedEvent)
}

// Several streams: each write against its own category
export async function appendAll() {
  await meow.appendAll([
    { stream: Order.stream('1'), events: Order.OrderPlaced({ price: 1 }) },
    { stream: Parcel.stream('1'), events: [Parcel.OrderPlaced({ weight: 1 })], expectedVersion: 'no-stream' },
    { stream: plain, events: { type: 'Anything', data: 1 } },
  ])
  await meow.appendAll([
    // @ts-expect-error an event of another category
    { stream: Order.stream('1'), events: Parcel.OrderPlaced({ weight: 1 }) },
  ])
  const writes = ['1', '2'].map((id) => ({
    stream: Order.stream(id),
    events: Order.OrderPlaced({ price: 1 }),
  }))
  await meow.appendAll(writes)
}
