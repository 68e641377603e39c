// Events pulled at the consumer's own pace: a report over all stored events, then over new ones.
import { connect } from 'meowmx'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
await using meow = await connect(database)
await meow.migrate()

const sensor = { category: 'sensor', streamId: 'roof' }
const measured = (celsius: number) => ({ type: 'Measured', data: { celsius } })
await meow.append(
  sensor,
  Array.from({ length: 5_000 }, (_, i) => measured(i % 40)),
)

let [count, highest, position] = [0, 0, 0]
for await (const event of meow.iterate({ category: 'sensor' }, { live: false })) {
  count++
  highest = Math.max(highest, event.data.celsius)
  position = event.position
}
console.log(`${count} measurements, at most ${highest} °C`)

// live is the default: the loop waits for more, until it is left.
setTimeout(() => meow.append(sensor, [measured(41), measured(42), measured(43)]), 100)
for await (const event of meow.iterate({ category: 'sensor' }, { from: { after: position } })) {
  console.log(`then ${event.data.celsius} °C`)
  if (event.data.celsius >= 42) break
}

// Output:
// 5000 measurements, at most 39 °C
// then 41 °C
// then 42 °C
