// Starts the page of payment deadlines: node --import tsx examples/payment-page/main.ts
import { connect } from 'meowmx'
import { openDatabase } from '../support/database.ts'
import { deadline, startPaymentPage } from './server.ts'

const database = await openDatabase()
const meow = await connect(database)
await meow.migrate()
meow.runProcessManager(deadline(20_000))
const { url, close } = await startPaymentPage(meow, { port: 4721 })
console.log(`${url} shows orders that wait for their payment. Ctrl-C ends it.`)
process.once('SIGINT', async () => {
  await close()
  await meow.close()
  await database[Symbol.asyncDispose]()
})
