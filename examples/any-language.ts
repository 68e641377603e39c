// What a program in any other language does: plain SQL, with every guarantee kept. `meowmx` only makes the schema here.
import { once } from 'node:events'
import { connect } from 'meowmx'
import pg from 'pg'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const client = new pg.Client(database.connectionString)
await client.connect()
await client.query('listen "meowmx.order"')
const pushed = once(client, 'notification') // the payload is a position: a hint to continue reading

const placed = `[{"type": "OrderPlaced", "data": {"price": 9}}, {"type": "OrderPaid", "data": {}}]`
const appended = await client.query(`select * from meowmx.append('order', '42', $1, 'no-stream')`, [placed])
for (const row of appended.rows) console.log('appended', row.version, row.type)

const [{ channel, payload }] = await pushed
console.log(
  `notified on ${channel}: ${payload === appended.rows[1].position ? 'the last position' : payload}`,
)

const again = client.query(`select * from meowmx.append('order', '42', $1, 'no-stream')`, [placed])
await again.catch((error) => console.log(`${error.code}: ${error.message}`))

// A raw INSERT numbers its version itself; triggers see to the rest.
await client.query(`insert into meowmx.events (category, stream_id, version, type, data)
  values ('order', '42', 2, 'OrderShipped', '{"carrier": "rail"}')`)
await client.end()

for (const event of await meow.load({ category: 'order', streamId: '42' }))
  console.log('loaded  ', event.type)

// Output:
// appended 0 OrderPlaced
// appended 1 OrderPaid
// notified on meowmx.order: the last position
// MW006: stream "order/42" is at version 1, expected no-stream
// loaded   OrderPlaced
// loaded   OrderPaid
// loaded   OrderShipped
