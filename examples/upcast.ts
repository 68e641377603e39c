// A type of event that has changed twice: what older releases have stored is never rewritten, and reads as of now.
import { connect, defineCategory } from 'meowmx'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const Customer = defineCategory('customer', {
  AddressChanged: {
    schema: z.object({ street: z.string(), city: z.string(), country: z.string().length(2) }),
    version: 3,
    upcast: {
      // From each version to the next: whoever writes version 4 writes one more step, and touches none of these.
      1: (old: { address: string }) => {
        const [street, city] = old.address.split(', ')
        return { street, city }
      },
      2: (old: { street: string; city: string }) => ({ ...old, country: 'CH' }), // all of them were
    },
  },
})

// What is in the store: each event as its release has written it, the version of its schema in its metadata (none: 1).
const ann = Customer.stream('ann')
const asStored = { category: 'customer', streamId: 'ann' }
await meow.append(asStored, [
  { type: 'AddressChanged', data: { address: 'Rheinsprung 1, Basel' } },
  {
    type: 'AddressChanged',
    data: { street: 'Rue du Rhône 8', city: 'Genf' },
    metadata: { schemaVersion: 2 },
  },
])
await meow.append(ann, Customer.AddressChanged({ street: 'Corso Como 10', city: 'Milano', country: 'IT' }))
// A newer release already runs: this one does not know its events.
await meow.append(asStored, {
  type: 'AddressChanged',
  data: { lines: ['Poste restante'] },
  metadata: { schemaVersion: 4 },
})

for (const event of await meow.load(ann)) {
  if (!event.known) console.log(`${event.version}: not known here, ${JSON.stringify(event.data)}`)
  else console.log(`${event.version}: ${event.data.street}, ${event.data.city} (${event.data.country})`)
}
const [first] = await meow.load(asStored)
console.log('stored still:', JSON.stringify(first!.data))

// What is appended has to be of the version of now.
await meow
  .append(ann, { type: 'AddressChanged', data: { address: 'Rheinsprung 1, Basel' } as never })
  .catch((error: Error) => console.log(error.message))

// Output:
// 0: Rheinsprung 1, Basel (CH)
// 1: Rue du Rhône 8, Genf (CH)
// 2: Corso Como 10, Milano (IT)
// 3: not known here, {"lines":["Poste restante"]}
// stored still: {"address":"Rheinsprung 1, Basel"}
// events.data.street must be a string, got undefined
