// Starts the page of live orders: node --import tsx examples/live-orders/main.ts
import { connect } from 'meowmx'
import { openDatabase } from '../support/database.ts'
import { startLiveOrders } from './server.ts'

const database = await openDatabase()
const meow = await connect(database)
await meow.migrate()
const { url, close } = await startLiveOrders(meow, { port: 4720 })
console.log(`${url} shows orders as they come; open it twice. Ctrl-C ends it.`)
process.once('SIGINT', async () => {
  await close()
  await meow.close()
  await database[Symbol.asyncDispose]()
})
