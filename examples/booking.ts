// A trip is a flight and a hotel. If the hotel is full, the flight is cancelled again: what is done can't be rolled back, it is undone.
import { setTimeout as delay } from 'node:timers/promises'
import { connect, defineProcessManager } from 'meowmx'
import { openDatabase } from './support/database.ts'

const trips = defineProcessManager({
  name: 'trips',
  category: ['trip', 'flight', 'hotel'],
  types: ['TripRequested', 'FlightBooked', 'HotelBooked', 'HotelFull', 'FlightCancelled'],
  correlate: (event) => event.streamId, // all three have the id of the trip
  initial: { step: 'new' },
  react: (state, input, { id, append, end }) => {
    const tell = (category: string, type: string) => append({ category, streamId: id }, { type, data: {} })
    switch (input.type) {
      case 'TripRequested':
        return { state: { step: 'flight' }, effects: [tell('flight', 'BookFlight')] }
      case 'FlightBooked':
        return { state: { step: 'hotel' }, effects: [tell('hotel', 'BookHotel')] }
      case 'HotelBooked':
        return { state: { step: 'booked' }, effects: [tell('trip', 'TripBooked'), end()] }
      case 'HotelFull':
        return { state: { step: 'undoing' }, effects: [tell('flight', 'CancelFlight')] }
      case 'FlightCancelled':
        return { state: { step: 'failed' }, effects: [tell('trip', 'TripFailed'), end()] }
      default:
        return { state }
    }
  },
})

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()
await using _trips = meow.runProcessManager(trips)

// The airline, and a hotel with one room.
const answers: Record<string, string> = { BookFlight: 'FlightBooked', CancelFlight: 'FlightCancelled' }
let rooms = 1
const answer = ({ category, streamId }: { category: string; streamId: string }, type: string) =>
  meow.append({ category, streamId }, { type, data: {} })
await using _airline = meow
  .subscription('airline', { category: 'flight', types: ['BookFlight', 'CancelFlight'] })
  .process((event) => answer(event, answers[event.type]!))
await using _hotel = meow
  .subscription('front-desk', { category: 'hotel', types: ['BookHotel'] })
  .process((event) => answer(event, rooms-- > 0 ? 'HotelBooked' : 'HotelFull'))

for (const streamId of ['rome', 'oslo']) {
  await meow.append({ category: 'trip', streamId }, { type: 'TripRequested', data: {} })
  while ((await meow.head({ category: 'trip', streamId })) < 1) await delay(20)
  const all = (await meow.read({})).events.filter((event) => event.streamId === streamId)
  console.log(`${streamId}: ${all.map(({ type }) => type).join(', ')}`)
}

// Output:
// rome: TripRequested, BookFlight, FlightBooked, BookHotel, HotelBooked, TripBooked
// oslo: TripRequested, BookFlight, FlightBooked, BookHotel, HotelFull, CancelFlight, FlightCancelled, TripFailed
