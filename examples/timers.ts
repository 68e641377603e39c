// What is to be appended later: a timer, which is taken back if it is not needed.
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()
await using _worker = meow.runTimers()

const stream = { category: 'order', streamId: '42' }
await meow.schedule('pay-42', { inMs: 15 * 60_000 }, { stream, events: { type: 'PaymentOverdue', data: {} } })
await meow.schedule('call-42', { inMs: 50 }, { stream, events: { type: 'CallDue', data: {} } })
while ((await meow.head(stream)) < 0) await delay(10)
console.log('appended:', (await meow.load(stream))[0]!.type)
console.log('waits:', (await meow.scheduled()).map(({ key }) => key).join())
console.log('taken back:', await meow.unschedule('pay-42'), await meow.unschedule('call-42'))

// Output:
// appended: CallDue
// waits: pay-42
// taken back: true false
