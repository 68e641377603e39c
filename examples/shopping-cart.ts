// A shopping cart: commands become events, and its total is live wherever the cart is on the screen.
import { connect, type Decider, defineCategory, type EventOf } from 'meowmx'
import { filter, firstValueFrom, tap } from 'rxjs'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const Cart = defineCategory('cart', {
  ItemAdded: z.object({ sku: z.string(), quantity: z.number().int().positive(), cents: z.number().int() }),
  ItemRemoved: z.object({ sku: z.string() }),
  CheckedOut: z.object({ cents: z.number().int() }),
})

type Command =
  | { do: 'add'; sku: string; quantity: number; cents: number }
  | { do: 'remove'; sku: string }
  | { do: 'check out' }

interface State {
  items: Record<string, { quantity: number; cents: number }>
  open: boolean
}

const total = ({ items }: State) =>
  Object.values(items).reduce((sum, { quantity, cents }) => sum + quantity * cents, 0)

const cart: Decider<Command, EventOf<typeof Cart>, State> = {
  category: Cart,
  initial: { items: {}, open: true },
  evolve: (state, event) => {
    if (!event.known) return state // of a newer program
    switch (event.type) {
      case 'ItemAdded': {
        const { sku, cents } = event.data
        const quantity = event.data.quantity + (state.items[sku]?.quantity ?? 0)
        return { ...state, items: { ...state.items, [sku]: { quantity, cents } } }
      }
      case 'ItemRemoved': {
        const { [event.data.sku]: _, ...items } = state.items
        return { ...state, items }
      }
      case 'CheckedOut':
        return { ...state, open: false }
    }
  },
  decide: (command, state) => {
    if (!state.open) throw new Error('it is checked out')
    switch (command.do) {
      case 'add': {
        const { sku, quantity, cents } = command
        return Cart.ItemAdded({ sku, quantity, cents })
      }
      case 'remove':
        return state.items[command.sku] ? Cart.ItemRemoved({ sku: command.sku }) : [] // said twice: nothing to do
      case 'check out':
        if (total(state) === 0) throw new Error('it is empty')
        return Cart.CheckedOut({ cents: total(state) })
    }
  },
}

// On the screen: pushed after each event, whichever process has appended it.
const screen = meow.watch(cart, 'ann').pipe(
  tap(({ state, version }) => {
    const items = Object.entries(state.items).map(([sku, { quantity }]) => `${quantity} ${sku}`)
    console.log(
      `${version}: ${items.join(', ') || 'nothing'}, ${(total(state) / 100).toFixed(2)}${state.open ? '' : ', checked out'}`,
    )
  }),
)
const checkedOut = firstValueFrom(screen.pipe(filter(({ state }) => !state.open)))
await firstValueFrom(meow.watch(cart, 'ann')) // it is on the screen before anything happens

const refusals: string[] = []
const command = (command: Command) =>
  meow.decide(cart, 'ann', command).catch((error: Error) => refusals.push(`${command.do}: ${error.message}`))

await command({ do: 'check out' })
await command({ do: 'add', sku: 'lamp', quantity: 1, cents: 4_900 })
await command({ do: 'add', sku: 'bulb', quantity: 2, cents: 350 })
await command({ do: 'add', sku: 'bulb', quantity: 1, cents: 300 }) // cheaper by now: that is its price
await command({ do: 'remove', sku: 'lamp' })
await command({ do: 'remove', sku: 'lamp' })
await command({ do: 'check out' })
await command({ do: 'add', sku: 'lamp', quantity: 1, cents: 4_900 })
await checkedOut
for (const refusal of refusals) console.log(refusal)

// Output:
// -1: nothing, 0.00
// 0: 1 lamp, 49.00
// 1: 1 lamp, 2 bulb, 56.00
// 2: 1 lamp, 3 bulb, 58.00
// 3: 3 bulb, 9.00
// 4: 3 bulb, 9.00, checked out
// check out: it is empty
// add: it is checked out
