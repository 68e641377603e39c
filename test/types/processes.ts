// Compiled by `tsc`, never run: the inputs of a process manager narrow by category, type and the names of its timers.
import { z } from 'zod'
import type { Meow } from '../../src/index.ts'
import { defineCategory, defineProcessManager } from '../../src/index.ts'

declare const meow: Meow

const Order = defineCategory('order', { Placed: z.object({ price: z.number() }) })
const Payment = defineCategory('payment', { Received: z.object({ orderId: z.string() }) })

const deadline = defineProcessManager({
  name: 'deadline',
  category: [Order, Payment],
  timers: ['late', 'later'],
  correlate: (event) => {
    if (event.category === 'payment' && event.known) return event.data.orderId
    return event.streamId
  },
  initial: { paid: false },
  react: (state, input, { append, schedule, cancel, end }) => {
    // @ts-expect-error not before it is narrowed
    input.data.price
    // @ts-expect-error there is no such timer
    schedule('never', { inMs: 1 })
    if (input.name === 'late') {
      input.due.getTime()
      input.name satisfies 'late'
      return { state, effects: [schedule('later', { inMs: 1 }), cancel('late'), end()] }
    }
    if (input.known && input.type === 'Placed') {
      input.data.price.toFixed()
      // @ts-expect-error the category has no such event
      append(Order.stream('1'), { type: 'Nope', data: {} })
      return { state, effects: [append(Order.stream('1'), Order.Placed({ price: 1 }))] }
    }
    return { state: { paid: true } }
  },
})
meow.runProcessManager(deadline)

defineProcessManager({
  name: 'plain',
  correlate: ({ streamId }) => streamId,
  initial: { paid: false },
  // @ts-expect-error the state has another shape
  react: () => ({ state: { paid: 1 } }),
})
