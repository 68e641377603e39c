// Unit tests without a database: deciders with given, when, then; code that uses a store with a store in memory. Any test
// runner will do.
import assert from 'node:assert/strict'
import { type Decider, defineCategory, type EventOf, type EventStore } from 'meowmx'
import { given, memoryStore, stored } from 'meowmx/testing'
import { z } from 'zod'

// What is to be tested.
const Account = defineCategory('account', {
  Deposited: {
    schema: z.object({ cents: z.number().int() }),
    version: 2,
    upcast: { 1: (old) => ({ cents: old.amount * 100 }) },
  },
  Withdrawn: z.object({ cents: z.number().int() }),
})

const account: Decider<number, EventOf<typeof Account>, { balance: number }> = {
  category: Account,
  initial: { balance: 0 },
  evolve: ({ balance }, event) => {
    if (!event.known) return { balance }
    return { balance: balance + (event.type === 'Deposited' ? event.data.cents : -event.data.cents) }
  },
  decide: (cents, { balance }) => {
    if (balance + cents < 0) throw new RangeError(`only ${balance} there`)
    if (cents === 0) return []
    return cents > 0 ? Account.Deposited({ cents }) : Account.Withdrawn({ cents: -cents })
  },
}

async function transfer(store: EventStore, from: string, to: string, cents: number): Promise<void> {
  await store.decide(account, from, -cents)
  await store.decide(account, to, cents)
}

const test = async (name: string, body: () => unknown) => {
  await body()
  console.log(`ok: ${name}`)
}

const { Deposited, Withdrawn } = Account

await test('withdraws what is there', () => {
  given(account, [Deposited({ cents: 500 })])
    .when(-200)
    .then([Withdrawn({ cents: 200 })])
    .thenState({ balance: 300 })
})

await test('withdraws no more than that', () => {
  given(account, [Deposited({ cents: 500 }), Withdrawn({ cents: 400 })])
    .when(-200)
    .thenThrows(/only 100 there/)
})

await test('does nothing for nothing', () => {
  given(account).when(0).thenNothing()
})

await test('reads what older releases have stored', () => {
  given(account, [stored({ type: 'Deposited', data: { amount: 7 } })]).thenState({ balance: 700 })
})

await test('says what differs', () => {
  const wrong = () =>
    given(account)
      .when(5)
      .then([Deposited({ cents: 6 })])
  assert.throws(wrong, /the events are not as expected.*\+ +cents: 5\n- +cents: 6/s)
})

await test('transfers', async () => {
  const store = memoryStore({ now: () => new Date('2026-01-01') })
  await store.append(Account.stream('ann'), Deposited({ cents: 500 }))
  await transfer(store, 'ann', 'bob', 200)
  await assert.rejects(transfer(store, 'ann', 'bob', 400), RangeError)
  assert.deepEqual(await store.state(account, 'ann'), { state: { balance: 300 }, version: 1 })
  const [event] = await store.load(Account.stream('bob'))
  assert.deepEqual(event?.data, { cents: 200 })
  assert.equal(event?.recordedAt.toISOString(), '2026-01-01T00:00:00.000Z')
})

// Output:
// ok: withdraws what is there
// ok: withdraws no more than that
// ok: does nothing for nothing
// ok: reads what older releases have stored
// ok: says what differs
// ok: transfers
