// Invoices get the numbers 1, 2, 3 … without a gap, although many are issued at once.
import { connect, type DecisionModel, type RecordedEvent } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const issue: DecisionModel<{ order: string }, RecordedEvent, { last: number }> = {
  query: () => ({ tags: ['invoice-numbers'] }),
  initial: { last: 0 },
  evolve: (_, { data }) => ({ last: data.number }),
  decide: ({ order }, { last }) => ({
    stream: { category: 'invoice', streamId: order },
    events: { type: 'InvoiceIssued', data: { number: last + 1 }, tags: ['invoice-numbers'] },
  }),
}

const orders = Array.from({ length: 12 }, (_, i) => `order-${i}`)
await Promise.all(orders.map((order) => meow.decide(issue, { order }, { retries: 1_000 })))

const { events } = await meow.query({ tags: ['invoice-numbers'] })
console.log(events.map(({ data }) => data.number).join(' '))

// Output:
// 1 2 3 4 5 6 7 8 9 10 11 12
