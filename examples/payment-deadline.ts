// "Payment within so much time, else cancel": a process manager waits for an event or for the time, whichever comes first.
import { setTimeout as delay } from 'node:timers/promises'
import { connect, defineCategory, defineProcessManager, effects } from 'meowmx'
import { given, memoryStore } from 'meowmx/testing'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

const Order = defineCategory('order', { Placed: z.object({}), Cancelled: z.object({}) })
const Payment = defineCategory('payment', { Received: z.object({ orderId: z.string() }) })

const deadline = defineProcessManager({
  name: 'payment-deadline',
  category: [Order, Payment],
  types: ['Placed', 'Received'],
  timers: ['late'],
  correlate: (event) => (event.known && event.type === 'Received' ? event.data.orderId : event.streamId),
  initial: { paid: false },
  react: (state, input, { id, append, schedule, cancel, end }) => {
    if (input.name === 'late')
      return { state, effects: [append(Order.stream(id), Order.Cancelled({})), end()] }
    if (input.type === 'Received') return { state: { paid: true }, effects: [cancel('late'), end()] }
    return { state, effects: [schedule('late', { inMs: 300 })] }
  },
})

// Tested without a database, and without waiting:
const placed = { stream: Order.stream('1'), event: Order.Placed({}) }
given(deadline, placed)
  .afterMs(300)
  .then([effects.append(Order.stream('1'), Order.Cancelled({})), effects.end()])

// Together with what appends and reads, also without both:
const store = memoryStore()
store.runProcessManager(deadline)
await store.append(Order.stream('1'), Order.Placed({}))
await store.advance(300)
console.log('in memory:', (await store.load(Order.stream('1'))).map(({ type }) => type).join(', '))

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()
await using _worker = meow.runProcessManager(deadline)

await meow.append(Order.stream('1'), Order.Placed({}))
await meow.append(Order.stream('2'), Order.Placed({}))
await meow.append(Payment.stream('p7'), Payment.Received({ orderId: '2' }))

while (!(await meow.processInstances(deadline.name)).every(({ ended }) => ended)) await delay(20)
while ((await meow.head(Order.stream('1'))) < 1) await delay(20)
for (const orderId of ['1', '2']) {
  const types = (await meow.load(Order.stream(orderId))).map(({ type }) => type)
  const [instance] = await meow.processInstances(deadline.name, { id: orderId })
  console.log(`order ${orderId}:`, types.join(', '), instance?.state)
}

// Output:
// in memory: Placed, Cancelled
// order 1: Placed, Cancelled { paid: false }
// order 2: Placed { paid: true }
