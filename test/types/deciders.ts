// Compiled by `tsc`, never run: deciders and aggregates are inferred from what they are made of.
import type { Observable } from 'rxjs'
import { z } from 'zod'
import type { AppendResult, Category, Decider, EventOf, Meow, RecordedEvent } from '../../src/index.ts'
import { defineCategory, EventBuffer } from '../../src/index.ts'

declare const meow: Meow

const Order = defineCategory('order', { Placed: z.object({ price: z.number() }), Shipped: z.object({}) })
Order satisfies Category

const total: Decider<{ price: number }, EventOf<typeof Order>, { sum: number }> = {
  category: Order,
  initial: { sum: 0 },
  evolve: (state, event) => {
    // @ts-expect-error not before it is narrowed
    event.data.price
    if (!event.known) return state
    switch (event.type) {
      case 'Placed':
        return { sum: state.sum + event.data.price }
      case 'Shipped':
        return state
    }
  },
  decide: ({ price }) => [Order.Placed({ price })],
  snapshotEvery: 100,
}

// Without an annotation, from the functions themselves
const inferred = {
  category: 'order',
  initial: 0,
  evolve: (sum: number, { data }: RecordedEvent) => sum + data.price,
  decide: (price: number) => ({ type: 'Placed', data: { price } }),
}

export async function decide() {
  const { state, result } = await meow.decide(total, '42', { price: 9 }, { retries: 1 })
  state.sum satisfies number
  result satisfies AppendResult
  // @ts-expect-error a string is no price
  await meow.decide(total, '42', { price: '9' })
  ;(await meow.state(total, '42', { toVersion: 3 })).state.sum satisfies number
  meow.watch(total, '42') satisfies Observable<{ state: { sum: number }; version: number }>
  ;(await meow.decide(inferred, '42', 9)).state satisfies number
  // @ts-expect-error it takes a number
  await meow.decide(inferred, '42', '9')
  // @ts-expect-error no evolve
  await meow.state({ category: 'order', initial: 0, decide: () => [] }, '42')
}

class Account {
  static readonly category = 'account'
  readonly category = Account.category
  readonly streamId = 'a'
  readonly #events = new EventBuffer<number>({
    load: ({ data }) => data.amount,
    apply: () => {},
    toNewEvent: (amount) => ({ type: 'Deposited', data: { amount } }),
  })
  constructor(recorded: RecordedEvent[]) {
    this.#events.loadRecorded(recorded)
  }
  deposit(amount: number) {
    this.#events.emit(amount)
    // @ts-expect-error no number
    this.#events.emit('5')
  }
  collectPendingEvents() {
    return this.#events.collectPendingEvents()
  }
}

export async function save() {
  const account: InstanceType<typeof Account> = await meow.loadAggregate(Account, 'a')
  account.deposit(5)
  ;(await meow.saveAggregate(account)) satisfies AppendResult
  // @ts-expect-error a class without a category
  await meow.loadAggregate(class {}, 'a')
  // @ts-expect-error nothing that can be saved
  await meow.saveAggregate({ category: 'account', streamId: 'a' })
}

export async function annotated() {
  // What a decider with a type annotation decides can be appended to a stream of its category.
  await meow.append(Order.stream('42'), total.decide({ price: 9 }, { sum: 0 }))
  const wrong: Decider<number, EventOf<typeof Order>, number> = {
    category: Order,
    initial: 0,
    evolve: (sum) => sum,
    // @ts-expect-error no such type
    decide: () => ({ type: 'Lost', data: {} }),
  }
  const untyped: Decider<number, RecordedEvent, number> = {
    category: 'order',
    initial: 0,
    evolve: (sum) => sum,
    decide: () => ({ type: 'Lost', data: {} }),
  }
  return [wrong, untyped]
}
