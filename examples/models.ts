// A category with schemas, a decider over it, and its state watched live.
import { connect, type Decider, defineCategory, type EventOf } from 'meowmx'
import { filter, firstValueFrom, shareReplay, tap } from 'rxjs'
import { z } from 'zod'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const Show = defineCategory('show', {
  ShowAnnounced: z.object({ seats: z.number().int().positive() }),
  SeatsSold: {
    schema: z.object({ seats: z.array(z.string()) }),
    version: 2, // the first one said how many
    upcast: { 1: (old) => ({ seats: Array.from({ length: old.count }, (_, i) => `A${i + 1}`) }) },
  },
})

const booking: Decider<string[], EventOf<typeof Show>, { free: number; sold: string[] }> = {
  category: Show,
  initial: { free: 0, sold: [] },
  evolve: (state, event) => {
    if (!event.known) return state // of a newer program
    switch (event.type) {
      case 'ShowAnnounced':
        return { ...state, free: event.data.seats }
      case 'SeatsSold': {
        const { seats } = event.data // as of now, however they were stored
        return { free: state.free - seats.length, sold: [...state.sold, ...seats] }
      }
    }
  },
  decide: (seats, { free, sold }) => {
    const taken = seats.find((seat) => sold.includes(seat))
    if (taken) throw new Error(`${taken} is sold`)
    if (seats.length > free) throw new Error(`only ${free} left`)
    return Show.SeatsSold({ seats })
  },
  snapshotEvery: 100,
}

// What an older program has stored, by another schema.
await meow.append(Show.stream('hamlet'), Show.ShowAnnounced({ seats: 6 }))
await meow.append({ category: 'show', streamId: 'hamlet' }, { type: 'SeatsSold', data: { count: 2 } })

const states = meow.watch(booking, 'hamlet').pipe(
  tap(({ state, version }) => console.log(`version ${version}: ${state.free} free`)),
  shareReplay(1),
)
const soldOut = firstValueFrom(states.pipe(filter(({ state }) => state.free === 0)))
await firstValueFrom(states)

const sell = (seats: string[]) =>
  meow.decide(booking, 'hamlet', seats).then(
    () => `sold ${seats}`,
    (error: Error) => `${seats}: ${error.message}`,
  )
// All at once: each is decided on what is there by then.
const answers = await Promise.all([sell(['B1', 'B2']), sell(['A1']), sell(['B2', 'B3']), sell(['C1', 'C2'])])
await soldOut
for (const answer of answers) console.log(answer)

// Output:
// version 1: 4 free
// version 2: 2 free
// version 3: 0 free
// sold B1,B2
// A1: A1 is sold
// B2,B3: B2 is sold
// sold C1,C2
