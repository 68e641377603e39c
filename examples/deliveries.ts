// A durable subscription as an Observable: acked events stay done, and a restart continues after them.
import { connect } from 'meowmx'
import { concatMap, lastValueFrom, take } from 'rxjs'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()

/** One life of the program: handles `count` deliveries, one after the other, and ends. */
async function run(life: number, count: number): Promise<void> {
  await using meow = await connect(database)
  await meow.migrate()
  if (life === 1) {
    const parcels = ['book', 'lamp', 'sofa', 'vase'].map((content) => ({ type: 'Sent', data: { content } }))
    await meow.append({ category: 'parcel', streamId: 'today' }, parcels)
  }
  const packing = meow.subscription('packing', { category: 'parcel' }).deliveries()
  const handled = packing.pipe(
    concatMap(async ({ event, ack }) => {
      console.log(`life ${life}: ${event.data.content}`)
      await ack() // resolves once the checkpoint in the database covers it
    }),
    take(count),
  )
  await lastValueFrom(handled)
}

await run(1, 2)
await run(2, 2)

// Output:
// life 1: book
// life 1: lamp
// life 2: sofa
// life 2: vase
