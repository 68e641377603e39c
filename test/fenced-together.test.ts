// One write covers several partitions; if the lease of one is lost while the write waits for a connection, the others are
// written.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from '../src/core/validate.ts'
import { connectOptionsSchema } from '../src/database/connect-options.ts'
import { Database } from '../src/database/database.ts'
import { select } from '../src/events/selector.ts'
import { Reader } from '../src/read/reader.ts'
import { Store } from '../src/subscriptions/store.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { theWay } from './support/ways.ts'

let db: Database
test.before(async () => {
  await openStore()
  const options = theWay({ connectionString: databaseUrl(), schema: storeSchema, maxConnections: 1 })
  db = new Database(parse(connectOptionsSchema, options, 'options'))
})
test.after(async () => {
  await db.close()
  await closeAll()
})

type Reached = { partition: { number: number; epoch: number; lost: boolean }; position: number }
const writes: Record<string, (store: Store, reached: Reached[]) => Promise<number[]>> = {
  advance: (store, reached) => store.advance(reached),
  release: (store, reached) => store.release(reached, false),
  'release, leaving': (store, reached) => store.release(reached, true),
}

for (const [what, write] of Object.entries(writes)) {
  test(what, async () => {
    const name = uniqueName('fenced')
    const options = { name, owner: 'we', selection: select({}), partitions: 3, leaseMs: 60_000 }
    const store = new Store(db, new Reader(db), options, new AbortController().signal)
    await store.register('start')
    const { taken } = await store.claim([])
    assert.is(taken.length, 3)
    const reached = taken.map(({ partition, epoch }, i) => ({
      partition: { number: partition, epoch, lost: false },
      position: 7 + i,
    }))

    let written!: Promise<number[]>
    await db.withClient(async () => {
      written = write(store, reached) // the only connection is ours
      reached[1]!.partition.lost = true
    })
    assert.equal((await written).toSorted(), [0, 2])
    const sql = await pgClient()
    const { rows } = await sql.query(
      `select position::int from ${storeSchema}.checkpoints where subscription = $1 order by partition`,
      [name],
    )
    assert.equal(
      rows.map(({ position }) => position),
      [7, 0, 9],
    )
  })
}

test.run()
