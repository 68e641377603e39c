// What a project of a user imports; test/published-types.test.ts compiles it against the built package.
import { connect, type Decider, defineCategory, handle, type RecordedEvent, type SqlClient } from 'meowmx'
import { fromDrizzle } from 'meowmx/adapters'
import { startPostgres } from 'meowmx/embedded'
import { relay } from 'meowmx/relay'
import { startStudio } from 'meowmx/studio'
import { given, memoryStore } from 'meowmx/testing'
import { z } from 'zod'

const Order = defineCategory('order', { Placed: z.object({ price: z.number() }) })
const meow = await connect({ connectionString: 'postgres://localhost/db' })
const { events } = await meow.append(Order.stream('1'), Order.Placed({ price: 1 }))
const [first] = events
const price: number | undefined = first?.known ? first.data.price : undefined
meow.subscription('s', { category: Order }).process((event) => {
  if (event.known) {
    const n: number = event.data.price
    void n
  }
})
meow
  .subscription('s', { category: Order })
  .deliveries()
  .pipe(handle((e) => void e.position))
  .subscribe()

export { fromDrizzle, given, memoryStore, price, relay, startPostgres, startStudio }
export type X = Decider<string, RecordedEvent, number> | SqlClient
