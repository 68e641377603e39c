// A schema for each tenant: stores on one borrowed pool, which share one LISTEN connection.
import { connect } from 'meowmx'
import pg from 'pg'
import { filter, firstValueFrom } from 'rxjs'
import { openDatabase } from './support/database.ts'

await using database = await openDatabase()
const { connectionString } = database
const tenants = ['acme', 'globex', 'initech']

const pool = new pg.Pool({ connectionString, max: 5 })
const stores = await Promise.all(tenants.map((schema) => connect({ pool, schema })))

const order = { category: 'order', streamId: '42' } // each has one of its own
for (const [i, store] of stores.entries()) {
  await store.migrate()
  await store.append(
    order,
    { type: 'OrderPlaced', data: { by: tenants[i] } },
    { expectedVersion: 'no-stream' },
  )
  const [event] = await store.load(order)
  console.log(`${tenants[i]}: version ${event!.version}, by ${event!.data.by}`)
}

await Promise.all(
  stores.map(({ status$ }) => firstValueFrom(status$.pipe(filter(({ state }) => state === 'listening')))),
)
const { rows } = await pool.query(`select count(*)::int as listeners from pg_stat_activity
  where datname = current_database() and application_name like 'meowmx listener %'`)
console.log(rows[0])

await Promise.all(stores.map((store) => store.close()))
await pool.end() // it is ours, so they have left it open

// Output:
// acme: version 0, by acme
// globex: version 0, by globex
// initech: version 0, by initech
// { listeners: 1 }
