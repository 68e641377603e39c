// Two clerks sell the last seats: each append says which version its decision was made on.
import { connect, type RecordedEvent, VersionConflictError } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const show = { category: 'show', streamId: 'hamlet' }
await meow.append(show, { type: 'ShowAnnounced', data: { seats: 3 } }, { expectedVersion: 'no-stream' })

const freeSeats = (events: RecordedEvent[]) =>
  events.reduce((free, { data }) => free + (data.seats ?? -data.sold), 0)

/** Decide on the current events; if another writer got there first, decide again on the new ones. */
async function sell(clerk: string, sold: number, loaded?: RecordedEvent[]): Promise<string> {
  const events = loaded ?? (await meow.load(show))
  if (freeSeats(events) < sold) return `${clerk}: only ${freeSeats(events)} left`
  try {
    await meow.append(
      show,
      { type: 'SeatsSold', data: { sold } },
      { expectedVersion: events.at(-1)!.version },
    )
    return `${clerk}: sold ${sold}`
  } catch (error) {
    if (!(error instanceof VersionConflictError)) throw error
    console.log(`${clerk}: expected version ${error.expected}, but it is ${error.actual}`)
    return sell(clerk, sold)
  }
}

const seenByBoth = await meow.load(show)
console.log(await sell('Ann', 2, seenByBoth))
console.log(await sell('Bob', 2, seenByBoth))
console.log(await sell('Bob', 1, seenByBoth))

// Output:
// Ann: sold 2
// Bob: expected version 0, but it is 1
// Bob: only 1 left
// Bob: expected version 0, but it is 1
// Bob: sold 1
