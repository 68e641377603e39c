// A view that redraws itself: events pushed into an RxJS pipeline, the revenue of each shop kept up to date.
import { connect } from 'meowmx'
import { filter, firstValueFrom, groupBy, map, mergeMap, scan, tap } from 'rxjs'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const sale = (shop: string, amount: number) =>
  meow.append({ category: 'till', streamId: shop }, { type: 'Sold', data: { amount } })

await sale('Basel', 10) // before anybody looks

const revenue = meow.events({ category: 'till', types: ['Sold'] }).pipe(
  groupBy((event) => event.streamId),
  mergeMap((shop) =>
    shop.pipe(
      scan((sum, event) => sum + event.data.amount, 0),
      map((sum) => ({ shop: shop.key, sum })),
    ),
  ),
  scan((view, { shop, sum }) => ({ ...view, [shop]: sum }), {} as Record<string, number>),
  tap((view) => console.log(JSON.stringify(view))),
)
const complete = firstValueFrom(revenue.pipe(filter((view) => view.Genf === 12)))

await sale('Genf', 5)
await sale('Basel', 20)
await sale('Genf', 7)
await complete

// Output:
// {"Basel":10}
// {"Basel":10,"Genf":5}
// {"Basel":30,"Genf":5}
// {"Basel":30,"Genf":12}
