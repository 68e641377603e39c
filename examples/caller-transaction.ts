// Events and a table of your own change together, or not at all: append inside your transaction.
import { connect } from 'meowmx'
import pg from 'pg'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const client = new pg.Client(database.connectionString)
await client.connect()
await client.query('create table invoices (number int primary key, customer text not null)')

for (const [number, customer] of [
  [1, 'Ann'],
  [2, null], // refused by the table
] as const) {
  const invoice = { category: 'invoice', streamId: String(number) }
  await client.query('begin')
  try {
    await meow.append(invoice, { type: 'InvoiceSent', data: { customer } }, { client })
    await client.query('insert into invoices values ($1, $2)', [number, customer])
    await client.query('commit')
    console.log(`invoice ${number}: committed`)
  } catch (error) {
    await client.query('rollback')
    console.log(`invoice ${number}: rolled back, ${(error as Error).message}`)
  }
  console.log(`invoice ${number}: ${(await meow.load(invoice)).length} events`)
}
const { rowCount } = await client.query('select from invoices')
console.log(`${rowCount} row`)
await client.end()

// Output:
// invoice 1: committed
// invoice 1: 1 events
// invoice 2: rolled back, null value in column "customer" of relation "invoices" violates not-null constraint
// invoice 2: 0 events
// 1 row
