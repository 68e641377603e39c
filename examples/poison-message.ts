// An event that no attempt can handle is set aside with its stream, while all others go on; once the bug is fixed it is
// put back, and its stream goes on in order.
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const pay = (invoice: string, amount: unknown) =>
  meow.append({ category: 'invoice', streamId: invoice }, { type: 'Paid', data: { amount } })
await pay('A', '10.00')
await pay('B', 'CHF 20.00') // a case that was forgotten
await pay('B', '21.00')
await pay('C', '30.00')

let parse = (amount: string) => {
  if (Number.isNaN(Number(amount))) throw new TypeError(`no amount: ${amount}`)
  return Number(amount)
}
const books = meow.subscription('books', { category: 'invoice' })
await using _worker = books.process(
  ({ streamId, data }) => console.log('booked', streamId, parse(data.amount)),
  { retry: { maxAttempts: 3, minDelayMs: 10 } },
)
const { position } = await pay('A', '11.00')
await meow.waitFor('books', position)
while ((await meow.parked('books')).length < 2) await delay(20)

for (const { event, attempts, error } of await meow.parked('books')) {
  const why = error?.split('\n')[0] ?? 'waits behind it' // the rest is the stack
  console.log(`parked ${event.streamId} ${event.data.amount}, ${attempts} attempts: ${why}`)
}

const before = parse
parse = (amount) => before(amount.replace(/^[A-Z]+ /, '')) // the fix
console.log('putting back', (await meow.parked('books')).length, 'events')
await meow.replayParked('books')
await pay('B', '22.00') // comes behind them
while ((await meow.parked('books')).length > 0) await delay(20)
const { position: last } = await pay('C', '31.00')
await meow.waitFor('books', last)

// Output:
// booked A 10
// booked C 30
// booked A 11
// parked B CHF 20.00, 3 attempts: TypeError: no amount: CHF 20.00
// parked B 21.00, 0 attempts: waits behind it
// putting back 2 events
// booked B 20
// booked B 21
// booked B 22
// booked C 31
