// Partitions are written of together; one whose lease is lost while the write waits for a connection takes no other along.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Database } from '../src/database.ts'
import { connectOptions, parse } from '../src/options.ts'
import { Reader } from '../src/read/reader.ts'
import { select } from '../src/read/selector.ts'
import { Store } from '../src/subscribe/store.ts'
import { closeAll, databaseUrl, openStore, pgClient, storeSchema, uniqueName } from './support/store.ts'
import { theWay } from './support/ways.ts'

let db: Database
test.before(async () => {
  await openStore()
  const options = theWay({ connectionString: databaseUrl(), schema: storeSchema, maxConnections: 1 })
  db = new Database(parse(connectOptions, options, 'options'))
})
test.after(async () => {
  await db.close()
  await closeAll()
})

type Held = { number: number; epoch: number; lost: boolean }
type Write = (store: Store, held: Held[], positions: number[]) => Promise<number[]>
const writes: Record<string, Write> = {
  advance: (store, held, positions) => store.advance(held, positions),
  release: (store, held, positions) => store.release(held, positions, false),
  'release, leaving': (store, held, positions) => store.release(held, positions, true),
}

for (const [what, write] of Object.entries(writes)) {
  test(what, async () => {
    const name = uniqueName('fenced')
    const options = { name, owner: 'we', selection: select({}), partitions: 3, leaseMs: 60_000 }
    const store = new Store(db, new Reader(db), options, new AbortController().signal)
    await store.register('start')
    const { taken } = await store.claim([])
    const held = taken.map(({ partition, epoch }) => ({ number: partition, epoch, lost: false }))
    assert.is(held.length, 3)

    let written!: Promise<number[]>
    await db.withClient(async () => {
      written = write(store, held, [7, 8, 9]) // the only connection is ours
      held[1]!.lost = true
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
