// given(projection, events): the tables after some events, on a real server; a handler that must not run twice is found.
import { AssertionError } from 'node:assert'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { defineCategory, defineProjection } from '../src/index.ts'
import { given, stored } from '../src/testing/index.ts'
import { rejects } from './support/rejects.ts'
import { databaseUrl, pgClient } from './support/store.ts'

const connectionString = databaseUrl()
const Order = defineCategory('order', {
  OrderPlaced: {
    schema: z.object({ customer: z.string(), price: z.number() }),
    version: 2,
    upcast: { 1: (old) => ({ customer: old.name, price: old.price }) },
  },
  OrderShipped: z.object({}),
})
const orders = (conflict: string) =>
  defineProjection({
    name: 'orders',
    version: 1,
    category: Order,
    types: ['OrderPlaced'],
    setup: 'create table orders (id text primary key, customer text not null, price int not null)',
    handle: async (events, { client }) => {
      for (const event of events)
        if (event.known && event.type === 'OrderPlaced')
          await client.query(`insert into orders as o values ($1, $2, $3) ${conflict}`, [
            event.streamId,
            event.data.customer,
            event.data.price,
          ])
    },
  })
const events = [
  {
    stream: Order.stream('1'),
    events: [Order.OrderPlaced({ customer: 'ann', price: 10 }), Order.OrderShipped({})],
  },
  { stream: Order.stream('2'), events: stored({ type: 'OrderPlaced', data: { name: 'bob', price: 20 } }) },
]
const query = 'select * from orders order by id'
const rows = [
  { id: '1', customer: 'ann', price: 10 },
  { id: '2', customer: 'bob', price: 20 },
]

test('the rows are as expected, or the error shows the difference; nothing stays', async () => {
  const safe = given(orders('on conflict do nothing'), events, { connectionString })
  await safe.thenRows(query, rows)
  const error = await rejects(safe.thenRows(query, rows.slice(1)), AssertionError)
  assert.match(error.message, 'given 2 events for projection "orders": the rows are not as expected')
  await given(orders('on conflict do nothing'), [Order.OrderPlaced({ customer: 'ann', price: 1 })], {
    connectionString,
  }).thenRows('select id from orders', [{ id: 'given' }])
  const sql = await pgClient()
  assert.equal((await sql.query(`select to_regnamespace('meowmx_given') as schema`)).rows, [{ schema: null }])
  await sql.end()
})

test('a handler that must not run twice is found, unless it may be so', async () => {
  const counts = orders('on conflict (id) do update set price = o.price + excluded.price')
  const error = await rejects(
    given(counts, events, { connectionString }).thenRows(query, rows),
    AssertionError,
  )
  assert.match(error.message, 'handling each event twice gives other rows')
  const fails = await rejects(
    given(orders(''), events, { connectionString }).thenRows(query, rows),
    AssertionError,
  )
  assert.match(fails.message, 'handling each event twice failed: duplicate key')
  await given(counts, events, { connectionString, twice: false }).thenRows(query, rows)
})

test('what no store would take is refused', () => {
  assert.throws(() => given(orders(''), [{ type: 'OrderPlaced', data: { price: 'x' } }]), /customer/)
  assert.throws(
    () => given({ ...orders(''), category: [Order, 'other'] }, [{ type: 'A', data: {} }]),
    /must be a list/,
  )
  assert.throws(() => given(orders(''), events, { once: true } as never), /options.once is not an option/)
})

test.run()
