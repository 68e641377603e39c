// SIGTERM: the running handler finishes and its checkpoint is written, no other event begins, and the process ends by itself.
import { once } from 'node:events'
import { connect } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
const meow = await connect(database)
await meow.migrate()
const order = { category: 'order', streamId: '42' }
await meow.append(
  order,
  ['placed', 'paid', 'packed', 'shipped'].map((state) => ({ type: 'Changed', data: { state } })),
)

const closed = once(process, 'SIGTERM').then(async () => {
  console.log('SIGTERM')
  await meow.close() // waits for the handler, writes the checkpoint, gives the partition back at once
  console.log('closed')
})

meow.subscription('mailer', { category: 'order' }).process(async ({ data }, { signal }) => {
  console.log('mailing', data.state)
  if (data.state === 'paid') {
    process.kill(process.pid, 'SIGTERM') // as a deployment would
    await once(signal, 'abort') // the signal asks the handler to hurry; it may also ignore that
  }
  console.log('mailed', data.state)
})
await closed

// The next process goes on there.
await using next = await connect(database)
const rest: string[] = []
const worker = next.subscription('mailer', { category: 'order' }).process(({ data }) => rest.push(data.state))
await next.waitFor('mailer', (await next.load(order)).at(-1)!.position)
await worker.stop()
console.log('left to the next:', rest.join(', '))

// Output:
// mailing placed
// mailed placed
// mailing paid
// SIGTERM
// mailed paid
// closed
// left to the next: packed, shipped
