// A projection: orders by customer in a table that readers query; version 2 is built beside version 1, and takes over at once.
import { connect, defineCategory, defineProjection } from 'meowmx'
import { given } from 'meowmx/testing'
import pg from 'pg'
import { filter, firstValueFrom } from 'rxjs'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()
const pool = new pg.Pool(database)

const Order = defineCategory('order', {
  OrderPlaced: z.object({ customer: z.string(), price: z.number() }),
  OrderCancelled: z.object({}),
})
for (const [id, customer, price] of [
  ['1', 'ann', 10],
  ['2', 'bob', 20],
  ['3', 'ann', 30],
] as const)
  await meow.append(Order.stream(id), Order.OrderPlaced({ customer, price }))
await meow.append(Order.stream('3'), Order.OrderCancelled({}))

const orders = defineProjection({
  name: 'orders',
  version: 1,
  category: Order,
  setup: 'create table orders (id text primary key, customer text not null, price int not null)',
  handle: async (events, { client }) => {
    for (const event of events)
      if (event.known && event.type === 'OrderPlaced')
        await client.query('insert into orders values ($1, $2, $3) on conflict do nothing', [
          event.streamId,
          event.data.customer,
          event.data.price,
        ])
  },
})
const first = meow.projection(orders)
const worker = first.start()

// A test of it: the tables after some events, in a transaction that is rolled back.
const { connectionString } = database
const events = [
  { stream: Order.stream('1'), events: Order.OrderPlaced({ customer: 'ann', price: 10 }) },
  { stream: Order.stream('2'), events: Order.OrderPlaced({ customer: 'bob', price: 20 }) },
]
await given(orders, events, { connectionString }).thenRows('select customer, price from orders order by id', [
  { customer: 'ann', price: 10 },
  { customer: 'bob', price: 20 },
])

// Readers query public.orders, whichever version it is, and name their columns.
const show = async () => {
  const { rows } = await pool.query('select customer, sum(price) from public.orders group by 1 order by 1')
  console.log(rows.map(({ customer, sum }) => `${customer} ${sum}`).join(', '))
}
const { position } = await meow.append(Order.stream('4'), Order.OrderPlaced({ customer: 'bob', price: 5 }))
await first.waitFor(position)
await show()

// A cancelled order should not count. That needs another table, so it is version 2; version 1 stays live until it is complete.
const second = meow.projection(
  defineProjection({
    ...orders,
    version: 2,
    setup: `
      create table orders (id text primary key, customer text not null, price int not null, cancelled boolean not null default false);
      create index on orders (customer)`,
    handle: async (events, { client }) => {
      for (const event of events) {
        if (!event.known) continue
        if (event.type === 'OrderPlaced')
          await client.query('insert into orders values ($1, $2, $3)', [
            event.streamId,
            event.data.customer,
            event.data.price,
          ])
        else
          await client.query('update orders set price = 0, cancelled = true where id = $1', [event.streamId])
      }
    },
  }),
)
const nextWorker = second.start()
await firstValueFrom(second.status$.pipe(filter(({ state }) => state === 'live')))
await show()

// Back, and forward again: version 1 is still up to date.
await meow.activateProjection('orders', 1)
await show()
await meow.activateProjection('orders', 2)

// Something is wrong with the table? The same version once more; readers notice nothing.
await meow.rebuildProjection('orders')
await show()

await worker.stop()
await meow.dropProjection('orders', 1)
for (const { name, version, state } of await meow.projections()) console.log(name, version, state)
await nextWorker.stop()
await pool.end()

// Output:
// ann 40, bob 25
// ann 10, bob 25
// ann 40, bob 25
// ann 10, bob 25
// orders 2 live
