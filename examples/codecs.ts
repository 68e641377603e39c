// Values that JSON does not have, such as dates: a codec converts in both directions, so appends take a Date and reads return a
// Date.
import { connect, defineCategory } from 'meowmx'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const date = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (at) => at.toISOString(),
})
const Visit = defineCategory('visit', { Came: z.object({ at: date }) })

const ann = Visit.stream('ann')
await meow.append(ann, Visit.Came({ at: new Date(Date.UTC(2026, 10, 30)) }))

for (const event of await meow.load(ann))
  if (event.known) console.log('read:', event.data.at.getUTCFullYear())
const [stored] = await meow.load({ category: 'visit', streamId: 'ann' }) // by its name: as it is stored
console.log('stored:', JSON.stringify(stored!.data))

// Without a codec a date would be read as text: such a schema is refused.
try {
  defineCategory('visit', { Came: z.object({ at: z.date() }) })
} catch (error) {
  console.log((error as Error).message.split(':')[0])
}

// Output:
// read: 2026
// stored: {"at":"2026-11-30T00:00:00.000Z"}
// schemas.Came.at must not be a date, which JSON can not give back as it was
