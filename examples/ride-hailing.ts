// A ride, from the order to its end: an aggregate that keeps its rules. Each illegal step is refused.
import { connect, defineCategory, EventBuffer, type EventOf, type NewEventOf } from 'meowmx'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

const price = z.number().positive()
const waypoint = z.object({ address: z.string(), latitude: z.number(), longitude: z.number() })

const Ride = defineCategory('ride', {
  OrderPlaced: z.object({ customer: z.string(), price, route: z.array(waypoint).min(2) }),
  OrderPriceEdited: z.object({ price }),
  OrderAccepted: z.object({ driver: z.string() }),
  OrderCompleted: z.object({}),
  OrderCancelled: z.object({ reason: z.string() }),
})
type RideEvent = NewEventOf<typeof Ride>
type Status = 'unknown' | 'placed' | 'accepted' | 'completed' | 'cancelled'

class Order {
  static readonly category = Ride
  readonly category = Ride
  readonly streamId: string
  #status: Status = 'unknown'
  #price = 0
  #driver = 'nobody'
  readonly #events = new EventBuffer<RideEvent>({
    load: ({ type, data }) => ({ type, data }) as RideEvent,
    apply: (event) => this.#apply(event),
    toNewEvent: (event) => event,
  })

  constructor(recorded: EventOf<typeof Ride>[], streamId = recorded[0]?.streamId ?? '') {
    this.streamId = streamId
    this.#events.loadRecorded(recorded)
  }

  static place(id: string, customer: string, price: number, route: z.infer<typeof waypoint>[]): Order {
    const order = new Order([], id)
    order.#events.emit(Ride.OrderPlaced({ customer, price, route }))
    return order
  }

  editPrice(price: number): void {
    this.#mustBe('placed')
    if (price !== this.#price) this.#events.emit(Ride.OrderPriceEdited({ price }))
  }

  accept(driver: string): void {
    this.#mustBe('placed')
    this.#events.emit(Ride.OrderAccepted({ driver }))
  }

  complete(driver: string): void {
    this.#mustBe('accepted')
    if (driver !== this.#driver) throw new Error(`${this.#driver} has accepted it, not ${driver}`)
    this.#events.emit(Ride.OrderCompleted({}))
  }

  cancel(reason: string): void {
    this.#mustBe('placed', 'accepted')
    this.#events.emit(Ride.OrderCancelled({ reason }))
  }

  collectPendingEvents() {
    return this.#events.collectPendingEvents()
  }

  toString(): string {
    return `${this.#status}, ${this.#price} francs, driven by ${this.#driver}`
  }

  #mustBe(...allowed: Status[]): void {
    if (!allowed.includes(this.#status))
      throw new Error(`the order is ${this.#status}, not ${allowed.join(' or ')}`)
  }

  /** The only place where it changes. What has happened has happened: nothing is refused here. */
  #apply({ type, data }: RideEvent): void {
    switch (type) {
      case 'OrderPlaced':
        this.#status = 'placed'
        this.#price = data.price
        break
      case 'OrderPriceEdited':
        this.#price = data.price
        break
      case 'OrderAccepted':
        this.#status = 'accepted'
        this.#driver = data.driver
        break
      case 'OrderCompleted':
        this.#status = 'completed'
        break
      case 'OrderCancelled':
        this.#status = 'cancelled'
        break
    }
  }
}

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

/** What a request does: have the order, take a step, save it. */
async function step(name: string, order: Order | Promise<Order>, take = (_: Order) => {}): Promise<void> {
  try {
    const ride = await order
    take(ride)
    await meow.saveAggregate(ride)
    console.log(`${name}: ${ride}`)
  } catch (error) {
    console.log(`${name}: refused, ${(error as Error).message}`)
  }
}
const load = (id: string) => meow.loadAggregate(Order, id)
const route = [
  { address: 'Centralbahnplatz, Basel', latitude: 47.5476, longitude: 7.5896 },
  { address: 'Münsterplatz, Basel', latitude: 47.5565, longitude: 7.5925 },
]

await step('no price', Order.place('1', 'Ann', -1, route))
await step('no such order', load('1'), (order) => order.accept('Bob'))
await step('place', Order.place('1', 'Ann', 18, route))
await step('place again', Order.place('1', 'Ann', 18, route))
await step('edit price', load('1'), (order) => order.editPrice(21))
await step('complete too early', load('1'), (order) => order.complete('Bob'))

const [seenByBob, seenByCid] = await Promise.all([load('1'), load('1')]) // two drivers, at the same time
await step('accept by Bob', seenByBob, (order) => order.accept('Bob'))
await step('accept by Cid', seenByCid, (order) => order.accept('Cid'))
await step('accept by Cid, again', load('1'), (order) => order.accept('Cid'))

await step('edit price too late', load('1'), (order) => order.editPrice(30))
await step('complete by Cid', load('1'), (order) => order.complete('Cid'))
await step('complete by Bob', load('1'), (order) => order.complete('Bob'))
await step('cancel too late', load('1'), (order) => order.cancel('changed my mind'))

await step('place another', Order.place('2', 'Dan', 12, route))
await step('cancel', load('2'), (order) => order.cancel('walked'))
await step('accept a cancelled one', load('2'), (order) => order.accept('Bob'))

// Output:
// no price: refused, events[0].data.price must be more than 0, got -1
// no such order: refused, the order is unknown, not placed
// place: placed, 18 francs, driven by nobody
// place again: refused, stream "ride/1" is at version 0, expected -1
// edit price: placed, 21 francs, driven by nobody
// complete too early: refused, the order is placed, not accepted
// accept by Bob: accepted, 21 francs, driven by Bob
// accept by Cid: refused, stream "ride/1" is at version 2, expected 1
// accept by Cid, again: refused, the order is accepted, not placed
// edit price too late: refused, the order is accepted, not placed
// complete by Cid: refused, Bob has accepted it, not Cid
// complete by Bob: completed, 21 francs, driven by Bob
// cancel too late: refused, the order is completed, not placed or accepted
// place another: placed, 12 francs, driven by nobody
// cancel: cancelled, 12 francs, driven by nobody
// accept a cancelled one: refused, the order is cancelled, not placed
